//! What all sessions of one server share.

use std::{
    hash::RandomState,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicI64,
            Ordering::{Acquire, Release, SeqCst},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    Admission, AdmissionLimits, MessageRate, QueueLimits, ServerSession, Session, Stats, Times, Watch,
    browsers::Browsers, counters::Counters, gather::Window, rate::Bucket,
};
use crate::{
    Reason,
    protocol::{ClientId, Frame},
    random::Random,
    sync::AtomicBool,
    trouble::Trouble,
};

/// The floor above, as sessions see it.
pub(crate) trait Host: Send + Sync {
    /// Ends a session: out of the table and the channel index, counted and announced. Once only; later calls do nothing.
    fn remove(&self, session: &Arc<Session>, reason: Reason);

    /// What the server's extensions make of an event for this session alone; `None` if one deletes it.
    fn extend(&self, session: &ServerSession, frame: Frame) -> Option<Frame>;

    /// Forgets a session whose farewell is on its way.
    fn bury(&self, id: &ClientId);

    /// Notes that a session has times of its own.
    fn has_own_times(&self, id: &ClientId);

    /// Ends the sessions of one shard whose deadline has passed.
    fn sweep(&self, shard: usize);
}

/// What of the server's configuration concerns sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: QueueLimits,
    pub(crate) held_per_browser: usize,
    pub(crate) admission: AdmissionLimits,
    pub(crate) refusal_rate: MessageRate,
    pub(crate) connect_rate: MessageRate,
    pub(crate) times: Times,
    pub(crate) max_lazy_timeout: Duration,
    pub(crate) gather: Duration,
}

/// Limits, counters, the clock and the way up, shared by all sessions.
pub(crate) struct Hub {
    pub(crate) limits: QueueLimits,
    /// The times of a session that has none of its own.
    pub(crate) times: Times,
    /// How long lazy messages wait at most.
    pub(crate) max_lazy_timeout: Duration,
    /// How long the answers to a fast session keep apart.
    pub(super) gather: Window,
    pub(crate) counters: Counters,
    pub(crate) random: Random,
    /// What digests of messages are made with.
    pub(super) digests: RandomState,
    pub(crate) host: Weak<dyn Host>,
    pub(super) browsers: Browsers,
    pub(crate) admission: Admission,
    pub(crate) watch: Watch,
    /// What is left of the refusals that are answered at once.
    refusals: Bucket,
    refusal_rate: MessageRate,
    /// How many connects of a session are answered at once with nothing to deliver.
    pub(super) connect_rate: MessageRate,
    draining: AtomicBool,
    /// Whether there is any extension, of the server or of a session.
    extended: AtomicBool,
    drained: Notify,
    /// The last socket or the last stream has closed.
    emptied: Notify,
    epoch: Instant,
}

impl Hub {
    pub(crate) fn new(settings: Settings, host: Weak<dyn Host>) -> Self {
        Self {
            browsers: Browsers::new(settings.held_per_browser),
            admission: Admission::new(settings.admission),
            watch: Watch::default(),
            refusals: Bucket::default(),
            refusal_rate: settings.refusal_rate,
            connect_rate: settings.connect_rate,
            limits: settings.limits,
            times: settings.times,
            max_lazy_timeout: settings.max_lazy_timeout,
            gather: Window::new(settings.gather),
            counters: Counters::default(),
            random: Random::new(),
            digests: RandomState::new(),
            host,
            draining: AtomicBool::new(false),
            extended: AtomicBool::new(false),
            drained: Notify::new(),
            emptied: Notify::new(),
            epoch: Instant::now(),
        }
    }

    /// Milliseconds since the server was built.
    pub(crate) fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// That moment, as [`now`](Self::now) would have told it.
    pub(crate) fn at(&self, moment: Instant) -> u64 {
        millis(moment.saturating_duration_since(self.epoch))
    }

    pub(crate) fn now_in_nanos(&self) -> u64 {
        self.in_nanos(Instant::now())
    }

    /// That moment, as [`now_in_nanos`](Self::now_in_nanos) would have told it.
    pub(super) fn in_nanos(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.epoch))
    }

    /// Notes a sign of trouble.
    pub(crate) fn note(&self, trouble: Trouble) {
        self.watch.note(trouble, self.now());
    }

    /// Whether one more refusal may be answered at once.
    pub(crate) fn may_refuse(&self) -> bool {
        self.refusals.take(self.refusal_rate, self.now_in_nanos())
    }

    /// What the counters say now.
    pub(crate) fn stats(&self) -> Stats {
        self.counters.snapshot(self.watch.counts())
    }

    /// The moment `after` from now, as [`now`](Self::now) will tell it.
    pub(crate) fn deadline(&self, after: Duration) -> u64 {
        self.deadline_from(Instant::now(), after)
    }

    /// As [`deadline`](Self::deadline), for those who have looked at the clock already.
    pub(super) fn deadline_from(&self, now: Instant, after: Duration) -> u64 {
        // The last value is kept for "no deadline".
        self.at(now).saturating_add(millis(after)).min(u64::MAX - 1)
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

    /// Counts one of the `open` sockets or streams out; no lock may be held.
    pub(crate) fn count_closed(&self, open: &AtomicI64) {
        if open.fetch_sub(1, SeqCst) == 1 {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until no socket and no stream is open.
    pub(crate) async fn wait_until_closed(&self) {
        let open = [&self.counters.open_sockets, &self.counters.open_streams];
        loop {
            // Listens before it looks: the last one in between is not missed.
            let emptied = self.emptied.notified();
            if open.iter().all(|open| open.load(SeqCst) <= 0) {
                return;
            }
            emptied.await;
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

    pub(super) fn has_own_times(&self, id: &ClientId) {
        if let Some(host) = self.host.upgrade() {
            host.has_own_times(id);
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

/// Saturates after five centuries.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
