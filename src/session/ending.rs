//! How a session ends, and what becomes of its queue.

use super::{
    Session,
    queue::Queue,
    record::{State, signed},
};
use crate::{Reason, protocol::FAREWELL, sync::wake};

impl Session {
    /// Ends the session for good, once: `false` if it had ended before, or if it was to expire but has come back to
    /// life. A session that the server disconnects keeps its queue and a farewell for one last connect; any other
    /// drops what is queued.
    pub(crate) fn close(&self, reason: Reason) -> bool {
        let mut state = self.state();
        let revived = reason == Reason::Expired && !self.has_expired(self.hub.now());
        if state.closed.is_some() || revived {
            return false;
        }
        state.closed = Some(reason);
        let dropped = if reason == Reason::ServerDisconnect {
            state.queue.push_unbounded(FAREWELL);
            self.hub.counters.queued(1, signed(FAREWELL.len()));
            Queue::default()
        } else {
            state.queue.take()
        };
        let waker = state.waker.take();
        let admitted = state.rare.as_mut().and_then(|rare| rare.admitted.take());
        drop(state);
        drop(admitted);
        self.count_dropped(&dropped, reason);
        wake(waker);
        true
    }

    /// Whether a last connect is to be answered with the farewell.
    pub(crate) fn owes_farewell(&self) -> bool {
        self.state().owes_farewell()
    }

    /// Whether its client may yet be served: while nobody but the server has ended it.
    pub(crate) fn may_be_served(&self) -> bool {
        self.state()
            .closed
            .is_none_or(|reason| reason == Reason::ServerDisconnect)
    }

    /// Drops a farewell that nobody came for; `false` if somebody is coming for it right now.
    pub(crate) fn forget_farewell(&self) -> bool {
        let mut state = self.state();
        if !self.has_expired(self.hub.now()) {
            return false;
        }
        let dropped = state.queue.take();
        // What is under way can't come back to a session that nobody finds.
        state.answers += 1;
        drop(state);
        self.count_dropped(&dropped, Reason::ServerDisconnect);
        true
    }

    fn count_dropped(&self, dropped: &Queue, reason: Reason) {
        if !dropped.is_empty() {
            let counters = &self.hub.counters;
            counters.queued(-signed(dropped.len()), -signed(dropped.bytes()));
            counters.dropped.add(reason, dropped.len());
        }
    }
}

impl State {
    pub(super) fn owes_farewell(&self) -> bool {
        self.closed == Some(Reason::ServerDisconnect) && !self.queue.is_empty()
    }
}
