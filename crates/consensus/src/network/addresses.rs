//! Where a group's peers are called.
//!
//! openraft goes on with the clients that it has when a member's address changes, for as long as this node leads: so they
//! look here for each call.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// By node; shared by a group's handles and its clients.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<BTreeMap<u64, Arc<str>>>);

impl Addresses {
    /// From now on.
    pub(crate) fn set(&self, node: u64, address: &str) {
        self.0.lock().insert(node, address.into());
    }

    pub(super) fn get(&self, node: u64) -> Arc<str> {
        self.0.lock().get(&node).cloned().unwrap_or_default()
    }
}
