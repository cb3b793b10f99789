//! One message on its way into many queues.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
};

use super::{Hub, Session};
use crate::Reason;

/// What a fan-out leaves to do once no lock is held: wake held connects, end overflowing sessions, book the counters.
///
/// Wakers are collected under the lock of a subscriber list and woken by [`flush`](Self::flush) after its release;
/// gauges are booked once per flush, not once per subscriber.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    hub: &'a Hub,
    wakers: Vec<Waker>,
    overflowed: Vec<Arc<Session>>,
    messages: i64,
    bytes: i64,
}

impl<'a> Delivery<'a> {
    pub(crate) const fn new(hub: &'a Hub) -> Self {
        Self {
            hub,
            wakers: Vec::new(),
            overflowed: Vec::new(),
            messages: 0,
            bytes: 0,
        }
    }

    pub(super) fn queued(&mut self, messages: i64, bytes: i64) {
        self.messages += messages;
        self.bytes += bytes;
    }

    pub(crate) fn wake(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }

    pub(super) fn overflowed(&mut self, session: Arc<Session>) {
        self.overflowed.push(session);
    }

    /// Does what was put off. No lock may be held.
    pub(crate) fn flush(&mut self) {
        if self.messages != 0 || self.bytes != 0 {
            self.hub.counters.queued(self.messages, self.bytes);
            self.messages = 0;
            self.bytes = 0;
        }
        while let Some(waker) = self.wakers.pop() {
            waker.wake();
        }
        while let Some(session) = self.overflowed.pop() {
            self.hub.remove(&session, Reason::QueueOverflow);
        }
    }

    /// Counts a message that a server-side subscription had no room for.
    pub(crate) fn count_missed(&self) {
        self.hub.counters.dropped.add(Reason::SubscriptionFull, 1);
    }

    /// Counts the message itself.
    pub(crate) fn count_published(&self) {
        self.hub.counters.published.fetch_add(1, Relaxed);
    }
}

/// A waker that panics must not leave the others asleep, nor the counters wrong. (One more that panics meanwhile ends the
/// process.)
impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}
