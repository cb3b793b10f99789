//! Requests that are answered at once, one after the other.

use std::{rc::Rc, time::Duration};

use tokio::{task::spawn_local, time::Instant};

use super::run::Run;
use crate::{
    Error,
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

pub(super) async fn handshake(run: &mut Run<'_>, clients: u32) -> Result<(), Error> {
    rounds(run, clients, Round::Handshake).await
}

pub(super) async fn connect(run: &mut Run<'_>, clients: u32) -> Result<(), Error> {
    rounds(run, clients, Round::Connect).await
}

async fn rounds(run: &mut Run<'_>, clients: u32, round: Round) -> Result<(), Error> {
    run.mode = format!("{round:?} rounds of {clients} clients");
    let options = run.options;
    let mut sessions = Vec::new();
    for client in 0..clients {
        match begin(&run.ways, client, round).await {
            Ok(session) => sessions.push(session),
            Err(error) => run.track.not_set_up(client, &error),
        }
    }
    run.track.check_anyone(sessions.len())?;
    run.ready(sessions.len());
    sessions = go_round(sessions, round, options.messages, options.warmup, &run.track).await?;
    run.start();
    // They are closed when all is measured: that is no part of the load.
    let _sessions = go_round(sessions, round, options.messages, options.duration, &run.track).await?;
    run.end().await;
    Ok(())
}

async fn begin(ways: &Ways, client: u32, round: Round) -> Result<Session, Error> {
    let mut session = Session::start(ways, client).await?;
    session.connect_at_once().await?;
    if matches!(round, Round::Handshake) {
        session.disconnect().await?;
    }
    Ok(session)
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
                loop {
                    let began = Instant::now();
                    if !amount.take(began) {
                        break;
                    }
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
