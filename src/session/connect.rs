//! A `/meta/connect` in progress: answered at once or held, superseded, released, abandoned.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::{
    Lease, Session, Times,
    record::{State, signed},
};
use crate::{Reason, sync::wake};

/// A connect between its arrival and its answer. While there is one, the session does not expire; when the newest one
/// ends in any way, dropped ones included, expiry is armed again.
#[derive(Debug)]
pub(crate) struct Connect {
    session: Arc<Session>,
    generation: u64,
    /// The client's own pause before its next connect.
    interval: Option<Duration>,
    held_since: Option<Instant>,
    /// Whether it took the place of one that was held.
    replaces: bool,
    done: bool,
}

/// The answer to a connect: what to deliver and why now.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) lease: Lease,
    /// Why the connect ended.
    pub(crate) reason: Reason,
    /// How long it was held.
    pub(crate) held: Duration,
    /// The session's times, as the client is to be told.
    pub(crate) times: Times,
}

impl Connect {
    /// Starts a connect; an older one of the same session is superseded and answers at once. What was sent after batch
    /// `acknowledged` goes back to the front of the queue, to be sent again.
    pub(crate) fn begin(session: Arc<Session>, interval: Option<Duration>, acknowledged: Option<u64>) -> Self {
        let mut state = session.state();
        if let (Some(acks), Some(batch)) = (state.acks.as_mut(), acknowledged) {
            let again = acks.acknowledge(batch);
            session.hub.counters.queued(signed(again.len()), signed(again.bytes()));
            if !again.is_empty() {
                state.hurry();
            }
            state.queue.give_back(again);
        }
        state.generation += 1;
        let generation = state.generation;
        session.suspend_expiry();
        let superseded = state.waker.take();
        drop(state);
        let replaces = superseded.is_some();
        wake(superseded);
        Self {
            interval,
            session,
            generation,
            held_since: None,
            replaces,
            done: false,
        }
    }

    /// Whether an older connect of the session was being held and now ends.
    pub(crate) const fn replaces_another(&self) -> bool {
        self.replaces
    }

    /// Whether the session was never connected before: then the connect is not held.
    pub(crate) fn is_first(&self) -> bool {
        !self.session.state().connected
    }

    /// Answers now, with whatever is queued.
    pub(crate) fn answer_now(&mut self) -> Taken {
        let session = Arc::clone(&self.session);
        let mut state = session.state();
        let reason = self.release_reason(&state).unwrap_or(Reason::NotHeld);
        self.finish(&mut state, reason)
    }

    /// Holds the connect until there is something to deliver, `timeout` is over, or something ends it. Without a
    /// timeout it is answered by the first poll.
    pub(crate) fn hold(self, timeout: Option<Duration>) -> Held {
        Held {
            connect: self,
            timeout: timeout.map(sleep),
        }
    }

    /// Why the connect can't go on waiting, if so. A superseded one may not touch the queue any more.
    fn release_reason(&self, state: &State) -> Option<Reason> {
        if state.generation != self.generation {
            return Some(Reason::Superseded);
        }
        if let Some(reason) = state.closed {
            return Some(reason);
        }
        // Looked up under the state lock, which shutdown takes after it has raised the flag: none is missed.
        if self.session.hub.is_draining() {
            return Some(Reason::Shutdown);
        }
        state.is_due().then_some(Reason::Delivered)
    }

    fn finish(&mut self, state: &mut State, reason: Reason) -> Taken {
        self.done = true;
        let held = self.end_hold();
        let times = self.session.times_in(state);
        let lease = if reason == Reason::Superseded {
            Lease::empty(Arc::clone(&self.session))
        } else {
            state.connected = true;
            self.arm_expiry(&times);
            self.session.lease(state)
        };
        self.session.hub.counters.connects_ended.add(reason, 1);
        Taken {
            lease,
            reason,
            held,
            times,
        }
    }

    fn arm_expiry(&self, times: &Times) {
        self.session.arm_expiry(times, self.interval.unwrap_or(times.interval));
    }

    fn start_hold(&mut self) {
        if self.held_since.is_none() {
            self.held_since = Some(Instant::now());
            self.session.hub.counters.held_connects.fetch_add(1, Relaxed);
        }
    }

    fn end_hold(&mut self) -> Duration {
        let Some(since) = self.held_since.take() else {
            return Duration::ZERO;
        };
        self.session.hub.counters.held_connects.fetch_sub(1, Relaxed);
        since.elapsed()
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        self.end_hold();
        self.session.hub.counters.connects_ended.add(Reason::ClientGone, 1);
        let mut state = self.session.state();
        if state.generation == self.generation {
            self.arm_expiry(&self.session.times_in(&state));
            let waker = state.waker.take();
            drop(state);
            drop(waker);
        }
    }
}

pin_project! {
    /// A held connect. Has no task of its own: one waker in the session and one timer in here. Messages leave the
    /// queue only inside the poll that returns `Ready`.
    #[derive(Debug)]
    pub(crate) struct Held {
        connect: Connect,
        #[pin]
        timeout: Option<Sleep>,
    }
}

impl Future for Held {
    type Output = Taken;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Taken> {
        let this = self.project();
        let connect = this.connect;
        let Some(mut timeout) = this.timeout.as_pin_mut() else {
            return Poll::Ready(connect.answer_now());
        };
        let session = Arc::clone(&connect.session);
        // A waker's own clone and drop may run anything, so never under the lock.
        let waker = cx.waker().clone();
        let (replaced, lazy_until) = {
            let mut state = session.state();
            if let Some(reason) = connect.release_reason(&state) {
                return Poll::Ready(connect.finish(&mut state, reason));
            }
            (state.waker.replace(waker), state.lazy_until())
        };
        drop(replaced);
        if let Some(until) = lazy_until.filter(|until| *until < timeout.deadline()) {
            timeout.as_mut().reset(until);
        }
        connect.start_hold();
        ready!(timeout.poll(cx));
        let mut state = session.state();
        // Lazy messages whose time has come, or a batch that is still open: the connect takes along what there is.
        let otherwise = if state.queue.is_empty() {
            Reason::Timeout
        } else {
            Reason::Delivered
        };
        let reason = connect.release_reason(&state).unwrap_or(otherwise);
        let waker = (reason != Reason::Superseded).then(|| state.waker.take());
        let taken = connect.finish(&mut state, reason);
        drop(state);
        drop(waker);
        Poll::Ready(taken)
    }
}
