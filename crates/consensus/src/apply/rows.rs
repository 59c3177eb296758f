//! Rows into memory: for entries before they are decided, and for readers.

use std::sync::Arc;

use buzon_model::command::Entry as Command;
use buzon_model::scope::Need;
use buzon_model::state::State;
use tokio::sync::OwnedRwLockReadGuard;

use super::error::ApplyError;
use super::machine::{Loaded, Machine};

/// Loads for one command lead to one another at most so often (an address to an account to a mailbox); more is a
/// fault of the model.
pub(super) const LOAD_ROUNDS_MAX: usize = 16;
/// Rows of so many needs wait outside of the state for the server to be asked whether they can be believed: few, since
/// each may be the index of a large mailbox.
const NEEDS_AT_ONCE: usize = 8;

impl Machine {
    /// Loads what the batch's commands miss before any of them is decided, so that the batch is not broken up. Stops
    /// when the cache is full: what is still missed is loaded command by command, with room made in between.
    pub(super) async fn load_ahead(
        &self,
        loaded: &mut Loaded,
        commands: &[Option<Command>],
    ) -> Result<(), ApplyError> {
        for _ in 0..LOAD_ROUNDS_MAX {
            let mut needs: Vec<Need> = Vec::new();
            for command in commands.iter().flatten() {
                for need in loaded.state.missing(&command.command) {
                    if !needs.contains(&need) {
                        needs.push(need);
                    }
                }
            }
            if needs.is_empty() {
                break;
            }
            for some in needs.chunks(NEEDS_AT_ONCE) {
                if loaded.state.bytes() > loaded.share.bytes_max() {
                    return Ok(());
                }
                self.load_rows(loaded, some).await?;
            }
        }
        Ok(())
    }

    /// Loads rows into the state, once all that was handed over is written; nothing else may be in it. No row gets there
    /// before it can be believed, so that a caller who goes away in the middle does no harm.
    pub(super) async fn load_rows(&self, loaded: &mut Loaded, needs: &[Need]) -> Result<(), ApplyError> {
        let (store, group) = (self.store(), self.group());
        if !needs.is_empty() {
            loaded.settle().await?;
        }
        for some in needs.chunks(NEEDS_AT_ONCE) {
            let mut rows = Vec::with_capacity(some.len());
            for need in some {
                rows.push(store.load(group, need).await.map_err(|error| self.store_error(error))?);
            }
            self.check_server(loaded.server).await?;
            rows.into_iter().for_each(|rows| loaded.state.insert(rows));
            loaded.share.set(loaded.bytes());
        }
        Ok(())
    }

    /// A server that restarted may have lost its last transactions, so rows read from it may be older than the
    /// state. Asked after reading.
    pub(super) async fn check_server(&self, server: u64) -> Result<(), ApplyError> {
        let now = self.store().server_incarnation().await.map_err(|error| self.store_error(error))?;
        if now == server { Ok(()) } else { Err(ApplyError::Restarted(self.group())) }
    }

    /// The state with the rows that `needs` asks for, held still while the guard lives: entries wait.
    pub(crate) async fn look(
        &self,
        needs: impl Fn(&State) -> Vec<Need> + Send,
    ) -> Result<OwnedRwLockReadGuard<Option<Loaded>, Loaded>, ApplyError> {
        for round in 0..LOAD_ROUNDS_MAX {
            let guard = Arc::clone(&self.loaded).read_owned().await;
            if let Ok(guard) = OwnedRwLockReadGuard::try_map(guard, Option::as_ref)
                && !guard.behind.has_failed()
                && needs(&guard.state).is_empty()
            {
                return Ok(guard);
            }
            let mut slot = self.loaded.write().await;
            let result = async {
                let loaded = self.loaded_for_reader(&mut slot).await?;
                let needs = needs(&loaded.state);
                if round == 0 {
                    // Only once, or what was loaded for this very reader would go again when it takes more than fits.
                    loaded.shrink();
                }
                self.load_rows(loaded, &needs).await
            };
            if let Err(error) = result.await {
                *slot = None;
                return Err(error);
            }
        }
        Err(ApplyError::Unloadable { group: self.group(), index: self.applied.borrow().0, need: None })
    }
}
