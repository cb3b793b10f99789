//! Requests that are answered at once, one after the other.

use std::{rc::Rc, time::Duration};

use tokio::{task::spawn_local, time::Instant};

use super::meter::Meter;
use crate::{
    Error, Options, Report,
    publisher::Amount,
    session::{Session, Ways},
    track::Track,
};

/// What one round is.
#[derive(Clone, Copy, Debug)]
enum Round {
    Handshake,
    Connect,
}

pub(super) async fn handshake(options: &Options, clients: u32) -> Result<Report, Error> {
    rounds(options, clients, Round::Handshake).await
}

pub(super) async fn connect(options: &Options, clients: u32) -> Result<Report, Error> {
    rounds(options, clients, Round::Connect).await
}

async fn rounds(options: &Options, clients: u32, round: Round) -> Result<Report, Error> {
    let mut meter = Meter::new(options);
    let track = Track::new(0);
    let ways = Ways::new(options);
    let mut sessions = Vec::new();
    for client in 0..clients {
        let mut session = Session::start(&ways, client).await?;
        session.connect_at_once().await?;
        if matches!(round, Round::Handshake) {
            session.disconnect().await?;
        }
        sessions.push(session);
    }
    meter.ready();
    sessions = go_round(sessions, round, options.messages, options.warmup, &track).await?;
    meter.start(&track);
    // They are closed when the report is made: that is no part of the load.
    let _sessions = go_round(sessions, round, options.messages, options.duration, &track).await?;
    Ok(meter.report(format!("{round:?} rounds of {clients} clients"), clients, &track))
}

/// Lets all clients go round, side by side.
async fn go_round(
    sessions: Vec<Session>,
    round: Round,
    count: u64,
    duration: Duration,
    track: &Rc<Track>,
) -> Result<Vec<Session>, Error> {
    let amount = Amount::new(count, duration);
    let going: Vec<_> = sessions
        .into_iter()
        .map(|mut session| {
            let (amount, track) = (Rc::clone(&amount), Rc::clone(track));
            spawn_local(async move {
                while amount.take() {
                    let began = Instant::now();
                    if let Err(error) = once(&mut session, round).await {
                        track.failed(&error);
                        break;
                    }
                    track.done(began);
                }
                session
            })
        })
        .collect();
    let mut sessions = Vec::new();
    for session in going {
        sessions.push(session.await?);
    }
    Ok(sessions)
}

async fn once(session: &mut Session, round: Round) -> Result<(), Error> {
    match round {
        Round::Handshake => {
            session.handshake().await?;
            session.disconnect().await
        }
        Round::Connect => session.connect_at_once().await,
    }
}
