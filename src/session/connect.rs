//! A `/meta/connect` in progress: answered at once or held, superseded, released, abandoned.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Lease, Session, Times, record::State, times::LONGEST};
use crate::{Reason, sync::wake};

/// A connect between its arrival and its answer. While there is one, the session does not expire; when the newest one
/// ends in any way, dropped ones included, expiry is armed again.
#[derive(Debug)]
pub(crate) struct Connect {
    session: Arc<Session>,
    generation: u64,
    /// The client's own pause before its next connect.
    interval: Option<Duration>,
    /// Since when it is held, if it comes to that.
    since: Option<Instant>,
    /// Whether it is held, and counted so.
    is_held: bool,
    /// Whether it came by a transport that does not push, and so ends where one pushes.
    polls: bool,
    /// Whether events take another way than its answer.
    is_heartbeat: bool,
    /// Whether it took the place of one that was held.
    replaces: bool,
    /// Whether there was something to deliver when it came.
    finds_messages: bool,
    done: bool,
}

/// What a connect is to the transport that it came by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Its answer brings the events; whatever pushed them before has ended.
    Polls,
    /// The transport it came by pushes; it is held all the same.
    Heartbeat,
    /// It keeps alive a session whose events are pushed elsewhere. If they are not, its answer brings them.
    Elsewhere,
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

/// What of a session its next connect depends on, read at one go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) times: Times,
    /// Whether the client acknowledges what it gets.
    pub(crate) acknowledges: bool,
    /// Whether the session was never connected before: then the connect is not held.
    pub(crate) is_first: bool,
}

impl Session {
    /// What holds for the connect that is about to begin.
    pub(crate) fn terms(&self) -> Terms {
        let state = self.state();
        Terms {
            times: self.times_in(&state),
            acknowledges: state.acks.is_some(),
            is_first: !state.connected,
        }
    }
}

impl Connect {
    /// Starts a connect; an older one of the same session is superseded and answers at once. What was sent after batch
    /// `acknowledged` goes back to the front of the queue, to be sent again.
    pub(crate) fn begin(
        session: Arc<Session>,
        interval: Option<Duration>,
        acknowledged: Option<u64>,
        role: Role,
    ) -> Self {
        let mut state = session.state();
        if let Some(batch) = acknowledged {
            session.acknowledge(&mut state, batch);
        }
        state.generation += 1;
        let generation = state.generation;
        let replaces = state.waker.is_some() && !state.is_pushed;
        let is_heartbeat = match role {
            Role::Polls => {
                state.is_pushed = false;
                false
            }
            Role::Heartbeat => state.acks.is_none(),
            Role::Elsewhere => {
                state.is_pushed &= state.acks.is_none();
                state.is_pushed
            }
        };
        let finds_messages = !is_heartbeat && !state.queue.is_empty();
        session.suspend_expiry();
        let superseded = state.waker.take();
        drop(state);
        wake(superseded);
        Self {
            interval,
            session,
            generation,
            since: None,
            is_held: false,
            polls: role == Role::Polls || (role == Role::Elsewhere && !is_heartbeat),
            is_heartbeat,
            replaces,
            finds_messages,
            done: false,
        }
    }

    /// Whether there was something to deliver when it came.
    pub(crate) const fn finds_messages(&self) -> bool {
        self.finds_messages
    }

    /// Whether an older connect of the session was being held and now ends.
    pub(crate) const fn replaces_another(&self) -> bool {
        self.replaces
    }

    /// The session that it belongs to.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Answers now, with whatever is queued.
    pub(crate) fn answer_now(&mut self) -> Taken {
        let session = Arc::clone(&self.session);
        let mut state = session.state();
        let reason = self.release_reason(&state).or(state.closed);
        let reason = reason.unwrap_or(Reason::NotHeld);
        self.finish(&mut state, reason)
    }

    /// Holds the connect until there is something to deliver, `timeout` is over, or something ends it. Without a
    /// timeout it is answered by the first poll.
    #[inline]
    pub(crate) fn hold(mut self, timeout: Option<Duration>) -> Held {
        self.since = timeout.map(|_| Instant::now());
        let ends = self
            .since
            .zip(timeout)
            .map(|(since, timeout)| since + timeout.min(LONGEST));
        Held {
            connect: self,
            ends,
            timer: ends.map(sleep_until),
        }
    }

    /// Why the connect can't go on waiting, if so. A superseded one may not touch the queue any more.
    fn release_reason(&self, state: &State) -> Option<Reason> {
        if !self.is_newest(state) {
            return Some(Reason::Superseded);
        }
        let may_deliver = !self.is_heartbeat;
        if let Some(reason) = state.closed
            && (may_deliver || state.queue.is_empty())
        {
            return Some(reason);
        }
        // Looked up under the state lock, which shutdown takes after it has raised the flag: none is missed.
        if self.session.hub.is_draining() {
            return Some(Reason::Shutdown);
        }
        (may_deliver && state.is_due()).then_some(Reason::Delivered)
    }

