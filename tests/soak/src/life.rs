//! What becomes of one client: it comes, stays for a while, goes in one of several ways, and another takes its place.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rand::random_range;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_tungstenite::tungstenite;

use crate::{Error, check::Tally, polling, socket};

/// How long a client stays.
const LIFE: std::ops::Range<u64> = 5_000..120_000;
/// How long a client that has fallen silent keeps its connection.
pub(crate) const SILENCE: Duration = Duration::from_secs(25);

/// A place in the crowd: one client after the other.
#[derive(Clone, Debug)]
pub(crate) struct Crowd {
    pub(crate) address: SocketAddr,
    pub(crate) rooms: u32,
    pub(crate) tally: Arc<Tally>,
    pub(crate) stopped: watch::Receiver<bool>,
}

/// How a client goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exit {
    /// With a disconnect.
    Leave,
    /// Its connection closes.
    Vanish,
    /// It keeps its connection, and neither reads nor sends any more.
    Stick,
}

/// What is decided when a client comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) room: u32,
    pub(crate) until: Instant,
    pub(crate) exit: Exit,
}

impl Crowd {
    /// Clients come until all is over: one in ten by WebSocket, of the others every second acknowledges.
    pub(crate) async fn live(mut self, number: u32) {
        // The first ones do not come all at once.
        self.pause(random_range(0..20_000)).await;
        while !*self.stopped.borrow() {
            let life = self.life();
            let lived = match number % 10 {
                0 => socket::live(&mut self, life).await,
                of_ten => polling::live(&mut self, life, of_ten % 2 == 0).await,
            };
            match lived {
                Ok(()) => {}
                Err(error) if is_broken(&error) => Tally::count(&self.tally.broken),
                Err(error) => {
                    Tally::count(&self.tally.failed);
                    eprintln!("client {number}: {error}");
                }
            }
            self.pause(random_range(0..2_000)).await;
        }
    }

    fn life(&self) -> Life {
        Life {
            room: random_range(0..self.rooms),
            until: Instant::now() + Duration::from_millis(random_range(LIFE)),
            exit: match random_range(0..20) {
                0..10 => Exit::Leave,
                10..19 => Exit::Vanish,
                _ => Exit::Stick,
            },
        }
    }

    /// Waits for so many milliseconds, or the end.
    pub(crate) async fn pause(&mut self, milliseconds: u64) {
        tokio::select! {
            () = sleep(Duration::from_millis(milliseconds)) => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
    }

    /// Waits until a client's life is over.
    pub(crate) async fn end_of(&mut self, life: Life) {
        tokio::select! {
            () = tokio::time::sleep_until(life.until) => {}
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
        }
    }
}

fn is_broken(error: &Error) -> bool {
    error.is::<std::io::Error>() || matches!(error.downcast_ref(), Some(tungstenite::Error::Io(_)))
}
