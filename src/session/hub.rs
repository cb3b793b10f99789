//! What all sessions of one server share.

use std::{
    sync::{
        Arc, Weak,
        atomic::Ordering::{Acquire, Release, SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{QueueLimits, ServerSession, Session, Times, browsers::Browsers, counters::Counters};
use crate::{
    Reason,
    protocol::{ClientId, Frame},
    sync::AtomicBool,
};

/// The floor above, as sessions see it.
pub(crate) trait Host: Send + Sync {
    /// Ends a session: out of the table and the channel index, counted and announced. Once only; later calls do nothing.
    fn remove(&self, session: &Arc<Session>, reason: Reason);

    /// What the server's extensions make of an event for this session alone; `None` if one deletes it.
    fn extend(&self, session: &ServerSession, frame: Frame) -> Option<Frame>;

    /// Forgets a session whose farewell is on its way.
    fn bury(&self, id: &ClientId);

    /// Ends the sessions of one shard whose deadline has passed.
    fn sweep(&self, shard: usize);
}

/// Limits, counters, the clock and the way up, shared by all sessions.
pub(crate) struct Hub {
    pub(crate) limits: QueueLimits,
    /// The times of a session that has none of its own.
    pub(crate) times: Times,
    /// How long lazy messages wait at most.
    pub(crate) max_lazy_timeout: Duration,
    pub(crate) counters: Counters,
    pub(crate) host: Weak<dyn Host>,
    pub(super) browsers: Browsers,
    draining: AtomicBool,
    /// Whether there is any extension, of the server or of a session.
    extended: AtomicBool,
    drained: Notify,
    epoch: Instant,
}

impl Hub {
    pub(crate) fn new(
        limits: QueueLimits,
        held_per_browser: usize,
        times: Times,
        max_lazy_timeout: Duration,
        host: Weak<dyn Host>,
    ) -> Self {
        Self {
            browsers: Browsers::new(held_per_browser),
            limits,
            times,
            max_lazy_timeout,
            counters: Counters::default(),
            host,
            draining: AtomicBool::new(false),
            extended: AtomicBool::new(false),
            drained: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// Milliseconds since the server was built.
    pub(crate) fn now(&self) -> u64 {
        millis(Instant::now().saturating_duration_since(self.epoch))
    }

    pub(super) fn now_in_nanos(&self) -> u64 {
        let age = Instant::now().saturating_duration_since(self.epoch);
        u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)
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

    /// Whether messages have to be shown to extensions.
    pub(crate) fn is_extended(&self) -> bool {
        self.extended.load(Acquire)
    }

    pub(crate) fn extend(&self) {
        self.extended.store(true, Release);
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
