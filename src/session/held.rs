//! A `/meta/connect` that is held: what it waits for, and what ends the wait.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Connect, Taken, connect::Progress, record::State, times::LONGEST};
use crate::Reason;

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
        let stays = !progress.is_held || progress.is_heartbeat;
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
                return Look::Answers(progress.finish(session, &mut state, reason));
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
        let mut state = session.state();
        let otherwise = if state.queue.is_empty() || progress.is_heartbeat {
            Reason::Timeout
        } else {
            Reason::Delivered
        };
        let reason = progress.release_reason(session, &state).unwrap_or(otherwise);
        let waker = (reason != Reason::Superseded && progress.polls).then(|| state.waker.take());
        let taken = progress.finish(session, &mut state, reason);
        drop(state);
        drop(waker);
        taken
    }
}

impl Progress {
    /// Whether it is held, and whoever has to wake it takes its waker away. One that shares it with what pushes, or with a
    /// newer connect, can't tell by that.
    const fn sleeps(&self, state: &State) -> bool {
        self.is_held && !self.is_heartbeat && self.is_newest(state)
    }
}
