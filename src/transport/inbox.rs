//! What a local session keeps beside its queue.

use std::collections::VecDeque;

use crate::{OverflowPolicy, Reason, protocol::MutableMessage, session::QueueLimits};

/// The messages that came while the answer to a call was waited for, oldest first: no more than a queue may hold.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Each with the bytes that it had as JSON.
    messages: VecDeque<(MutableMessage, usize)>,
    bytes: usize,
}

/// What went because there was no room for it.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) reason: Reason,
    pub(super) messages: usize,
}

impl Inbox {
    /// Keeps a message of so many bytes, as a queue does. With [`Reason::QueueOverflow`] nothing is left in it.
    pub(super) fn push(&mut self, message: MutableMessage, bytes: usize, limits: &QueueLimits) -> Option<Missed> {
        let missed = |reason, messages| Some(Missed { reason, messages });
        let mut evicted = 0;
        while self.is_full_for(bytes, limits) {
            match limits.overflow {
                OverflowPolicy::Disconnect => return missed(Reason::QueueOverflow, self.clear() + 1),
                OverflowPolicy::DropNewest => return missed(Reason::NewestDropped, 1),
                OverflowPolicy::DropOldest => evicted += usize::from(self.pop().is_some()),
            }
        }
        self.bytes += bytes;
        self.messages.push_back((message, bytes));
        if evicted > 0 {
            return missed(Reason::OldestDropped, evicted);
        }
        None
    }

    pub(super) fn pop(&mut self) -> Option<MutableMessage> {
        let (message, bytes) = self.messages.pop_front()?;
        self.bytes -= bytes;
        Some(message)
    }

    /// One message always fits into an empty one.
    fn is_full_for(&self, bytes: usize, limits: &QueueLimits) -> bool {
        let kept = self.messages.len();
        kept > 0 && (kept >= limits.messages || self.bytes.saturating_add(bytes) > limits.bytes)
    }

    /// Says how many messages there were.
    fn clear(&mut self) -> usize {
        std::mem::take(self).messages.len()
    }
}
