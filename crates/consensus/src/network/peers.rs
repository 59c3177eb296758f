//! The connections to other nodes, made when first used and kept.

use std::collections::HashMap;

use buzon_tls::connect::{AddressError, Connector};
use buzon_types::id::{GroupId, NodeId};
use bytes::Bytes;
use parking_lot::Mutex;
use tonic::Status;
use tonic::transport::Channel;

use super::MESSAGE_BYTES_MAX;
use crate::log::identity::LogOwner;
use crate::pb;
use crate::pb::raft_transport_client::RaftTransportClient;
use crate::quarantine::{self, Quarantine};

/// What a request goes through.
#[cfg(not(test))]
pub(super) type Way = Channel;
#[cfg(test)]
pub(super) use crate::simulation::network::Way;

/// See the module.
pub(crate) struct Peers {
    owner: LogOwner,
    connector: Connector,
    /// By node; a node that moved gets a new connection.
    channels: Mutex<HashMap<u64, (String, Channel)>>,
}

impl Peers {
    pub(crate) fn new(owner: LogOwner, connector: Connector) -> Self {
        Self { owner, connector, channels: Mutex::default() }
    }

    /// What a request says about where it goes.
    pub(super) fn header(&self, group: u64, to: u64) -> pb::Header {
        let cluster = Bytes::copy_from_slice(&self.owner.cluster.to_be_bytes());
        pb::Header { cluster, group, from: self.owner.node.0, to }
    }

    /// A client over the node's one connection.
    pub(super) fn client(&self, node: u64, address: &str) -> Result<RaftTransportClient<Way>, AddressError> {
        let way = self.way(node, address)?;
        let client = RaftTransportClient::new(way);
        Ok(client.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    #[cfg(test)]
    fn way(&self, node: u64, address: &str) -> Result<Way, AddressError> {
        match crate::simulation::network::way(node, address) {
            Some(way) => Ok(way),
            None => self.channel(node, address).map(Way::Channel),
        }
    }

    #[cfg(not(test))]
    fn way(&self, node: u64, address: &str) -> Result<Way, AddressError> {
        self.channel(node, address)
    }

    fn channel(&self, node: u64, address: &str) -> Result<Channel, AddressError> {
        let mut channels = self.channels.lock();
        match channels.get(&node) {
            Some((known, channel)) if known == address => Ok(channel.clone()),
            _ => {
                let channel = self.connector.channel(address)?;
                channels.insert(node, (address.to_owned(), channel.clone()));
                Ok(channel)
            }
        }
    }

    /// Where a member's state digests stood.
    pub(crate) async fn digests(
        &self,
        (node, address): (NodeId, &str),
        asked: Vec<pb::AskedDigests>,
    ) -> Result<Vec<pb::FoundDigest>, Status> {
        let mut client = self.client(node.0, address).map_err(|error| unreachable(&error))?;
        let request = pb::DigestsRequest { header: Some(self.header(0, node.0)), asked };
        Ok(client.digests(request).await?.into_inner().found)
    }

    /// Tells a member that its rows are not those of the majority.
    pub(crate) async fn quarantine(
        &self,
        (node, address): (NodeId, &str),
        group: GroupId,
        quarantine: &Quarantine,
    ) -> Result<(), Status> {
        let mut client = self.client(node.0, address).map_err(|error| unreachable(&error))?;
        let (header, quarantine) = (Some(self.header(group.0, node.0)), Some(quarantine::encode(quarantine)));
        client.quarantine(pb::QuarantineRequest { header, quarantine }).await.map(drop)
    }
}

fn unreachable(error: &AddressError) -> Status {
    Status::unavailable(error.to_string())
}
