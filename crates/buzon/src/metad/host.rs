//! Who this process is: kept in the data directory, given by a cluster once.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use buzon_consensus::log::identity::LogOwner;
use buzon_consensus::node::Node;
use buzon_metad::cluster::{About, Host, Identity};
use buzon_proto::status::{CallError, ErrorCode};
use buzon_types::id::NodeId;
use tokio::sync::watch;

use crate::config::Config;
use crate::data_dir::{DataDir, NodeIdentity};

/// See the module.
pub(super) struct ProcessHost {
    data_dir: Arc<DataDir>,
    identity: watch::Sender<NodeIdentity>,
    address: String,
    zone: Option<String>,
    node: OnceLock<Node>,
    /// One identity is taken at a time.
    assigning: tokio::sync::Mutex<()>,
}

impl ProcessHost {
    pub(super) fn new(data_dir: Arc<DataDir>, config: &Config) -> anyhow::Result<Arc<Self>> {
        let identity = watch::Sender::new(data_dir.cluster_identity()?);
        let address = config.cluster.address.clone().unwrap_or_default();
        // Set to nothing by a downward API that has no such label.
        let zone = config.cluster.zone.clone().filter(|zone| !zone.is_empty());
        let node = OnceLock::new();
        Ok(Arc::new(Self {
            data_dir,
            identity,
            address,
            zone,
            node,
            assigning: tokio::sync::Mutex::default(),
        }))
    }

    /// Whether it has an identity.
    pub(super) fn is_assigned(&self) -> bool {
        self.identity().node != 0
    }

    /// Waits for an identity.
    pub(super) async fn assigned(&self) {
        // The sender lives as long as this does.
        let _ = self.identity.subscribe().wait_for(|identity| identity.node != 0).await;
    }

    /// As kept in the data directory.
    pub(super) fn identity(&self) -> NodeIdentity {
        *self.identity.borrow()
    }

    /// As log and database carry it.
    pub(super) fn owner(&self) -> LogOwner {
        let NodeIdentity { cluster, node, incarnation, .. } = self.identity();
        LogOwner { cluster, node: NodeId(node), incarnation }
    }

    /// Notes that the node is open.
    pub(super) fn set_node(&self, node: Node) {
        // Opened once.
        let _ = self.node.set(node);
    }

    /// Notes that this node carries groups: without a log it has lost it from now on.
    pub(super) fn set_founded(&self) -> anyhow::Result<()> {
        let identity = self.identity();
        if !identity.founded {
            self.data_dir.set_founded(identity)?;
            self.identity.send_modify(|identity| identity.founded = true);
        }
        Ok(())
    }
}

#[async_trait]
impl Host for ProcessHost {
    fn about(&self) -> About {
        let NodeIdentity { cluster, node, incarnation, .. } = self.identity();
        let identity = (node != 0).then_some(Identity { cluster, node: NodeId(node) });
        About { incarnation, identity, address: self.address.clone(), zone: self.zone.clone() }
    }

    fn node(&self) -> Option<Node> {
        self.node.get().cloned()
    }

    async fn assign(&self, identity: Identity) -> Result<(), CallError> {
        let _one = self.assigning.lock().await;
        let now = self.identity();
        if now.node != 0 {
            return Err(CallError::new(ErrorCode::Precondition, "this node was given an identity meanwhile"));
        }
        let taken = NodeIdentity { cluster: identity.cluster, node: identity.node.0, ..now };
        let failed = |error: anyhow::Error| CallError::new(ErrorCode::Internal, format!("{error:#}"));
        self.data_dir.set_identity(&taken).map_err(failed)?;
        tracing::info!(node = %identity.node, cluster = %format!("{:032x}", identity.cluster), "identity taken");
        self.identity.send_replace(taken);
        Ok(())
    }
}
