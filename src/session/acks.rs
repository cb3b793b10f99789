//! The acknowledgement extension's store: what was sent and is not known to have arrived.

use std::{collections::VecDeque, mem};

use super::queue::Queue;

/// Batches that were given out and not acknowledged yet, oldest first. Every connect reply is a batch, numbered from 1
/// on, also one without messages.
///
/// A message keeps the number of the batch that brought it first: whoever acknowledges that has it, though it was sent
/// again meanwhile because a connect came late or twice.
#[derive(Debug, Default)]
pub(super) struct Acks {
    batch: u64,
    unacknowledged: VecDeque<(u64, Queue)>,
    /// What waits in front of the queue to be sent again: the batches that brought it, and how many messages of each.
    again: VecDeque<(u64, usize)>,
    messages: usize,
    bytes: usize,
}

impl Acks {
    /// The client has everything up to `batch`; the rest of what was sent goes to the front of `queue`, to be sent again.
    pub(super) fn acknowledge(&mut self, batch: u64, queue: &mut Queue) {
        let waiting = mem::take(&mut self.again);
        let sent = self.unacknowledged.drain(..);
        let waiting = waiting
            .into_iter()
            .map(|(number, count)| (number, queue.take_oldest(count)));
        let mut again = Queue::default();
        for (number, messages) in sent.chain(waiting).filter(|(number, _)| *number > batch) {
            self.again.push_back((number, messages.len()));
            again.append(messages);
        }
        queue.give_back(again);
        (self.messages, self.bytes) = (0, 0);
    }

    /// Keeps a copy of what is sent, and numbers it.
    pub(super) fn send(&mut self, messages: &Queue) -> u64 {
        self.batch += 1;
        let mut rest = messages.clone();
        for (number, count) in self.again.drain(..).chain([(self.batch, usize::MAX)]) {
            let messages = rest.take_oldest(count);
            if !messages.is_empty() {
                self.messages += messages.len();
                self.bytes += messages.bytes();
                self.unacknowledged.push_back((number, messages));
            }
        }
        self.batch
    }

    /// So many of the oldest messages in the queue had to go.
    pub(super) fn evicted(&mut self, mut messages: usize) {
        while let Some((_, count)) = self.again.front_mut() {
            let gone = messages.min(*count);
            messages -= gone;
            *count -= gone;
            if *count > 0 {
                break;
            }
            self.again.pop_front();
        }
    }

    /// How many messages, of how many bytes, are kept.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.messages, self.bytes)
    }
}
