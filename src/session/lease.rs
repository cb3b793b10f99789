//! Messages between the queue and the wire.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    Session,
    queue::Queue,
    record::{State, signed},
};
use crate::{Reason, sync::wake};

/// Messages that were taken for an answer whose sending has not begun. Dropped before that (the connection went away,
/// an outer layer threw the response away), they go back to the front of the queue, unless that would put old behind
/// new: then they are lost, and counted so.
#[derive(Debug)]
pub(crate) struct Lease {
    session: Arc<Session>,
    messages: Queue,
    /// Which answer of the session this is.
    answer: u64,
    /// The number under which the session keeps a copy, if its client acknowledges: then nothing needs to go back.
    batch: Option<u64>,
    /// Whether the session ends with this.
    is_farewell: bool,
}

impl Lease {
    /// A lease of nothing.
    pub(super) fn empty(session: Arc<Session>) -> Self {
        Self {
            session,
            messages: Queue::default(),
            answer: 0,
            batch: None,
            is_farewell: false,
        }
    }

    /// What the client is to acknowledge.
    pub(crate) const fn batch(&self) -> Option<u64> {
        self.batch
    }

    pub(crate) const fn messages(&self) -> &Queue {
        &self.messages
    }

    /// The answer is on its way: nothing can be taken back any more.
    pub(crate) fn commit(self) {
        self.session.hub.counters.answers.fetch_add(1, Relaxed);
        self.commit_pushed();
    }

    /// As [`commit`](Self::commit), for messages that go out on their own, with no reply to a connect.
    pub(crate) fn commit_pushed(mut self) {
        let counters = &self.session.hub.counters;
        let sent = self.messages.take();
        counters.delivered.fetch_add(sent.len() as u64, Relaxed);
        if self.is_farewell {
            self.session.hub.bury(&self.session.id);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_kept = self.batch.is_some() && !self.is_farewell;
        if self.messages.is_empty() || is_kept {
            return;
        }
        let messages = self.messages.take();
        self.session.give_back(messages, self.answer);
    }
}

impl Session {
    fn give_back(&self, messages: Queue, answer: u64) {
        let counters = &self.hub.counters;
        let (count, bytes) = (messages.len(), messages.bytes());
        let mut state = self.state();
        // One that the server has disconnected may yet come for its farewell.
        let is_over = state.closed.is_some_and(|reason| reason != Reason::ServerDisconnect);
        if is_over || state.answers != answer {
            drop(state);
            counters.lost.fetch_add(count as u64, Relaxed);
            crate::trace::warning!(session = %self.id, messages = count, "an answer was dropped unsent, too late to go back");
            return;
        }
        state.queue.give_back(messages);
        counters.queued(signed(count), signed(bytes));
        counters.given_back.fetch_add(count as u64, Relaxed);
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    /// Takes the oldest messages for an answer, `most` of them; called under the state lock.
    pub(super) fn lease_oldest(self: &Arc<Self>, state: &mut State, most: usize) -> Lease {
        let messages = state.queue.take_oldest(most);
        if !messages.is_empty() {
            state.answers += 1;
            self.hub
                .counters
                .queued(-signed(messages.len()), -signed(messages.bytes()));
        }
        Lease {
            session: Arc::clone(self),
            batch: state.acks.as_mut().map(|acks| acks.send(&messages)),
            messages,
            answer: state.answers,
            is_farewell: state.closed == Some(Reason::ServerDisconnect) && state.queue.is_empty(),
        }
    }
}
