//! The connections to other nodes, made when first used and kept.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::MESSAGE_BYTES_MAX;
use crate::log::identity::LogOwner;
use crate::pb;
use crate::pb::raft_transport_client::RaftTransportClient;

/// A peer that does not answer a connection attempt by then is down or far too busy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Finds a peer that vanished without a word within seconds.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub(crate) struct Peers {
    owner: LogOwner,
    tls: Option<ClientTlsConfig>,
    /// By node; a node that moved gets a new connection.
    channels: Mutex<HashMap<u64, (String, Channel)>>,
}

impl Peers {
    pub(crate) fn new(owner: LogOwner, tls: Option<ClientTlsConfig>) -> Self {
        Self { owner, tls, channels: Mutex::default() }
    }

    /// What a request says about where it goes.
    pub(super) fn header(&self, group: u64, to: u64) -> pb::Header {
        let cluster = Bytes::copy_from_slice(&self.owner.cluster.to_be_bytes());
        pb::Header { cluster, group, from: self.owner.node.0, to }
    }

    /// A client over the node's one connection.
    pub(super) fn client(
        &self,
        node: u64,
        address: &str,
    ) -> Result<RaftTransportClient<Channel>, tonic::transport::Error> {
        let mut channels = self.channels.lock();
        let channel = match channels.get(&node) {
            Some((known, channel)) if known == address => channel.clone(),
            _ => {
                let channel = self.connect(address)?;
                channels.insert(node, (address.to_owned(), channel.clone()));
                channel
            }
        };
        let client = RaftTransportClient::new(channel);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    fn connect(&self, address: &str) -> Result<Channel, tonic::transport::Error> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE_EVERY)
            .tcp_nodelay(true);
        if let Some(tls) = &self.tls {
            endpoint = endpoint.tls_config(tls.clone())?;
        }
        Ok(endpoint.connect_lazy())
    }
}
