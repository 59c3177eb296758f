//! What the cluster is made of, asked of one node: before anything is known of the others.

use std::time::Duration;

use buzon_model::read::{At, ReadAt, Topology};
use buzon_proto::pb::directory::v1::TopologyRequest;
use buzon_proto::pb::directory::v1::directory_service_client::DirectoryServiceClient;
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::LogIndex;

use crate::calls::RESPONSE_BYTES_MAX;
use crate::transport::Transport;

/// The nodes and shards that this node knows of. With [`ReadAt::Local`] any node answers, also while the directory has
/// no leader; it may be behind. One attempt: who asks goes on to the next node.
///
/// # Errors
/// As the node says, or [`ErrorCode::DeadlineExceeded`].
pub async fn topology(
    transport: Transport,
    at: ReadAt,
    deadline: Duration,
) -> Result<At<Topology>, CallError> {
    let mut client = DirectoryServiceClient::new(transport).max_decoding_message_size(RESPONSE_BYTES_MAX);
    let answer = tokio::time::timeout(deadline, client.topology(TopologyRequest { read: Some(at.into()) }));
    let late = |_| CallError::new(ErrorCode::DeadlineExceeded, "no answer in time");
    let answer = answer.await.map_err(late)?.map_err(|status| CallError::from(&status))?.into_inner();
    let index = LogIndex(answer.index);
    // A topology of a later version: for the caller a node that cannot be used.
    let value = answer.try_into().map_err(|error: buzon_proto::wire::WireError| {
        CallError::new(ErrorCode::Internal, error.to_string())
    })?;
    Ok(At { index, value })
}
