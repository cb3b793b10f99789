//! One publisher, and when it sends.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    Error,
    ledger::Sequence,
    message::{self, Payload},
    random::Random,
    session::Session,
    track::{Awaited, Track},
};

/// How much there is to send, for all publishers together.
#[derive(Debug)]
pub(crate) struct Amount {
    messages: Cell<u64>,
    from: Instant,
    until: Instant,
}

impl Amount {
    pub(crate) fn new(messages: u64, duration: Duration) -> Rc<Self> {
        let from = Instant::now();
        Rc::new(Self {
            messages: Cell::new(messages),
            from,
            until: from + duration,
        })
    }

    /// Takes one message that is due at a moment; `false` if there is none left then. One that was due in time is sent,
    /// however late: to leave it out would make a slow server look better.
    pub(crate) fn take(&self, due: Instant) -> bool {
        let left = self.messages.get();
        if left == 0 || due >= self.until {
            return false;
        }
        self.messages.set(left - 1);
        true
    }
}

/// When the next message goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pacing {
    /// When all have the last one.
    Closed,
    /// At fixed times.
    Every(Duration),
    /// When the last one was accepted.
    Flood,
}

impl Pacing {
    /// How many messages one publisher has to send, if that does not depend on the server.
    pub(crate) fn planned(self, messages: u64, duration: Duration) -> Option<u64> {
        let Self::Every(pause) = self else {
            return None;
        };
        let in_time = duration.as_nanos().div_ceil(pause.as_nanos().max(1));
        Some(u64::try_from(in_time).unwrap_or(u64::MAX).min(messages))
    }
}

/// A session that publishes on one connection.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: u32,
    session: Session,
    awaited: Rc<Awaited>,
    track: Rc<Track>,
    channels: Rc<[String]>,
    text: Rc<str>,
    /// Picks the channel of the next message: publishers that went from one to the next would go in step.
    random: Random,
}

impl Publisher {
    pub(crate) fn new(
        number: u32,
        session: Session,
        track: &Rc<Track>,
        channels: &Rc<[String]>,
        text: &Rc<str>,
    ) -> Self {
        Self {
            number,
            session,
            awaited: track.awaited(number),
            track: Rc::clone(track),
            channels: Rc::clone(channels),
            text: Rc::clone(text),
            random: Random::new(u64::from(number) << 32),
        }
    }

    /// Publishes on one random channel after the other for as long as there is something to send.
    pub(crate) async fn run(&mut self, pacing: Pacing, amount: &Amount, stall: Duration) {
        let mut next = amount.from;
        loop {
            let due = match pacing {
                Pacing::Every(_) => next,
                Pacing::Closed | Pacing::Flood => Instant::now(),
            };
            if !amount.take(due) {
                return;
            }
            if let Pacing::Every(pause) = pacing {
                sleep_until(due).await;
                next += pause;
            }
            let channel = self
                .random
                .below(u32::try_from(self.channels.len()).unwrap_or(u32::MAX));
            if let Err(error) = self.send(channel, due, pacing, stall).await {
                self.track.failed(&error);
                return;
            }
        }
    }

    async fn send(&mut self, channel: u32, due: Instant, pacing: Pacing, stall: Duration) -> Result<(), Error> {
        self.publish(&[channel], due).await?;
        if matches!(pacing, Pacing::Closed) {
            self.awaited.all(stall).await?;
        }
        Ok(())
    }

    /// Publishes a batch that is due at a moment.
    pub(crate) async fn publish(&mut self, channels: &[u32], due: Instant) -> Result<(), Error> {
        let first_id = self.session.ids(channels.len() as u64);
        let messages = channels.iter().map(|channel| {
            let sequence = Sequence {
                publisher: self.number,
                channel: *channel,
            };
            let payload = Payload {
                p: self.number,
                c: *channel,
                s: self.track.sending(sequence, &self.awaited),
                t: self.track.at(due),
                chat: &self.text,
            };
            (&*self.channels[*channel as usize], payload)
        });
        let body = message::publish(self.session.id(), first_id, messages);
        self.session.publish(&body).await
    }
}