    /// Answers if there is reason to. If not, says when to look again, though nothing has woken it by then.
    fn take_or_wait(&mut self, cx: &Context<'_>) -> Result<Taken, Option<Instant>> {
        let session = Arc::clone(&self.session);
        // A waker's own clone and drop may run anything, so never under the lock.
        let waker = cx.waker().clone();
        let mut state = session.state();
        if !self.is_heartbeat {
            state.gather(!self.is_held);
        }
        if let Some(reason) = self.release_reason(&state) {
            return Ok(self.finish(&mut state, reason));
        }
        let waits_until = if self.is_heartbeat { None } else { state.waits_until() };
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        self.start_hold();
        Err(waits_until)
    }

    /// Answers because it has been held for long enough, with what there is: lazy messages, or those of a batch that is
    /// still open.
    fn time_out(&mut self) -> Taken {
        let session = Arc::clone(&self.session);
        let mut state = session.state();
        let otherwise = if state.queue.is_empty() || self.is_heartbeat {
            Reason::Timeout
        } else {
            Reason::Delivered
        };
        let reason = self.release_reason(&state).unwrap_or(otherwise);
        let waker = (reason != Reason::Superseded && self.polls).then(|| state.waker.take());
        let taken = self.finish(&mut state, reason);
        drop(state);
        drop(waker);
        taken
    }

    const fn is_newest(&self, state: &State) -> bool {
        state.generation == self.generation && !(state.is_pushed && self.polls)
    }

    fn finish(&mut self, state: &mut State, reason: Reason) -> Taken {
        self.done = true;
        let now = Instant::now();
        let held = self.end_hold(now);
        let times = self.session.times_in(state);
        let lease = if reason == Reason::Superseded {
            Lease::empty(Arc::clone(&self.session))
        } else {
            state.connected = true;
            self.arm_expiry(now, state, &times);
            if !self.is_heartbeat {
                state.has_answered(now, state.queue.len(), self.session.hub.gather);
            }
            let most = if self.is_heartbeat { 0 } else { usize::MAX };
            self.session.lease_oldest(state, most)
        };
        self.session.hub.counters.connects_ended.add(reason, 1);
        Taken {
            lease,
            reason,
            held,
            times,
        }
    }

    /// While the session is pushed to, it does not expire, whatever becomes of its connects.
    fn arm_expiry(&self, now: Instant, state: &State, times: &Times) {
        if !state.is_pushed {
            self.session
                .arm_expiry(now, times, self.interval.unwrap_or(times.interval));
        }
    }

    fn start_hold(&mut self) {
        if !self.is_held {
            self.is_held = true;
            self.session.hub.counters.held_connects.fetch_add(1, Relaxed);
        }
    }

    /// For how long it was held.
    fn end_hold(&mut self, now: Instant) -> Duration {
        if !mem::take(&mut self.is_held) {
            return Duration::ZERO;
        }
        self.session.hub.counters.held_connects.fetch_sub(1, Relaxed);
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let now = Instant::now();
        let held = self.end_hold(now);
        let hub = &self.session.hub;
        hub.counters.connects_ended.add(Reason::ClientGone, 1);
        let mut state = self.session.state();
        if self.is_newest(&state) {
            self.arm_expiry(now, &state, &self.session.times_in(&state));
            // Where it shares the waker with what pushes, that still needs it.
            let waker = if self.polls { state.waker.take() } else { None };
            drop(state);
            drop(waker);
            hub.watch.note_cut(held, hub.now());
        }
    }
}

pin_project! {
    /// A held connect. Has no task of its own: one waker in the session and one timer in here. Messages leave the
    /// queue only inside the poll that returns `Ready`.
    #[derive(Debug)]
    pub(crate) struct Held {
        connect: Connect,
        // When it has been held for long enough.
        ends: Option<Instant>,
        // Rings then, or when it has to look round before, for lazy messages or those that were gathered.
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Future for Held {
    type Output = Taken;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Taken> {
        let this = self.project();
        let connect = this.connect;
        let (Some(mut timer), Some(ends)) = (this.timer.as_pin_mut(), *this.ends) else {
            return Poll::Ready(connect.answer_now());
        };
        loop {
            let looks_again = match connect.take_or_wait(cx) {
                Ok(taken) => return Poll::Ready(taken),
                Err(until) => until.map_or(ends, |until| until.min(ends)),
            };
            if timer.deadline() != looks_again {
                timer.as_mut().reset(looks_again);
            }
            ready!(timer.as_mut().poll(cx));
            if looks_again == ends {
                return Poll::Ready(connect.time_out());
            }
        }
    }
}
