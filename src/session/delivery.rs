//! One message on its way into many queues.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
    time::Duration,
};

use super::{Hub, Session};
use crate::{Reason, sync::wake};

/// What a fan-out leaves to do once no lock is held: wake held connects, end overflowing sessions, book the counters.
///
/// Wakers are collected under the lock of a subscriber list and woken by [`flush`](Self::flush) after its release;
/// gauges are booked once per flush, not once per subscriber.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    hub: &'a Hub,
    /// How long it may wait in the queues; not at all if `None`.
    lazy: Option<Duration>,
    /// The one session that does not get it.
    except: Option<&'a Session>,
    wakers: Vec<Waker>,
    overflowed: Vec<Arc<Session>>,
    messages: i64,
    bytes: i64,
    offered: usize,
}

impl<'a> Delivery<'a> {
    pub(crate) const fn new(hub: &'a Hub) -> Self {
        Self {
            hub,
            lazy: None,
            except: None,
            wakers: Vec::new(),
            overflowed: Vec::new(),
            messages: 0,
            bytes: 0,
            offered: 0,
        }
    }

    /// The message may wait for so long; no time at all makes it like any other.
    pub(crate) fn lazily(mut self, timeout: Option<Duration>) -> Self {
        self.lazy = timeout.filter(|timeout| !timeout.is_zero());
        self
    }

    /// The message does not go to this session.
    pub(crate) const fn except(mut self, session: Option<&'a Session>) -> Self {
        self.except = session;
        self
    }

    pub(super) const fn lazy(&self) -> Option<Duration> {
        self.lazy
    }

    pub(crate) fn leaves_out(&self, session: &Session) -> bool {
        self.except.is_some_and(|except| std::ptr::eq(except, session))
    }

    /// How many sessions it was offered to so far.
    pub(crate) const fn offered(&self) -> usize {
        self.offered
    }

    pub(super) const fn count_offer(&mut self) {
        self.offered += 1;
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
        for waker in self.wakers.drain(..) {
            wake(Some(waker));
        }
        for session in self.overflowed.drain(..) {
            self.hub.remove(&session, Reason::QueueOverflow);
        }
    }

    /// Counts a message that a server-side subscription had no room for.
    pub(crate) fn count_missed(&self) {
        self.hub.counters.dropped.add(Reason::SubscriptionFull, 1);
    }

    /// Counts the message itself.
    pub(crate) fn count_published(&self) {
        self.hub.counters.busy().published.fetch_add(1, Relaxed);
    }
}
