//! A disk that has failed is not believed again: after a failed fsync the next one tells of success although what the
//! first should have written is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::StoreError;

/// Whether the disk has failed. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    failed: Arc<AtomicBool>,
}

impl Disk {
    /// Remembers what went wrong.
    pub(super) fn observe<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Disk(_)) = &result {
            self.failed.store(true, Ordering::Release);
        }
        result
    }

    /// Nothing is written any more once it has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Disk(std::io::Error::other("it failed before").into()));
        }
        Ok(())
    }
}
