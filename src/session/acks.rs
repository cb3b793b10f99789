//! The acknowledgement extension's store: what was sent and is not known to have arrived.

use std::{collections::VecDeque, mem};

use super::{
    Session,
    queue::Queue,
    record::{State, signed},
};
use crate::Reason;

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

impl Session {
    /// From now on, what is sent is kept until the client acknowledges it.
    pub(crate) fn keep_until_acknowledged(&self) {
        self.state().acks = Some(Box::default());
    }

    /// What was sent is not kept any more.
    pub(crate) fn stop_acknowledging(&self) {
        let acks = self.state().acks.take();
        drop(acks);
    }

    /// The client has everything up to `batch`; the rest of what was sent comes to the front of the queue.
    pub(super) fn acknowledge(&self, state: &mut State, batch: u64) {
        let State {
            queue, acks, closed, ..
        } = state;
        let Some(acks) = acks else { return };
        // To a queue that has ended nothing goes back.
        if closed.is_some_and(|reason| reason != Reason::ServerDisconnect) {
            return;
        }
        let (messages, bytes) = (signed(queue.len()), signed(queue.bytes()));
        acks.acknowledge(batch, queue);
        let (more, more_bytes) = (signed(queue.len()) - messages, signed(queue.bytes()) - bytes);
        self.hub.counters.queued(more, more_bytes);
        if more > 0 {
            state.hurry();
            state.stop_gathering();
        }
    }

    /// Whether the client acknowledges what it gets.
    pub(crate) fn acknowledges(&self) -> bool {
        self.state().acks.is_some()
    }
}
