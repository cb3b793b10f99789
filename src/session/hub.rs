//! What all sessions of one server share.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{QueueLimits, Session, browsers::Browsers, counters::Counters};
use crate::{Reason, protocol::ClientId};

/// The floor above, as sessions see it.
pub(crate) trait Host: Send + Sync {
    /// Ends a session: out of the table and the channel index, counted and announced. Once only; later calls do nothing.
    fn remove(&self, session: &Arc<Session>, reason: Reason);

    /// Forgets a session whose farewell is on its way.
    fn bury(&self, id: &ClientId);

    /// Ends the sessions of one shard whose deadline has passed.
    fn sweep(&self, shard: usize);
}

/// A session that could not outlive its own handshake would send its client into an endless loop.
const SHORTEST_LIFE: Duration = Duration::from_millis(100);

/// Limits, counters, the clock and the way up, shared by all sessions.
pub(crate) struct Hub {
    pub(crate) limits: QueueLimits,
    /// The pause that clients are told to make between connects.
    pub(crate) interval: Duration,
    /// How long a client may stay away beyond that pause.
    pub(crate) max_interval: Duration,
    pub(crate) counters: Counters,
    pub(crate) host: Weak<dyn Host>,
    pub(super) browsers: Browsers,
    draining: AtomicBool,
    drained: Notify,
    epoch: Instant,
}

impl Hub {
    pub(crate) fn new(
        limits: QueueLimits,
        held_per_browser: usize,
        interval: Duration,
        max_interval: Duration,
        host: Weak<dyn Host>,
    ) -> Self {
        Self {
            browsers: Browsers::new(held_per_browser),
            limits,
            interval,
            max_interval: max_interval.max(SHORTEST_LIFE),
            counters: Counters::default(),
            host,
            draining: AtomicBool::new(false),
            drained: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// Milliseconds since the server was built.
    pub(crate) fn now(&self) -> u64 {
        millis(Instant::now().saturating_duration_since(self.epoch))
    }

    /// The moment `after` from now, as [`now`](Self::now) will tell it.
    pub(crate) fn deadline(&self, after: Duration) -> u64 {
        // The last value is kept for "no deadline".
        self.now().saturating_add(millis(after)).min(u64::MAX - 1)
    }

    /// Whether the server is shutting down: no connect is held any more.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    pub(crate) fn drain(&self) {
        self.draining.store(true, SeqCst);
        self.drained.notify_waiters();
    }

    /// Waits until the server shuts down.
    #[cfg(feature = "websocket")]
    pub(crate) async fn wait_for_drain(&self) {
        // Listens before it looks: `drain` in between is not missed.
        let drained = self.drained.notified();
        if !self.is_draining() {
            drained.await;
        }
    }

    pub(super) fn bury(&self, id: &ClientId) {
        if let Some(host) = self.host.upgrade() {
            host.bury(id);
        }
    }

    pub(crate) fn remove(&self, session: &Arc<Session>, reason: Reason) {
        if let Some(host) = self.host.upgrade() {
            host.remove(session, reason);
        }
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
