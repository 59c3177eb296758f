//! `buzon ctl upgrade`.

use buzon_proto::pb::admin::v1::{FinalizeUpgradeRequest, UpgradeStatusRequest};
use serde_json::json;

use super::connection::Admin;
use super::output::Output;
use crate::cli::UpgradeCommand;

pub(super) async fn run(admin: &mut Admin, command: UpgradeCommand) -> anyhow::Result<Output> {
    match command {
        UpgradeCommand::Status => {
            let status = admin.upgrade_status(UpgradeStatusRequest {}).await?.into_inner();
            let versions = status.nodes.iter().map(|it| {
                json!({"node": it.node, "reachable": it.reachable, "version": it.version, "level_max": it.level_max})
            });
            let known = || status.groups.iter().map(|it| it.level).filter(|level| *level != 0);
            let above = status.level_possible;
            let waiting = status.groups.iter().filter(|it| it.level < above).count();
            Ok(Output::One(vec![
                ("nodes", versions.collect()),
                ("level_least", json!(known().min())),
                ("level_greatest", json!(known().max())),
                ("level_possible", if above == 0 { json!(null) } else { json!(above) }),
                ("groups", json!(status.groups.len())),
                ("groups_to_raise", json!(waiting)),
            ]))
        }
        UpgradeCommand::Finalize => {
            let done = admin.finalize_upgrade(FinalizeUpgradeRequest {}).await?.into_inner();
            Ok(Output::One(vec![("level", json!(done.level)), ("groups_raised", json!(done.groups))]))
        }
    }
}
