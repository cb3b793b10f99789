//! How many messages were refused, by the error that their clients were told.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::protocol::BayeuxError;

const ERRORS: usize = BayeuxError::ALL.len();

/// A count for each [`BayeuxError`].
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ErrorCounts([u64; ERRORS]);

impl ErrorCounts {
    /// The count for one error.
    #[must_use]
    pub fn count(&self, error: BayeuxError) -> u64 {
        self.0.get(error as usize).copied().unwrap_or_default()
    }

    /// The sum over all errors.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The errors that were counted at least once.
    pub fn iter(&self) -> impl Iterator<Item = (BayeuxError, u64)> + '_ {
        BayeuxError::ALL
            .iter()
            .copied()
            .zip(self.0)
            .filter(|(_, count)| *count > 0)
    }
}

impl fmt::Debug for ErrorCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The live counters. One set for all threads: refusals are rare, or slowed down where they are not.
#[derive(Debug, Default)]
pub(crate) struct PerError([AtomicU64; ERRORS]);

impl PerError {
    #[cold]
    pub(crate) fn add(&self, error: BayeuxError) {
        if let Some(counter) = self.0.get(error as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> ErrorCounts {
        let mut counts = ErrorCounts::default();
        for (count, counter) in counts.0.iter_mut().zip(&self.0) {
            *count = counter.load(Relaxed);
        }
        counts
    }
}
