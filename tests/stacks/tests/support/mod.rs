//! A server on a socket of its own, clients that know HTTP byte by byte, and a bad network in between.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses its own part of this module"
)]

mod caller;
mod proxy;
mod site;

pub use caller::{Caller, Wire, connect, post};
pub use proxy::{End, Fate, Proxy};
pub use site::{HEAD_TIMEOUT, Site};

use std::{future::Future, time::Duration};

use tower_bayeux::{BayeuxServer, Stats};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Fails a test instead of hanging it.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("this never happened")
}

/// Waits until the server's counters are as they should be.
#[track_caller]
pub fn until(server: &BayeuxServer, condition: impl Fn(&Stats) -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let server = server.clone();
    async move {
        let waiting = async {
            while !condition(&server.stats()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            panic!("never, {caller}: {:?}", server.stats());
        }
    }
}

/// Waits until nothing is left of anybody.
#[track_caller]
pub fn nothing_left(server: &BayeuxServer) -> impl Future<Output = ()> {
    let gone = until(server, |stats| {
        stats.sessions
            + stats.held_connects
            + stats.open_sockets
            + stats.open_streams
            + stats.queued_messages
            + stats.queued_bytes
            == 0
    });
    let server = server.clone();
    async move {
        gone.await;
        assert!(server.channels().is_empty() && server.sessions().is_empty());
    }
}
