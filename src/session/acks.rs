//! The acknowledgement extension's store: what was sent and is not known to have arrived.

use std::collections::VecDeque;

use super::queue::Queue;

/// Batches that were given out and not acknowledged yet, oldest first. Every connect reply is a batch, numbered from 1
/// on, also one without messages.
#[derive(Debug, Default)]
pub(super) struct Acks {
    batch: u64,
    unacknowledged: VecDeque<(u64, Queue)>,
    messages: usize,
    bytes: usize,
}

impl Acks {
    /// The client has everything up to `batch`; the rest of what was sent comes back, to be sent again.
    pub(super) fn acknowledge(&mut self, batch: u64) -> Queue {
        let mut again = Queue::default();
        for (number, messages) in self.unacknowledged.drain(..) {
            if number > batch {
                again.append(messages);
            }
        }
        (self.messages, self.bytes) = (0, 0);
        again
    }

    /// Keeps a copy of what is sent, and numbers it.
    pub(super) fn send(&mut self, messages: &Queue) -> u64 {
        self.batch += 1;
        if !messages.is_empty() {
            self.messages += messages.len();
            self.bytes += messages.bytes();
            self.unacknowledged.push_back((self.batch, messages.clone()));
        }
        self.batch
    }

    /// How many messages, of how many bytes, are kept.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.messages, self.bytes)
    }
}
