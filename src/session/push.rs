//! What pushes a session's messages as they come: a WebSocket, an event stream.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

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
    /// How many messages are still to go out, once the server shuts down.
    last: Option<usize>,
    /// Ends the wait of lazy messages.
    lazy: Option<Pin<Box<Sleep>>>,
}

impl Push {
    /// Takes over the session's messages; who had them before ends. So do connects that are held, unless the newest one is
    /// `with_connect`: of the same transport, and polled by the same task.
    pub(crate) fn attach(session: Arc<Session>, with_connect: bool) -> Self {
        let mut state = session.state();
        if !with_connect {
            state.generation += 1;
        }
        state.is_pushed = true;
        state.stop_gathering();
        state.pushes = state.pushes.wrapping_add(1);
        let number = state.pushes;
        session.suspend_expiry();
        let superseded = state.waker.take();
        drop(state);
        wake(superseded);
        Self {
            session,
            number,
            last: None,
            lazy: None,
        }
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

    /// Turns away from the session for another one. Connects of the same transport that it holds end, or they would keep
    /// their client waiting though nobody pushes any more.
    #[cfg(feature = "websocket")]
    pub(crate) fn leave(self) {
        let mut state = self.session.state();
        if self.is_newest_in(&state) {
            state.generation += 1;
        }
    }

    /// As [`poll_take`](Self::poll_take), until the server shuts down: what is queued by then is taken, whether or not it
    /// could wait, and what comes after that no more.
    pub(crate) fn poll_take_until_shutdown(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
    ) -> Poll<Result<Lease, Reason>> {
        self.poll(cx, most, true)
    }

    /// Takes the oldest messages, `most` of them, as soon as there are some to be sent; or says why there will be none any
    /// more. Nothing to a client that acknowledges: its messages come with connects.
    ///
    /// What was taken before must be committed or dropped first, or it could not go back.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<Result<Lease, Reason>> {
        self.poll(cx, most, false)
    }

    fn poll(&mut self, cx: &mut Context<'_>, most: usize, until_shutdown: bool) -> Poll<Result<Lease, Reason>> {
        let is_time = self.lazy.as_mut().is_some_and(|lazy| lazy.as_mut().poll(cx).is_ready());
        // A waker's own clone and drop may run anything, so never under the lock.
        let waker = cx.waker().clone();
        let mut state = self.session.state();
        if !self.is_newest_in(&state) {
            return Poll::Ready(Err(Reason::Superseded));
        }
        if let Some(reason) = state.closed.filter(|_| state.queue.is_empty()) {
            return Poll::Ready(Err(reason));
        }
        // Looked up under the state lock, which shutdown takes after it has raised the flag: none is missed. Nothing is added
        // to the queue of a session that has ended.
        let drains = until_shutdown && state.closed.is_none() && self.session.hub.is_draining();
        let most = if drains {
            left(&mut self.last, &state).min(most)
        } else {
            most.max(1)
        };
        if most == 0 {
            return Poll::Ready(Err(Reason::Shutdown));
        }
        // The end of a batch wakes by itself.
        let is_due = state.is_due() || (is_time && state.batches == 0);
        if (is_due || drains || state.closed.is_some()) && !state.queue.is_empty() && state.acks.is_none() {
            let lease = self.session.lease_oldest(&mut state, most);
            drop(state);
            self.lazy = None;
            self.last = self.last.map(|last| last.saturating_sub(lease.messages().len()));
            return Poll::Ready(Ok(lease));
        }
        let lazy_until = state.lazy_until().filter(|_| state.acks.is_none());
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        self.wait_until(lazy_until, cx);
        Poll::Pending
    }

    /// Comes back when lazy messages must not wait any longer.
    fn wait_until(&mut self, lazy_until: Option<Instant>, cx: &mut Context<'_>) {
        if self.lazy.as_ref().map(|lazy| lazy.deadline()) == lazy_until {
            return;
        }
        self.lazy = lazy_until.map(|until| Box::pin(sleep_until(until)));
        let is_over = self.lazy.as_mut().is_some_and(|lazy| lazy.as_mut().poll(cx).is_ready());
        if is_over {
            cx.waker().wake_by_ref();
        }
    }
}

/// How many of the messages that were queued when the shutdown was noticed are left.
fn left(last: &mut Option<usize>, state: &State) -> usize {
    let queued = if state.acks.is_none() { state.queue.len() } else { 0 };
    queued.min(*last.get_or_insert(queued))
}

impl Drop for Push {
    fn drop(&mut self) {
        let mut state = self.session.state();
        if self.is_newest_in(&state) {
            state.is_pushed = false;
            let times = self.session.times_in(&state);
            self.session.arm_expiry(Instant::now(), &times, times.interval);
            let waker = state.waker.take();
            drop(state);
            drop(waker);
        }
    }
}
