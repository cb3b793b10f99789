//! What each client expects to get, and what all of them got.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What all clients have seen.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) messages: AtomicU64,
    /// Numbers that came again or too late.
    pub(crate) doubled: AtomicU64,
    /// Numbers that did not come, though nothing had broken or the client acknowledges.
    pub(crate) lost: AtomicU64,
    /// Numbers that did not come to a client that does not acknowledge, over a connection that broke.
    pub(crate) lost_with_connection: AtomicU64,
    pub(crate) left: AtomicU64,
    pub(crate) vanished: AtomicU64,
    pub(crate) stuck: AtomicU64,
    pub(crate) reconnected: AtomicU64,
    /// Sessions that had gone when their clients came back.
    pub(crate) unknown: AtomicU64,
    /// Connections that broke though no client broke them: a machine that is too busy does that.
    pub(crate) broken: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Tally {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }
}

/// The numbers of one room, as one session sees them.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: Option<u64>,
    /// Whether the client gets again what it did not acknowledge.
    acknowledges: bool,
    /// Whether a connection has broken since the last number.
    broken: bool,
}

impl Sequence {
    pub(crate) fn new(acknowledges: bool) -> Self {
        Self {
            acknowledges,
            ..Self::default()
        }
    }

    /// The connection has broken: what was on its way may be lost.
    pub(crate) const fn breaks(&mut self) {
        self.broken = true;
    }

    pub(crate) fn arrived(&mut self, number: u64, tally: &Tally) {
        Tally::count(&tally.messages);
        let Some(last) = self.last else {
            self.last = Some(number);
            return;
        };
        if number <= last {
            Tally::count(&tally.doubled);
            return;
        }
        let is_excused = self.broken && !self.acknowledges;
        let counter = if is_excused {
            &tally.lost_with_connection
        } else {
            &tally.lost
        };
        counter.fetch_add(number - last - 1, Relaxed);
        self.last = Some(number);
        self.broken = false;
    }
}
