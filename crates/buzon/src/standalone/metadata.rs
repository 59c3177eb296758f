//! The metadata half of a standalone server: log, SQLite, the two groups, their services in this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use buzon_consensus::log::identity::LogOwner;
use buzon_consensus::node::{Node, NodeOptions};
use buzon_meta_client::meta::{Meta, Options as MetaOptions};
use buzon_meta_store::sqlite::SqliteStore;
use buzon_meta_store::store::MetaStore;
use buzon_metad::node::NodeGroups;
use buzon_metad::server::{Options as MetadOptions, Server as Metad};
use buzon_telemetry::Telemetry;
use buzon_types::id::{DIRECTORY, GroupId, NodeId};
use buzon_types::secret::Secret;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::outcomes::Outcomes;

/// The one shard.
const SHARD: GroupId = GroupId(1);
/// Owner of the client instances of the front-end in this process.
const FRONT_END: u64 = 1;
/// A lone voter is never called; its name only stands in the membership.
const ADDRESS: &str = "standalone";

/// See the module.
pub(super) struct Metadata {
    node: Node,
    store: Arc<dyn MetaStore>,
    pub(super) metad: Metad,
    pub(super) meta: Meta,
}

impl Metadata {
    /// Opens what is in the data directory, or founds it.
    ///
    /// # Errors
    /// If log or database are damaged or not this node's.
    pub(super) async fn open(
        config: &Config,
        data_dir: &DataDir,
        telemetry: &Telemetry,
    ) -> anyhow::Result<Self> {
        let identity = data_dir.identity()?;
        let store = SqliteStore::open(&data_dir.join("metadata.sqlite"), Arc::new(Outcomes)).await;
        let store: Arc<dyn MetaStore> = Arc::new(store.context("open the database")?);
        let owner = LogOwner {
            cluster: identity.cluster,
            node: NodeId(identity.node),
            incarnation: identity.incarnation,
        };
        let mut options = NodeOptions::new(owner, config.raft.log(&data_dir.join("log")));
        options.cache_bytes_max = usize::try_from(config.memory.metadata_cache_bytes).unwrap_or(usize::MAX);
        let node = Node::open(options, store.clone()).await.context("open the raft log")?;
        ensure!(
            !identity.founded || !node.stored_groups().is_empty(),
            "{} has no raft log, though this server was founded: the log is lost. Restore the data directory from a \
             backup; to begin anew and give up its mail, remove the directory",
            data_dir.path().display()
        );
        let voters = BTreeMap::from([(NodeId(identity.node), ADDRESS.to_owned())]);
        for group in [DIRECTORY, SHARD] {
            let group = node.found_group(group, &voters).await.context("open a raft group")?;
            group.wait_for_leader().await.context("elect a leader")?;
        }
        if !identity.founded {
            data_dir.set_founded(identity)?;
        }
        let admin_token = Secret::new(data_dir.admin_token(config)?);
        let options = MetadOptions { admin_token, meter: telemetry.meter("buzon.metad") };
        let metad = Metad::new(Arc::new(NodeGroups::new(node.clone())), options);
        // One front-end, always the same one.
        let options = MetaOptions { owner: FRONT_END, ..MetaOptions::default() };
        let meta = Meta::in_process(metad.internal_routes(), metad.local(), options);
        Ok(Self { node, store, metad, meta })
    }

    /// Closes the client's instances, then the groups and the log, the database last.
    pub(super) async fn close(self) {
        if let Err(error) = self.meta.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "close client instances");
        }
        self.node.close().await;
        self.store.close().await;
    }
}
