//! What can be asked of the directory about the cluster's nodes and shards. From feature level
//! [`crate::limits::FEATURE_LEVEL_CLUSTER`] on.
//!
//! Every one may be repeated after a lost answer: the second time it finds what it wants and changes nothing.

use buzon_types::id::{GroupId, Incarnation, NodeId};
use buzon_types::node::{NodeAddress, Zone};

use crate::row::NodeState;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterCommand {
    /// Makes the rows of the first nodes and shards. Accounts that are placed already are counted on their shards, each
    /// of which must be named. Refused once there is another cluster.
    FoundCluster(FoundCluster),
    /// Gives a node an id. → [`crate::reply::Reply::NodeAdded`]
    AddNode(AddNode),
    /// A node is removed only when no shard wants it any more, and stays so.
    SetNodeState {
        /// Which.
        node: NodeId,
        /// From now on.
        state: NodeState,
    },
    /// A node is reached elsewhere: its name or port has changed, its disk has not.
    SetNodeAddress {
        /// Which.
        node: NodeId,
        /// From now on.
        address: NodeAddress,
    },
    /// More shards. → [`crate::reply::Reply::ShardsAdded`]
    AddShards(Vec<NewShard>),
    /// The nodes that shall vote in a shard. Refused when they were changed since they were looked at.
    SetShardVoters {
        /// Which shard.
        group: GroupId,
        /// From now on; 1 to [`crate::limits::VOTERS_MAX`] nodes that are not removed.
        voters: Vec<NodeId>,
        /// As they were looked at.
        expected: Vec<NodeId>,
    },
    /// How many voters shards shall have from now on: 1, 3 or 5. Changes no shard by itself.
    SetVotersPerShard(u8),
}

/// See [`ClusterCommand::FoundCluster`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCluster {
    /// At least one.
    pub nodes: Vec<FoundingNode>,
    /// 1, 3 or 5; while there are fewer nodes, shards have fewer.
    pub voters_per_shard: u8,
    /// At least one.
    pub shards: Vec<FoundingShard>,
}

/// A node that the cluster begins with: its id is fixed by then, since it votes in the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingNode {
    /// From 1.
    pub id: NodeId,
    /// Where the others reach it.
    pub address: NodeAddress,
    /// Where it stands, if that is known.
    pub zone: Option<Zone>,
    /// Which life of its disk this is.
    pub incarnation: Incarnation,
}

/// A shard that the cluster begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingShard {
    /// From 1.
    pub group: GroupId,
    /// Nodes of the same command.
    pub voters: Vec<NodeId>,
}

/// A node that wants to join.
///
/// The incarnation says whether it is one that was added before: it gets the id it had. A node that lost its disk has a
/// new incarnation; it says whose place it takes, and that one is removed in the same entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddNode {
    /// Where the others reach it.
    pub address: NodeAddress,
    /// Where it stands, if that is known.
    pub zone: Option<Zone>,
    /// Which life of its disk this is.
    pub incarnation: Incarnation,
    /// The node whose disk is lost: it is removed, and shards want this one in its place.
    pub replaces: Option<NodeId>,
}

/// A shard to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewShard {
    /// Its group; one that is there already is left alone. `None`: the next one, so that only a request id keeps a
    /// repetition from adding another.
    pub group: Option<GroupId>,
    /// Nodes that are not removed.
    pub voters: Vec<NodeId>,
}
