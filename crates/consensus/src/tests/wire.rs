//! Wires between nodes that break, and peers of old versions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use crate::network::Transport;
use crate::pb;
use crate::pb::raft_transport_server::{RaftTransport, RaftTransportServer};

/// A way to an address, on which all connections break once so much has gone over it since it was last told.
pub(super) struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: String,
    /// How much may still go; all, when it is the greatest number.
    left: AtomicU64,
    /// Counts how often it broke.
    broken: watch::Sender<u64>,
}

impl Wire {
    pub(super) async fn to(to: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { to, left: AtomicU64::new(u64::MAX), broken: watch::Sender::new(0) });
        tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((from, _)) = listener.accept().await {
                    tokio::spawn(carry(Arc::clone(&state), from));
                }
            }
        });
        Self { address, state }
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// It breaks after so many bytes more, both ways together.
    pub(super) fn breaks_after(&self, bytes: u64) {
        self.state.left.store(bytes, Ordering::SeqCst);
    }

    pub(super) fn broken(&self) -> u64 {
        *self.state.broken.borrow()
    }
}

async fn carry(state: Arc<State>, from: TcpStream) {
    let Ok(to) = TcpStream::connect(&state.to).await else { return };
    let mut broken = state.broken.subscribe();
    let (from_read, from_write) = from.into_split();
    let (to_read, to_write) = to.into_split();
    let there = pump(&state, from_read, to_write);
    let back = pump(&state, to_read, from_write);
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = broken.changed() => {}
    }
}

async fn pump(
    state: &State,
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        let take = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(read as u64));
        if state
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .is_ok_and(|left| left <= read as u64)
        {
            state.left.store(u64::MAX, Ordering::SeqCst);
            state.broken.send_modify(|broken| *broken += 1);
        }
    }
}

/// A peer that knows of snapshots what versions did that sent rows only, in one stream.
pub(super) struct Old(Transport);

impl Old {
    pub(super) fn service(transport: Transport) -> RaftTransportServer<Self> {
        let server = RaftTransportServer::new(Self(transport));
        server.max_decoding_message_size(8 << 20).max_encoding_message_size(8 << 20)
    }
}

#[tonic::async_trait]
impl RaftTransport for Old {
    async fn append_entries(
        &self,
        request: Request<pb::AppendEntriesRequest>,
    ) -> Result<Response<pb::AppendEntriesResponse>, Status> {
        self.0.append_entries(request).await
    }

    type HeartbeatsStream = <Transport as RaftTransport>::HeartbeatsStream;

    async fn heartbeats(
        &self,
        request: Request<pb::HeartbeatsRequest>,
    ) -> Result<Response<Self::HeartbeatsStream>, Status> {
        self.0.heartbeats(request).await
    }

    async fn rest(&self, request: Request<pb::RestRequest>) -> Result<Response<pb::RestResponse>, Status> {
        self.0.rest(request).await
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteResponse>, Status> {
        self.0.vote(request).await
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        self.0.pre_vote(request).await
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        self.0.transfer_leader(request).await
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotPart>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        self.0.install_snapshot(request).await
    }

    async fn snapshot_progress(
        &self,
        _: Request<pb::SnapshotProgressRequest>,
    ) -> Result<Response<pb::SnapshotProgressResponse>, Status> {
        // As a server answers what is not in its contract.
        Err(Status::unimplemented(""))
    }

    async fn digests(
        &self,
        request: Request<pb::DigestsRequest>,
    ) -> Result<Response<pb::DigestsResponse>, Status> {
        self.0.digests(request).await
    }

    async fn quarantine(
        &self,
        request: Request<pb::QuarantineRequest>,
    ) -> Result<Response<pb::Empty>, Status> {
        self.0.quarantine(request).await
    }

    type FetchSnapshotStream = <Transport as RaftTransport>::FetchSnapshotStream;

    async fn fetch_snapshot(
        &self,
        request: Request<pb::FetchSnapshotRequest>,
    ) -> Result<Response<Self::FetchSnapshotStream>, Status> {
        let request = request.into_inner();
        let known = pb::FetchSnapshotRequest {
            header: request.header,
            at_least: request.at_least,
            ..Default::default()
        };
        self.0.fetch_snapshot(Request::new(known)).await
    }
}
