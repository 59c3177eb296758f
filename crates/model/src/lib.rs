//! The mailbox state machine (DESIGN D1): UIDs, modseq, flags, the mailbox tree, quota, request deduplication,
//! and the directory of tenants and addresses. `decide(state, entry) -> (changes, outcome)` is pure: no I/O, no
//! clock, no randomness. Replicas that apply the same entries hold the same rows.
//!
//! ```text
//! Entry ──▶ state.missing(&command) ──▶ rows loaded by the shell ──▶ decide ──▶ Changes ──▶ state.absorb + SQL
//! ```

mod cache;
pub mod change;
pub mod command;
pub mod decide;
pub mod digest;
pub mod event;
pub mod index;
pub mod invariants;
pub mod limits;
pub mod placement;
pub mod read;
pub mod reply;
pub mod requests;
pub mod row;
pub mod scope;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
