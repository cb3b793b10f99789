//! What pushes a session's messages as they come: a WebSocket, an event stream.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{Lease, Session, record::State};
use crate::{Reason, sync::wake};

/// The consumer of a session that gets messages without asking for each of them. While there is one, the session does
/// not expire; when the newest one is dropped, expiry is armed again.
///
/// The newest consumer wins: another one of this kind, or a connect of a transport that polls, ends it. It shares one
/// waker with the connects of its transport, so both must be polled by one task.
#[derive(Debug)]
pub(crate) struct Push {
    session: Arc<Session>,
    number: u32,
}

impl Push {
    /// Takes over the session's messages; who had them before ends.
    pub(crate) fn attach(session: Arc<Session>) -> Self {
        let mut state = session.state();
        state.is_pushed = true;
        state.pushes = state.pushes.wrapping_add(1);
        let number = state.pushes;
        session.suspend_expiry();
        let superseded = state.waker.take();
        drop(state);
        wake(superseded);
        Self { session, number }
    }

    /// Whose messages it gets.
    #[cfg(feature = "websocket")]
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether nobody else has taken over.
    #[cfg(feature = "websocket")]
    pub(crate) fn is_newest(&self) -> bool {
        self.is_newest_in(&self.session.state())
    }

    const fn is_newest_in(&self, state: &State) -> bool {
        state.is_pushed && state.pushes == self.number
    }

    /// Takes the oldest messages, `most` of them, as soon as there are some; or says why there will be none any more.
    /// Nothing to a client that acknowledges: its messages come with connects.
    ///
    /// What was taken before must be committed or dropped first, or it could not go back.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Lease, Reason>> {
        // A waker's own clone and drop may run anything, so never under the lock.
        let waker = cx.waker().clone();
        let mut state = self.session.state();
        if !self.is_newest_in(&state) {
            return Poll::Ready(Err(Reason::Superseded));
        }
        if !state.queue.is_empty() && state.acks.is_none() {
            return Poll::Ready(Ok(self.session.lease_oldest(&mut state, most.max(1))));
        }
        if let Some(reason) = state.closed.filter(|_| state.queue.is_empty()) {
            return Poll::Ready(Err(reason));
        }
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        let mut state = self.session.state();
        if self.is_newest_in(&state) {
            state.is_pushed = false;
            self.session.arm_expiry(self.session.hub.interval);
            let waker = state.waker.take();
            drop(state);
            drop(waker);
        }
    }
}
