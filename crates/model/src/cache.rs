//! Rows in memory by key, each with when it was last used. "Known to be absent" is an answer too.
//!
//! Use is counted in atomics, so that readers mark it with the state shared. Nothing that is decided depends on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// When something was last used, in ticks of the state's clock of uses.
#[derive(Debug, Default)]
pub(crate) struct Used(AtomicU64);

impl Used {
    pub(crate) fn mark(&self, clock: &Used) {
        self.0.store(clock.0.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(crate) fn tick(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a map's nodes and a slot take besides the value, nearly.
const SLOT_BYTES: usize = 64;

#[derive(Debug)]
pub(crate) struct Slot<V> {
    pub(crate) value: Option<V>,
    bytes: usize,
    used: Used,
}

/// Slots by key.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    slots: BTreeMap<K, Slot<V>>,
    bytes: usize,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), bytes: 0 }
    }
}

impl<K: Ord + Clone, V> Cache<K, V> {
    /// Whether it is loaded, as present or as absent; marks its use.
    pub(crate) fn knows(&self, key: &K, clock: &Used) -> bool {
        self.slots.get(key).inspect(|slot| slot.used.mark(clock)).is_some()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.slots.contains_key(key)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.slots.get(key)?.value.as_ref()
    }

    /// Puts a value that takes `bytes`, or its absence.
    pub(crate) fn put(&mut self, key: K, value: Option<V>, bytes: usize, clock: &Used) {
        let slot = Slot { value, bytes: bytes + SLOT_BYTES, used: Used::default() };
        slot.used.mark(clock);
        self.bytes += slot.bytes;
        if let Some(old) = self.slots.insert(key, slot) {
            self.bytes -= old.bytes;
        }
    }

    /// Changes a value that is loaded and present; `bytes` tells what it takes then.
    pub(crate) fn update(&mut self, key: &K, change: impl FnOnce(&mut V), bytes: impl FnOnce(&V) -> usize) {
        if let Some(slot) = self.slots.get_mut(key)
            && let Some(value) = slot.value.as_mut()
        {
            change(value);
            let now = bytes(value) + SLOT_BYTES;
            self.bytes = self.bytes - slot.bytes + now;
            slot.bytes = now;
        }
    }

    pub(crate) fn forget(&mut self, key: &K) {
        if let Some(old) = self.slots.remove(key) {
            self.bytes -= old.bytes;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Present values with their keys, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().filter_map(|(key, slot)| Some((key, slot.value.as_ref()?)))
    }

    /// Keys that are loaded, present or absent.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.slots.keys()
    }

    /// When each key was last used.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (u64, &K)> {
        self.slots.iter().map(|(key, slot)| (slot.used.tick(), key))
    }
}
