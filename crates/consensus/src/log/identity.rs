//! Whose log a directory holds: log and database carry the same ids, and a mismatch refuses to start (DESIGN D2).

use std::fmt;

use buzon_types::id::NodeId;
use bytes::Bytes;
use prost::Message as _;

use super::LogError;
use crate::pb;

/// Cluster, node and incarnation. A node that lost its log comes back with a new node id and incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOwner {
    /// Random, made when the cluster is founded.
    pub cluster: u128,
    /// The raft node id.
    pub node: NodeId,
    /// Random, made together with the log and the database.
    pub incarnation: u128,
}

impl fmt::Display for LogOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "node {} of cluster {:032x}, incarnation {:032x}",
            self.node, self.cluster, self.incarnation
        )
    }
}

impl LogOwner {
    /// As it is kept in the log.
    pub fn encode(&self) -> Bytes {
        let record = pb::LogOwner {
            cluster: Bytes::copy_from_slice(&self.cluster.to_be_bytes()),
            node: self.node.0,
            incarnation: Bytes::copy_from_slice(&self.incarnation.to_be_bytes()),
        };
        record.encode_to_vec().into()
    }

    /// The opposite of [`LogOwner::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let damaged = |source: Box<dyn std::error::Error + Send + Sync>| LogError::Storage {
            action: "read the owner of",
            source,
        };
        let record = pb::LogOwner::decode(bytes).map_err(|error| damaged(error.into()))?;
        let id = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).map(u128::from_be_bytes);
        Ok(Self {
            cluster: id(&record.cluster).map_err(|error| damaged(error.into()))?,
            node: NodeId(record.node),
            incarnation: id(&record.incarnation).map_err(|error| damaged(error.into()))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_reads_back_as_written() {
        let owner = LogOwner { cluster: 7 << 100, node: NodeId(3), incarnation: 9 };
        assert_eq!(LogOwner::decode(&owner.encode()).unwrap(), owner);
        assert!(LogOwner::decode(b"\x0a\x01x").is_err());
    }
}
