//! What the application has set: few entries, read with every message, changed hardly ever.

use std::{
    fmt, mem,
    sync::{
        Arc, RwLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use crate::sync::{read, write};

/// Entries in the order in which they are asked. A reader gets a snapshot, so that user code runs under no lock.
pub(crate) struct Registry<T> {
    entries: RwLock<Arc<[T]>>,
    /// Whether there are any; spares readers the lock where there are none.
    any: AtomicBool,
}

impl<T> Default for Registry<T> {
    fn default() -> Self {
        Self {
            entries: RwLock::new(Arc::new([])),
            any: AtomicBool::new(false),
        }
    }
}

impl<T: Clone> Registry<T> {
    /// Adds an entry after all others.
    pub(crate) fn add(&self, entry: T) {
        self.change(|entries| entries.push(entry));
    }

    /// Adds an entry at its place; those of one key stay in the order in which they came.
    pub(crate) fn add_sorted<K: Ord>(&self, entry: T, key: impl FnMut(&T) -> K) {
        self.change(|entries| {
            entries.push(entry);
            entries.sort_by_key(key);
        });
    }

    /// Takes entries away, and says whether there were any.
    pub(crate) fn remove(&self, is_it: impl Fn(&T) -> bool) -> bool {
        let mut found = false;
        self.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| !is_it(entry));
            found = entries.len() < before;
        });
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Acquire)
    }

    pub(crate) fn all(&self) -> Arc<[T]> {
        Arc::clone(&read(&self.entries))
    }

    fn change(&self, change: impl FnOnce(&mut Vec<T>)) {
        let mut entries = write(&self.entries);
        let mut changed = entries.to_vec();
        change(&mut changed);
        self.any.store(!changed.is_empty(), Release);
        let before = mem::replace(&mut *entries, changed.into());
        drop(entries);
        // The user's `Drop` runs under no lock.
        drop(before);
    }
}

impl<T> fmt::Debug for Registry<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("count", &read(&self.entries).len())
            .finish()
    }
}
