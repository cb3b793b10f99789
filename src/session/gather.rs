//! Gathering: a session that gets messages faster than its client polls gets several in one answer. The answer, not the
//! message, is what costs.

use std::time::Duration;

use tokio::time::Instant;

use super::{queue::QueueLimits, record::State};

/// A wait is worth its while if at least so many messages share the answer.
const WORTHWHILE: usize = 3;
/// How many answers do without after a wait that was not: doubled each time, between these.
const RESTS: (u8, u8) = (4, 128);

/// What a session knows of the pace of its answers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Until when the next answer waits, if it has to.
    until: Option<Instant>,
    /// Whether the connect that is held now waits, or has waited, for that.
    has_waited: bool,
    /// Whether the last answer with messages had several: the next will, too, if it waits a little.
    is_fast: bool,
    /// How many answers to come do not wait, because waits have brought too little: who publishes next may be waiting
    /// for this answer himself.
    rest: u8,
    /// How many there were after the last such wait.
    last_rest: u8,
}

impl State {
    /// Notes that an answer with so many messages leaves `now`. The next one leaves `gather` later, if at all it waits.
    pub(super) fn has_answered(&mut self, now: Instant, messages: usize, gather: Duration) {
        if messages == 0 || gather.is_zero() {
            return;
        }
        let pace = &mut self.pace;
        pace.is_fast = messages > 1;
        if !pace.has_waited {
            pace.rest = pace.rest.saturating_sub(1);
        } else if messages < WORTHWHILE {
            pace.last_rest = pace.last_rest.saturating_mul(2).clamp(RESTS.0, RESTS.1);
            pace.rest = pace.last_rest;
        } else {
            pace.last_rest = 0;
        }
        pace.has_waited = false;
        pace.until = if pace.rest == 0 { now.checked_add(gather) } else { None };
    }

    /// Decides whether the answer to a connect waits: if several messages came while its client was on its way, as is seen
    /// when it `has_come`, or if the last answer had several; and not for longer than it has to. A session that was quiet
    /// is never kept waiting.
    pub(super) fn gather(&mut self, has_come: bool) {
        let Some(until) = self.pace.until else { return };
        let is_slow = has_come && self.queue.len() < 2 && !self.pace.is_fast;
        if is_slow || until <= Instant::now() {
            self.pace.until = None;
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
    pub(super) fn gather_within(&mut self, limits: &QueueLimits) {
        if self.queue.len() > limits.messages / 2 || self.queue.bytes() > limits.bytes / 2 {
            self.stop_gathering();
        }
    }
}
