//! Messages between the queue and the wire.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;

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
    /// What was in the queue, if extensions of the session have changed it.
    originals: Option<Box<Queue>>,
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
            originals: None,
            answer: 0,
            batch: None,
            is_farewell: false,
        }
    }

    /// What the client is to acknowledge.
    pub(crate) const fn batch(&self) -> Option<u64> {
        self.batch
    }

    /// The session that the messages are for.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether there is any extension that may want to see the messages.
    pub(crate) fn is_extended(&self) -> bool {
        self.session.hub.is_extended()
    }

    pub(crate) const fn messages(&self) -> &Queue {
        &self.messages
    }

    /// Sends what `rewrite` makes of each message, and leaves out those that it deletes. What has to go back goes back as
    /// it was.
    pub(crate) fn rewrite(&mut self, rewrite: impl FnMut(&Bytes) -> Option<Bytes>) {
        if self.messages.is_empty() {
            return;
        }
        let mut rewritten = Queue::default();
        self.messages
            .iter()
            .filter_map(rewrite)
            .for_each(|message| rewritten.push_unbounded(message));
        let originals = mem::replace(&mut self.messages, rewritten);
        self.originals = Some(Box::new(originals));
    }

    /// The answer is on its way: nothing can be taken back any more.
    pub(crate) fn commit(&mut self) {
        self.session.hub.counters.busy().answers.fetch_add(1, Relaxed);
        self.send();
    }

    /// As [`commit`](Self::commit), for messages that go out on their own, with no reply to a connect.
    pub(crate) fn commit_pushed(mut self) {
        self.send();
    }

    fn send(&mut self) {
        let counters = &self.session.hub.counters;
        let sent = self.messages.take();
        if let Some(originals) = self.originals.take() {
            counters.dropped.add(Reason::Deleted, originals.len() - sent.len());
        }
        counters.busy().delivered.fetch_add(sent.len() as u64, Relaxed);
        if self.is_farewell {
            self.session.hub.bury(&self.session.id);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let is_kept = self.batch.is_some() && !self.is_farewell;
        let messages = match self.originals.take() {
            Some(originals) => *originals,
            None => self.messages.take(),
        };
        if messages.is_empty() || is_kept {
            return;
        }
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
            crate::trace::warning!(messages = count, "an answer was dropped unsent, too late to go back");
            return;
        }
        state.queue.give_back(messages);
        state.hurry();
        state.stop_gathering();
        counters.queued(signed(count), signed(bytes));
        counters.given_back.fetch_add(count as u64, Relaxed);
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }

    /// Takes the oldest messages for an answer, `most` of them; called under the state lock.
    pub(super) fn lease_oldest(self: &Arc<Self>, state: &mut State, most: usize) -> Lease {
        let messages = state.queue.take_oldest(most);
        if most > 0 {
            // What is left of them has no reason to wait.
            state.hurry();
        }
        if !messages.is_empty() {
            state.answers += 1;
            self.hub
                .counters
                .queued(-signed(messages.len()), -signed(messages.bytes()));
        }
        let is_farewell = state.closed == Some(Reason::ServerDisconnect) && state.queue.is_empty();
        // A farewell goes back by itself if it is not sent: a copy of it would double it.
        let none = Queue::default();
        let kept = if is_farewell { &none } else { &messages };
        Lease {
            session: Arc::clone(self),
            batch: state.acks.as_mut().map(|acks| acks.send(kept)),
            messages,
            originals: None,
            answer: state.answers,
            is_farewell,
        }
    }
}
