//! Gathering: a session that gets messages faster than its client polls gets several in one answer. The answer, not the
//! message, is what costs.

use std::time::Duration;

use tokio::time::Instant;

use super::{queue::QueueLimits, record::State};

/// What a session knows of the pace of its answers.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Whether the last answer with messages had several: the next will, too, if it waits a little.
    is_fast: bool,
    /// Until when the next answer waits, if it has to.
    until: Option<Instant>,
}

impl State {
    /// Notes that an answer with so many messages leaves now. The next one leaves `gather` later, if at all it waits.
    pub(super) fn has_answered(&mut self, messages: usize, gather: Duration) {
        if messages > 0 && !gather.is_zero() {
            self.pace.is_fast = messages > 1;
            self.pace.until = Instant::now().checked_add(gather);
        }
    }

    /// Decides whether the answer to a connect waits: if several messages came while its client was on its way, as is seen
    /// when it `has_come`, or if the last answer had several; and not for longer than it has to. A session that was quiet
    /// is never kept waiting.
    pub(super) fn gather(&mut self, has_come: bool) {
        let is_slow = has_come && self.queue.len() < 2 && !self.pace.is_fast;
        if is_slow || self.pace.until.is_some_and(|until| until <= Instant::now()) {
            self.stop_gathering();
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
