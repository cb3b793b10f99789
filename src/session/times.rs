//! How long a session's connects are held, how long its client pauses, and when it expires.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{
    Session,
    record::{Rare, State},
};

/// A session that could not outlive its own handshake would send its client into an endless loop.
const SHORTEST_LIFE: Duration = Duration::from_millis(100);

/// Longer than any session waits for anything, and no sum with it overflows.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The times that hold for a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Times {
    /// How long a connect is held.
    pub(crate) timeout: Duration,
    /// The pause that the client is told to make between connects.
    pub(crate) interval: Duration,
    /// How long the client may stay away beyond that pause.
    pub(crate) max_interval: Duration,
}

/// The times that the application has set for one session; the others are the server's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnTimes {
    pub(crate) timeout: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) max_interval: Option<Duration>,
}

impl Times {
    /// With a life that is long enough to be lived.
    pub(crate) fn new(timeout: Duration, interval: Duration, max_interval: Duration) -> Self {
        Self {
            timeout,
            interval,
            max_interval: max_interval.max(SHORTEST_LIFE),
        }
    }

    fn replaced_by(self, own: &OwnTimes) -> Self {
        Self::new(
            own.timeout.unwrap_or(self.timeout),
            own.interval.unwrap_or(self.interval),
            own.max_interval.unwrap_or(self.max_interval),
        )
    }

    /// How long a session lives after a connect of a client that pauses for `interval`.
    pub(super) const fn life(&self, interval: Duration) -> Duration {
        interval.saturating_add(self.max_interval)
    }
}

impl Session {
    /// The times that hold now.
    pub(crate) fn times(&self) -> Times {
        self.times_in(&self.state())
    }

    /// As [`times`](Self::times), under the state lock.
    pub(super) fn times_in(&self, state: &State) -> Times {
        let times = self.hub.times;
        state.rare.as_ref().map_or(times, |rare| times.replaced_by(&rare.times))
    }

    pub(super) fn own_times(&self) -> OwnTimes {
        self.state()
            .rare
            .as_ref()
            .map_or_else(OwnTimes::default, |rare| rare.times)
    }

    /// Changes the session's own times. A life that gets longer does so at once, a shorter one begins with the end of
    /// the next connect.
    pub(super) fn set_times(&self, change: impl FnOnce(&mut OwnTimes)) {
        let mut state = self.state();
        let rare: &mut Rare = state.rare.get_or_insert_default();
        change(&mut rare.times);
        if state.closed.is_none() {
            let times = self.times_in(&state);
            let deadline = self.hub.deadline(times.life(times.interval));
            self.deadline.fetch_max(deadline, Relaxed);
        }
        drop(state);
        self.hub.has_own_times(&self.id);
    }
}
