//! This node and its groups.

use buzon_proto::pb::admin::v1 as pb;
use buzon_proto::status::CallError;

use super::Admin;

pub(super) async fn status(admin: &Admin, _: pb::StatusRequest) -> Result<pb::StatusResponse, CallError> {
    let group = |replica: &std::sync::Arc<dyn crate::groups::Replica>| {
        let status = replica.status();
        pb::Group {
            id: replica.id().0,
            leader: status.leader.map_or(0, |node| node.0),
            term: status.term,
            last_log: status.last_log.0,
            applied: status.applied.0,
            purged: status.purged.0,
            voters: status.voters.iter().map(|node| node.0).collect(),
        }
    };
    Ok(pb::StatusResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: admin.groups.node().0,
        groups: admin.groups.groups().iter().map(group).collect(),
    })
}
