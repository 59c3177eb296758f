//! `buzon ctl status`.

use buzon_proto::pb::admin::v1::StatusRequest;
use serde_json::{Value, json};

use super::connection::Admin;
use super::output::Output;

const COLUMNS: &[&str] =
    &["group", "kind", "leader", "term", "last_log", "applied", "purged", "voters", "version"];

pub(super) async fn run(admin: &mut Admin) -> anyhow::Result<Output> {
    let status = admin.status(StatusRequest {}).await?.into_inner();
    let rows = status.groups.iter().map(|it| {
        vec![
            json!(it.id),
            json!(if it.id == 0 { "directory" } else { "shard" }),
            if it.leader == 0 { Value::Null } else { json!(it.leader) },
            json!(it.term),
            json!(it.last_log),
            json!(it.applied),
            json!(it.purged),
            json!(it.voters),
            json!(status.version),
        ]
    });
    Ok(Output::Rows(COLUMNS, rows.collect()))
}
