//! A `/meta/connect` that is held: what it waits for, and what ends the wait.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Connect, Session, Taken, connect::Progress, record::State, times::LONGEST};
use crate::{Reason, sync::MutexGuard};

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
            match connect.take_or_wait(cx, timer.is_elapsed()) {
                Look::Answers(taken) => return Poll::Ready(taken),
                Look::Waits(until) => {
                    let looks_again = until.map_or(ends, |until| until.min(ends));
                    if timer.deadline() != looks_again {
                        timer.as_mut().reset(looks_again);
                    }
                }
                Look::Sleeps => {}
            }
            // Each time: to a task that has done enough in one go a timer says that it is pending without being set.
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() == ends {
                return Poll::Ready(connect.time_out());
            }
        }
    }
}

/// What a look at a held connect has brought.
enum Look {
    Answers(Taken),
    /// Until when, if something is to be looked at again though nothing has woken it by then.
    Waits(Option<Instant>),
    /// As it was.
    Sleeps,
}

impl Connect {
    /// Holds the connect until there is something to deliver, `timeout` is over, or something ends it. Without a
    /// timeout it is answered by the first poll.
    #[inline]
    pub(crate) fn hold(self, timeout: Option<Duration>) -> Held {
        let ends = timeout.map(|timeout| self.progress.since + timeout.min(LONGEST));
        Held {
            connect: self,
            ends,
            timer: ends.map(sleep_until),
        }
    }

    /// Answers if there is reason to. HTTP servers look at a held connect whenever anything happens on its connection: one
    /// that nothing has woken, and whose timer has not rung, has not changed.
    fn take_or_wait(&mut self, cx: &Context<'_>, has_rung: bool) -> Look {
        let Self { session, progress } = self;
        // A waker's own clone and drop may run anything, so never under the lock. One that was left here and has been woken
        // most likely finds a reason to answer, and needs no other; unless it was woken for what pushes.
        let stays = !progress.is_held || !progress.polls;
        let mut waker = stays.then(|| cx.waker().clone());
        loop {
            let mut state = session.state();
            let is_known = state.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
            if is_known && !has_rung && progress.sleeps(&state) {
                return Look::Sleeps;
            }
            if !progress.is_heartbeat {
                state.gather();
            }
            if let Some(reason) = progress.release_reason(session, &state) {
                return Look::Answers(progress.end_wait(session, state, reason));
            }
            if waker.is_none() && !is_known {
                drop(state);
                waker = Some(cx.waker().clone());
                continue;
            }
            let waits_until = if progress.is_heartbeat {
                None
            } else {
                state.waits_until()
            };
            let replaced = waker.and_then(|waker| state.waker.replace(waker));
            drop(state);
            drop(replaced);
            progress.start_hold(session);
            return Look::Waits(waits_until);
        }
    }

    /// Answers because it has been held for long enough, with what there is: lazy messages, or those of a batch that is
    /// still open.
    fn time_out(&mut self) -> Taken {
        let Self { session, progress } = self;
        let state = session.state();
        let otherwise = if state.queue.is_empty() || progress.is_heartbeat {
            Reason::Timeout
        } else {
            Reason::Delivered
        };
        let reason = progress.release_reason(session, &state).unwrap_or(otherwise);
        progress.end_wait(session, state, reason)
    }
}

impl Progress {
    /// Ends, and takes its waker with it: one that stayed would look like a connect that is still held. Where it is that of
    /// a newer connect, or of what pushes, it is still needed.
    fn end_wait(&mut self, session: &Arc<Session>, mut state: MutexGuard<'_, State>, reason: Reason) -> Taken {
        let is_own = self.polls && reason != Reason::Superseded;
        let waker = if is_own { state.waker.take() } else { None };
        let taken = self.finish(session, &mut state, reason);
        // A waker's drop may run anything, so never under the lock.
        drop(state);
        drop(waker);
        taken
    }

    /// Whether it is held, and whoever has to wake it takes its waker away. One that shares it with what pushes, or with a
    /// newer connect, can't tell by that.
    const fn sleeps(&self, state: &State) -> bool {
        self.is_held && self.polls && self.is_newest(state)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use tokio::time::advance;

    use super::*;
    use crate::{
        BayeuxServer,
        protocol::ClientId,
        session::{Asked, Delivery, Push, Role},
    };

    const A_WHILE: Duration = Duration::from_secs(30);

    fn connect(session: &Arc<Session>, role: Role) -> Connect {
        let asked = Asked {
            role,
            interval: None,
            acknowledged: None,
            at: Instant::now(),
        };
        Connect::begin(Arc::clone(session), asked).0
    }

    /// A session whose next connect is held.
    fn session() -> Arc<Session> {
        let hub = Arc::clone(&BayeuxServer::new().state().hub);
        let session = Session::new(ClientId::generate(&hub.random), None, hub);
        connect(&session, Role::Polls).answer_now().lease.commit();
        session
    }

    fn offer(session: &Arc<Session>, lazy: Option<Duration>) {
        let hub = Arc::clone(&session.hub);
        let mut delivery = Delivery::new(&hub).lazily(lazy);
        let accepted = session.offer(&Bytes::from_static(b"{}"), &mut delivery);
        delivery.flush();
        assert_eq!(accepted, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_pushes_to_a_client_that_acknowledges_hides_no_message_from_its_connect() {
        let session = session();
        session.keep_until_acknowledged();
        let mut push = Push::attach(Arc::clone(&session), false);
        let mut held = Box::pin(connect(&session, Role::Heartbeat).hold(Some(A_WHILE)));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(held.as_mut().poll(cx).is_pending());
        assert!(push.poll_take(cx, 1).is_pending());
        // Comes while the task that polls both is between them.
        offer(&session, None);
        assert!(push.poll_take(cx, 1).is_pending());
        let Poll::Ready(taken) = held.as_mut().poll(cx) else {
            panic!("it has a message to deliver");
        };
        assert_eq!((taken.reason, taken.lease.messages().len()), (Reason::Delivered, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connect_that_lazy_messages_have_ended_leaves_no_waker() {
        let session = session();
        let mut held = Box::pin(connect(&session, Role::Polls).hold(Some(A_WHILE)));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(held.as_mut().poll(cx).is_pending());
        offer(&session, Some(A_WHILE / 3));
        assert!(held.as_mut().poll(cx).is_pending());
        advance(A_WHILE / 3).await;
        let answer = held.as_mut().poll(cx);
        assert!(answer.is_ready() && session.state().waker.is_none());
    }
}
