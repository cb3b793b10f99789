//! The modes: what each puts on the server, and the frame that all share.

mod chat;
mod crowd;
mod idle;
mod meter;
mod rooms;
mod rounds;

use tokio::{
    task::{spawn_local, yield_now},
    time::timeout,
};

use crate::{Error, Mode, Options, Report};

/// Does what the options say, and reports. Needs a `LocalSet`.
///
/// # Errors
///
/// A target is not on this machine, clients could not be set up, or the deadline has passed.
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
    let spinning = options.spin.then(|| spawn_local(spin()));
    let done = timeout(options.deadline, dispatch(options)).await;
    if let Some(spinning) = spinning {
        spinning.abort();
    }
    done.map_err(|_| format!("not done within {:?}", options.deadline))?
}

/// There is always something to do, so that the thread looks for news instead of waiting for it.
async fn spin() {
    loop {
        yield_now().await;
    }
}

async fn dispatch(options: &Options) -> Result<Report, Error> {
    match &options.mode {
        Mode::Fanout { subscribers, pace } => rooms::fanout(options, *subscribers, *pace).await,
        Mode::Rooms {
            clients,
            rooms,
            publishers,
            in_flight,
        } => rooms::rooms(options, *clients, *rooms, *publishers, *in_flight).await,
        Mode::Idle { sessions } => idle::idle(options, *sessions).await,
        Mode::Handshake { clients } => rounds::handshake(options, *clients).await,
        Mode::Connect { clients } => rounds::connect(options, *clients).await,
        Mode::Chat(chat) => chat::chat(options, chat).await,
    }
}
