//! A `/meta/connect` in progress: how it begins, what releases it, how it ends. `held.rs` waits in between.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::{Lease, Session, Times, record::State};
use crate::{
    Reason,
    sync::{MutexGuard, wake},
};

/// A connect between its arrival and its answer. While there is one, the session does not expire; when the newest one
/// ends in any way, dropped ones included, expiry is armed again.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(super) session: Arc<Session>,
    pub(super) progress: Progress,
}

/// What a connect is, and how far it has come. Apart from the session, so that it can change while that is locked.
#[derive(Debug)]
pub(super) struct Progress {
    generation: u64,
    /// The client's own pause before its next connect.
    interval: Option<Duration>,
    /// When it came: since then it is held, if it comes to that.
    pub(super) since: Instant,
    /// Whether it is held, and counted so.
    pub(super) is_held: bool,
    /// Whether it came by a transport that does not push, and so ends where one pushes.
    pub(super) polls: bool,
    /// Whether events take another way than its answer.
    pub(super) is_heartbeat: bool,
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

/// What a client asks for with its connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) role: Role,
    /// Its own pause before the next connect.
    pub(crate) interval: Option<Duration>,
    /// The last batch that it has got, if it acknowledges: what was sent after that is sent again.
    pub(crate) acknowledged: Option<u64>,
    /// When the connect came.
    pub(crate) at: Instant,
}

/// What of its session a connect depends on, read at one go when it begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) times: Times,
    /// The client's own pause before its next connect, as far as it may have one.
    pub(crate) interval: Option<Duration>,
    /// Whether it only keeps a session alive that is pushed to.
    pub(crate) is_elsewhere: bool,
    /// Whether that is pushed to right now, by a task of its own.
    pub(crate) is_beside_stream: bool,
    /// Whether the session was never connected before: then the connect is not held.
    pub(crate) is_first: bool,
    /// Whether the client came back before its pause was over.
    pub(crate) is_early: bool,
    /// Whether an older connect of the session was being held and now ends.
    pub(crate) replaces: bool,
    /// Whether there was something to deliver when it came.
    pub(crate) finds_messages: bool,
}

/// The answer to a connect: what to deliver and why now.
#[derive(Debug)]
pub(crate) struct Taken {
    /// In a box, as it goes through many hands on its way to the response body.
    pub(crate) lease: Box<Lease>,
    /// Why the connect ended.
    pub(crate) reason: Reason,
    /// How long it was held.
    pub(crate) held: Duration,
    /// The session's times, as the client is to be told.
    pub(crate) times: Times,
}

impl Connect {
    /// Starts a connect; an older one of the same session is superseded and answers at once.
    pub(crate) fn begin(session: Arc<Session>, asked: Asked) -> (Self, Terms) {
        let (progress, terms) = Progress::begin(&session, session.state(), asked);
        (Self { session, progress }, terms)
    }

    /// As [`begin`](Self::begin), unless the session has ended and not even a farewell is left of it.
    pub(crate) fn begin_if_open(session: Arc<Session>, asked: Asked) -> Option<(Self, Terms)> {
        let state = session.state();
        if state.closed.is_some() && !state.owes_farewell() {
            return None;
        }
        let (progress, terms) = Progress::begin(&session, state, asked);
        Some((Self { session, progress }, terms))
    }

    /// The session that it belongs to.
    pub(crate) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Answers now, with whatever is queued.
    pub(crate) fn answer_now(&mut self) -> Taken {
        let Self { session, progress } = self;
        let mut state = session.state();
        let reason = progress.release_reason(session, &state).or(state.closed);
        let reason = reason.unwrap_or(Reason::NotHeld);
        let taken = progress.finish(session, &mut state, reason);
        if reason != Reason::Superseded {
            // Who does not want to be held sets the pace of answers himself.
            state.stop_gathering();
        }
        taken
    }
}

impl State {
    /// Whether events take another way than the answer to a connect that begins now.
    fn is_heartbeat(&mut self, role: Role) -> bool {
        match role {
            Role::Polls => {
                self.is_pushed = false;
                false
            }
            Role::Heartbeat => self.acks.is_none(),
            Role::Elsewhere => {
                self.is_pushed &= self.acks.is_none();
                self.is_pushed
            }
        }
    }
}

