//! All replicas of a group hold the same rows at the same index: compared in the nodes' databases, row for row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use buzon_meta_store::postgres::PostgresStore;
use buzon_meta_store::store::{MetaStore, OutcomeCodec};
use buzon_model::reply::Outcome;
use buzon_types::id::GroupId;
use serde_json::Value;

use super::{Cluster, HEAL_MAX};

struct Outcomes;

impl OutcomeCodec for Outcomes {
    fn encode(&self, outcome: &Outcome) -> Vec<u8> {
        buzon_proto::log::encode_outcome(outcome).to_vec()
    }

    fn decode(&self, bytes: &[u8]) -> Option<Outcome> {
        buzon_proto::log::decode_outcome(bytes::Bytes::copy_from_slice(bytes)).ok()
    }
}

impl Cluster {
    /// Waits until every group has stood still on all its members, as its leader names them, and compares their rows. The
    /// load must have ended.
    ///
    /// # Errors
    /// If rows differ at the same index, or a member never gets there.
    pub fn replicas_agree(&self) -> anyhow::Result<()> {
        let stores = self.runtime.block_on(self.stores())?;
        let until = Instant::now() + HEAL_MAX;
        loop {
            let behind = match self.members() {
                Ok(groups) => self.runtime.block_on(compare(&stores, &groups))?,
                Err(error) => Some(format!("{error:#}")),
            };
            let Some(behind) = behind else { return Ok(()) };
            ensure!(Instant::now() < until, "replicas do not meet: {behind}");
            std::thread::sleep(std::time::Duration::from_millis(200)); // the cluster tidies up at its own time
        }
    }

    async fn stores(&self) -> anyhow::Result<BTreeMap<u64, PostgresStore>> {
        let mut stores = BTreeMap::new();
        for (id, database) in self.ids.iter().zip(&self.databases) {
            let store = PostgresStore::connect(&database.options(), Arc::new(Outcomes)).await;
            stores.insert(*id, store.with_context(|| format!("node {id}"))?);
        }
        Ok(stores)
    }

    /// The members of each group, by node id.
    fn members(&self) -> anyhow::Result<BTreeMap<u64, Vec<u64>>> {
        let rows = self.ctl_anywhere(&["shard", "list"])?;
        let ids = |value: &Value| -> Vec<u64> {
            value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
        };
        let group = |row: &Value| {
            let group = row["group"].as_u64().context("a group")?;
            ensure!(!row["leader"].is_null(), "group {group} has no leader");
            Ok((group, [ids(&row["voters"]), ids(&row["learners"])].concat()))
        };
        rows.as_array().context("a list")?.iter().map(group).collect()
    }
}

/// None if all are equal; else which group is not at rest yet.
async fn compare(
    stores: &BTreeMap<u64, PostgresStore>,
    groups: &BTreeMap<u64, Vec<u64>>,
) -> anyhow::Result<Option<String>> {
    for (group, members) in groups {
        ensure!(!members.is_empty(), "group {group} has no members");
        let mut digests = BTreeMap::new();
        for node in members {
            let store = stores.get(node).with_context(|| format!("no database of node {node}"))?;
            let id = GroupId(*group);
            let head = store.head(id).await?.map_or(0, |head| head.applied.index);
            let digest = store.digest(id).await?;
            if store.head(id).await?.map_or(0, |head| head.applied.index) != head {
                return Ok(Some(format!("group {group} moves on node {node}")));
            }
            digests.insert(*node, (head, digest));
        }
        let heads: Vec<u64> = digests.values().map(|(head, _)| *head).collect();
        if heads.iter().any(|head| *head != heads[0]) {
            return Ok(Some(format!("group {group} stands at {digests:?}")));
        }
        ensure!(
            digests.values().all(|it| it.1 == digests[&members[0]].1),
            "the rows of group {group} differ at index {}: {digests:?}",
            heads[0]
        );
    }
    Ok(None)
}
