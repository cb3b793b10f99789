//! The modes: what each puts on the server, and the frame that all share.

mod chat;
mod crowd;
mod idle;
mod meter;
mod rooms;
mod rounds;
mod run;

use tokio::{
    task::{spawn_local, yield_now},
    time::timeout,
};

use run::Run;

use crate::{Error, Mode, Options, Report};

/// Does what the options say, and reports. Needs a `LocalSet`.
///
/// # Errors
///
/// A target is not on this machine, the server's process is not there, or no client could be set up. What fails later,
/// and a deadline that passes, are errors in the report.
pub async fn run(options: &Options) -> Result<Report, Error> {
    if let Some(target) = options
        .urls
        .iter()
        .find(|target| !target.is_loopback() && !options.allow_remote)
    {
        return Err(format!(
            "{} is not on this machine; --allow-remote if that is meant",
            target.host
        )
        .into());
    }
    let mut run = Run::new(options)?;
    let spinning = options.spin.then(|| spawn_local(spin()));
    let done = timeout(options.deadline, dispatch(&mut run)).await;
    if let Some(spinning) = spinning {
        spinning.abort();
    }
    match done {
        Ok(Ok(())) => {}
        // There is nothing to report yet.
        Ok(Err(error)) if !run.is_ready() => return Err(error),
        Ok(Err(error)) => run.track.failed(&error),
        Err(_) => run
            .track
            .failed(&format!("not done within {:?}", options.deadline).into()),
    }
    Ok(run.report())
}

/// There is always something to do, so that the thread looks for news instead of waiting for it.
async fn spin() {
    loop {
        yield_now().await;
    }
}

async fn dispatch(run: &mut Run<'_>) -> Result<(), Error> {
    match &run.options.mode {
        Mode::Fanout { subscribers, pace } => rooms::fanout(run, *subscribers, *pace).await,
        Mode::Rooms {
            clients,
            rooms,
            publishers,
            in_flight,
        } => rooms::rooms(run, *clients, *rooms, *publishers, *in_flight).await,
        Mode::Idle { sessions } => idle::idle(run, *sessions).await,
        Mode::Handshake { clients } => rounds::handshake(run, *clients).await,
        Mode::Connect { clients } => rounds::connect(run, *clients).await,
        Mode::Chat(chat) => chat::chat(run, chat).await,
    }
}