impl Progress {
    fn begin(session: &Session, mut state: MutexGuard<'_, State>, asked: Asked) -> (Self, Terms) {
        if let Some(batch) = asked.acknowledged {
            session.acknowledge(&mut state, batch);
        }
        let times = session.times_in(&state);
        let is_elsewhere = asked.role == Role::Elsewhere && state.acks.is_none();
        // A client may take longer pauses than it is told to, but not keep a session for ever by announcing one.
        let longest = times.max_interval.max(times.interval);
        let interval = asked.interval.map(|interval| interval.min(longest));
        let interval = interval.or(is_elsewhere.then_some(times.timeout));
        let replaces = state.waker.is_some() && !state.is_pushed;
        let is_heartbeat = state.is_heartbeat(asked.role);
        state.generation += 1;
        let terms = Terms {
            times,
            interval,
            is_elsewhere,
            is_beside_stream: asked.role == Role::Elsewhere && is_heartbeat,
            is_first: !state.connected,
            is_early: session.is_early(asked.at, &times),
            replaces,
            finds_messages: !is_heartbeat && !state.queue.is_empty(),
        };
        let progress = Self {
            generation: state.generation,
            interval,
            since: asked.at,
            is_held: false,
            polls: asked.role == Role::Polls || (asked.role == Role::Elsewhere && !is_heartbeat),
            is_heartbeat,
            done: false,
        };
        session.suspend_expiry();
        let superseded = state.waker.take();
        drop(state);
        wake(superseded);
        (progress, terms)
    }

    /// Why the connect can't go on waiting, if so. A superseded one may not touch the queue any more.
    pub(super) fn release_reason(&self, session: &Session, state: &State) -> Option<Reason> {
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
        if session.hub.is_draining() {
            return Some(Reason::Shutdown);
        }
        (may_deliver && state.is_due()).then_some(Reason::Delivered)
    }

    pub(super) const fn is_newest(&self, state: &State) -> bool {
        state.generation == self.generation && !(state.is_pushed && self.polls)
    }

    pub(super) fn finish(&mut self, session: &Arc<Session>, state: &mut State, reason: Reason) -> Taken {
        self.done = true;
        let now = Instant::now();
        let held = self.end_hold(session, now);
        let times = session.times_in(state);
        let lease = if reason == Reason::Superseded {
            Box::new(Lease::empty(Arc::clone(session)))
        } else {
            state.connected = true;
            self.arm_expiry(session, now, state, &times);
            if !self.is_heartbeat {
                state.has_answered(&session.hub, now, state.queue.len());
            }
            let most = if self.is_heartbeat { 0 } else { usize::MAX };
            Box::new(session.lease_oldest(state, most))
        };
        session.hub.counters.busy().connects_ended.add(reason, 1);
        Taken {
            lease,
            reason,
            held,
            times,
        }
    }

    /// While the session is pushed to, it does not expire, whatever becomes of its connects.
    fn arm_expiry(&self, session: &Session, now: Instant, state: &State, times: &Times) {
        if !state.is_pushed {
            session.arm_expiry(now, times, self.interval.unwrap_or(times.interval));
        }
    }

    pub(super) fn start_hold(&mut self, session: &Session) {
        if !self.is_held {
            self.is_held = true;
            session.hub.counters.busy().held_connects.fetch_add(1, Relaxed);
        }
    }

    /// For how long it was held.
    fn end_hold(&mut self, session: &Session, now: Instant) -> Duration {
        if !mem::take(&mut self.is_held) {
            return Duration::ZERO;
        }
        session.hub.counters.busy().held_connects.fetch_sub(1, Relaxed);
        now.saturating_duration_since(self.since)
    }
}

impl Drop for Connect {
    fn drop(&mut self) {
        let Self { session, progress } = self;
        if progress.done {
            return;
        }
        let now = Instant::now();
        let held = progress.end_hold(session, now);
        let hub = &session.hub;
        hub.counters.busy().connects_ended.add(Reason::ClientGone, 1);
        let mut state = session.state();
        if progress.is_newest(&state) {
            progress.arm_expiry(session, now, &state, &session.times_in(&state));
            // Where it shares the waker with what pushes, that still needs it.
            let waker = if progress.polls { state.waker.take() } else { None };
            drop(state);
            drop(waker);
            hub.watch.note_cut(held, hub.now());
        }
    }
}
