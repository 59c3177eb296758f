//! openraft's own suite on our log and our state machine.

use std::sync::Arc;

use buzon_meta_store::sqlite::SqliteStore;
use buzon_types::id::{DIRECTORY, NodeId};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::cluster::Outcomes;
use crate::apply::budget::Budget;
use crate::apply::{Applier, Machine, MachineParts};
use crate::log::identity::LogOwner;
use crate::log::options::LogOptions;
use crate::log::raft_engine::RaftEngineLog;
use crate::log::shared::{AbortProcess, SharedLog};
use crate::raft_log::RaftLog;
use crate::type_config::TypeConfig;

struct Builder;

impl StoreBuilder<TypeConfig, RaftLog, Applier, (TempDir, SharedLog)> for Builder {
    async fn build(&self) -> Result<((TempDir, SharedLog), RaftLog, Applier), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let options = LogOptions::new(directory.path().join("log"));
        let backend = Arc::new(RaftEngineLog::open(&options).unwrap());
        let owner = LogOwner { cluster: 1, node: NodeId(1), incarnation: 1 };
        let log = SharedLog::start(backend, owner, &options, Arc::new(AbortProcess)).unwrap();
        let raft_log = RaftLog::new(log.group(DIRECTORY).unwrap(), None);
        let path = directory.path().join("rows.sqlite");
        let store = SqliteStore::open(&path, Arc::new(Outcomes)).await.unwrap();
        let machine = Machine::new(MachineParts {
            group: DIRECTORY,
            store: Arc::new(store),
            log: None,
            budget: Budget::new(1 << 20),
            fatal: Arc::new(AbortProcess),
            stop: CancellationToken::new(),
        });
        Ok(((directory, log), raft_log, Applier::new(Arc::new(machine))))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openrafts_suite_passes() {
    Suite::test_all(Builder).await.unwrap();
}
