//! The types with which this project uses openraft, named once.

use std::fmt;

use buzon_model::reply::Outcome;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

openraft::declare_raft_types!(
    /// Entries carry encoded log commands; answers are what apply made of them.
    pub(crate) TypeConfig:
        D = LogCommand,
        R = Answer,
        NodeId = u64,
        Node = openraft::impls::BasicNode,
        AsyncRuntime = RaftRuntime,
);

/// In tests the simulation may say which tasks are whose, and what is random.
#[cfg(not(test))]
pub(crate) type RaftRuntime = openraft::impls::TokioRuntime;
#[cfg(test)]
pub(crate) type RaftRuntime = crate::simulation::runtime::Runtime;

pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type LeaderId = openraft::type_config::alias::LeaderIdOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type Membership = openraft::Membership<u64, openraft::impls::BasicNode>;
pub(crate) type EntryResponder = openraft::storage::EntryResponder<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
pub(crate) type Raft = openraft::Raft<TypeConfig, crate::apply::Applier>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;

/// A proposal that is applied.
pub(crate) type Written = openraft::raft::ClientWriteResponse<TypeConfig>;

/// An encoded log command: raft carries it and does not look inside.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LogCommand(pub(crate) Bytes);

impl fmt::Debug for LogCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for LogCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// What apply tells the proposer; it does not leave the process. Nothing for entries that are no commands, and when
/// what the entry came to was lost with a database error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer(pub(crate) Option<Outcome>);

/// openraft asks for serde on its types; ours are written as protobuf only (`record`), so nothing may ever use it.
macro_rules! never_by_serde {
    ($name:ty) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("raft records are written as protobuf"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
                Err(serde::de::Error::custom("raft records are read as protobuf"))
            }
        }
    };
}

never_by_serde!(LogCommand);
never_by_serde!(Answer);
