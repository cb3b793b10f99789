//! Lazy messages: they wait for others to leave with, or for their time.

use std::time::Duration;

use tokio::time::Instant;

use super::{record::State, times::LONGEST};

impl State {
    /// Until when the queue may stay where it is: only if all in it is lazy.
    pub(super) fn lazy_until(&self) -> Option<Instant> {
        self.rare.as_ref().and_then(|rare| rare.lazy_until)
    }

    /// Notes that a message was queued, for so long if it is lazy, and says whether a held connect has to look round: for
    /// one that is not, or because its timer is set too late.
    pub(super) fn has_queued(&mut self, lazy: Option<Duration>) -> bool {
        let Some(timeout) = lazy else {
            self.hurry();
            return true;
        };
        let until = Instant::now() + timeout.min(LONGEST);
        let is_alone = self.queue.len() == 1;
        let is_earlier = self.lazy_until().is_some_and(|others| until < others);
        if is_alone || is_earlier {
            self.rare.get_or_insert_default().lazy_until = Some(until);
        }
        is_alone || is_earlier
    }

    /// What is queued, or will be next, has no reason to wait.
    pub(super) fn hurry(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.lazy_until = None;
        }
    }

    /// Whether there is something that a held connect is to be answered for.
    pub(super) fn is_due(&self) -> bool {
        !self.queue.is_empty() && self.batches == 0 && self.waits_until().is_none_or(|until| until <= Instant::now())
    }

    /// Until when what is queued, or will be, waits for more. The end of a batch wakes by itself, and lazy messages wait for
    /// it; gathering has to end in time all the same, or nothing that comes later would wake anybody.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        if self.batches > 0 {
            return self.gathers_until();
        }
        // `None` is less than any moment.
        self.lazy_until().max(self.gathers_until())
    }
}
