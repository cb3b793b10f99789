//! Gathering: a session that gets one message after another gets several in one answer. The answer, not the message, is
//! what costs.

use std::{mem, time::Duration};

use tokio::time::Instant;

use super::{Hub, hub::nanos, queue::QueueLimits, record::State};

/// How long the answers to a fast session keep apart; none if that is zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    length: Duration,
    /// From message to message at the slowest pace that is fast, in nanoseconds: one in a window.
    gap: u64,
    /// How far ahead of that pace a session has to be: a hiccup, after which what was late comes all at once, makes none
    /// fast.
    enough: u64,
    /// How far ahead it can be: who gets slower is soon fast no more.
    most: u64,
}

impl Window {
    pub(crate) fn new(length: Duration) -> Self {
        let gap = nanos(length);
        Self {
            length,
            gap,
            enough: gap.saturating_mul(8),
            most: gap.saturating_mul(16),
        }
    }
}

/// A wait was worth its while if at least so many messages shared the answer.
const WORTHWHILE: usize = 3;
/// How many answers do without after a wait that was not: eight times as many each time, between these. Who publishes
/// next may be waiting for such an answer himself.
const RESTS: (u16, u16) = (4, 1 << 15);

/// What a session knows of the pace of its messages.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When a session at the slowest pace that is fast would have got as many messages as this one, in the hub's
    /// nanoseconds.
    ahead_until: u64,
    /// Until when the next answer waits, if it has to.
    until: Option<Instant>,
    /// Whether the connect that is held now waits, or has waited, for that.
    has_waited: bool,
    /// How many answers to come do not wait, because waits have brought too little.
    rest: u16,
    /// How many there were after the last such wait.
    last_rest: u16,
}

impl Pace {
    /// Whether a session is fast that has got so many messages more by `now`, in the hub's nanoseconds.
    fn is_fast(&mut self, now: u64, messages: usize, window: &Window) -> bool {
        let before = self.ahead_until.saturating_sub(now);
        if before == 0 {
            // It was slow: what its waits once brought says nothing any more.
            (self.rest, self.last_rest) = (0, 0);
        }
        let more = window.gap.saturating_mul(u64::try_from(messages).unwrap_or(u64::MAX));
        let ahead = before.saturating_add(more).min(window.most);
        self.ahead_until = now.saturating_add(ahead);
        ahead >= window.enough
    }

    /// Whether answers do without a wait, now that one had so many messages.
    fn rests(&mut self, messages: usize) -> bool {
        let has_waited = mem::take(&mut self.has_waited);
        if messages >= WORTHWHILE {
            (self.rest, self.last_rest) = (0, 0);
        } else if has_waited {
            self.last_rest = self.last_rest.saturating_mul(8).clamp(RESTS.0, RESTS.1);
            self.rest = self.last_rest;
        } else {
            self.rest = self.rest.saturating_sub(1);
        }
        self.rest > 0
    }
}

impl State {
    /// Notes that an answer with so many messages leaves `now`. The next one leaves a window later, if at all it waits.
    #[inline]
    pub(super) fn has_answered(&mut self, hub: &Hub, now: Instant, messages: usize) {
        let window = &hub.gather;
        if messages == 0 || window.length.is_zero() {
            return;
        }
        let pace = &mut self.pace;
        let rests = pace.rests(messages);
        let waits = pace.is_fast(hub.in_nanos(now), messages, window) && !rests;
        pace.until = if waits { now.checked_add(window.length) } else { None };
    }

    /// A connect is about to wait, or to be answered: the answer waits for the rest of the window, if there is any.
    pub(super) fn gather(&mut self) {
        let Some(until) = self.pace.until else { return };
        if until <= Instant::now() {
            self.stop_gathering();
        } else {
            self.pace.has_waited = true;
        }
    }

    /// Whatever is queued leaves as soon as it can.
    pub(super) const fn stop_gathering(&mut self) {
        self.pace.until = None;
    }

    /// Until when the next answer gathers messages.
    pub(super) const fn gathers_until(&self) -> Option<Instant> {
        self.pace.until
    }

    /// Stops gathering when the queue is half full: the other half is for what comes until the client is back again.
    #[inline]
    pub(super) fn gather_within(&mut self, limits: &QueueLimits) {
        if self.queue.len() > limits.messages / 2 || self.queue.bytes() > limits.bytes / 2 {
            self.stop_gathering();
        }
    }
}
