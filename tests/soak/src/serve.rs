//! The server: plain hyper with every transport, numbered messages in every room, and its counters once a second.

use std::{alloc::System, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use tower_bayeux::{BayeuxServer, BayeuxService, Reason, Stats};

use crate::Error;

/// Short enough that each session sees many holds, long enough that most wait most of the time.
const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_INTERVAL: Duration = Duration::from_secs(10);
/// The next room gets its next message so often.
const PUBLISH: Duration = Duration::from_millis(100);

/// What the server says of itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Gauges {
    pub(crate) sessions: u64,
    pub(crate) subscriptions: u64,
    pub(crate) held: u64,
    pub(crate) sockets: u64,
    pub(crate) queued: u64,
    pub(crate) queued_bytes: u64,
    pub(crate) added: u64,
    pub(crate) expired: u64,
    pub(crate) published: u64,
    pub(crate) delivered: u64,
    pub(crate) given_back: u64,
    pub(crate) lost: u64,
    pub(crate) dropped: u64,
    /// Bytes that the server's process has allocated and not freed.
    pub(crate) live_bytes: u64,
}

impl Gauges {
    fn of(server: &BayeuxServer, stats: &Stats) -> Self {
        let channels = server.channels();
        let subscribers = channels.iter().map(|channel| server.subscriber_count(channel.as_str()));
        Self {
            sessions: stats.sessions,
            subscriptions: subscribers.sum::<usize>() as u64,
            held: stats.held_connects,
            sockets: stats.open_sockets,
            queued: stats.queued_messages,
            queued_bytes: stats.queued_bytes,
            added: stats.sessions_added,
            expired: stats.sessions_removed.count(Reason::Expired),
            published: stats.published_messages,
            delivered: stats.delivered_messages,
            given_back: stats.given_back_messages,
            lost: stats.lost_messages,
            dropped: stats.dropped_messages.total(),
            live_bytes: live_bytes(),
        }
    }

    /// Whether nothing is left of anybody.
    pub(crate) const fn is_empty(&self) -> bool {
        self.sessions + self.subscriptions + self.held + self.sockets + self.queued + self.queued_bytes == 0
    }
}

/// Counts what is allocated, so that a leak can be told from what the allocator keeps for later.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live_bytes() -> u64 {
    let stats = ALLOCATOR.stats();
    // Both count what is reallocated, too.
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated) as u64
}

/// Serves until nobody reads what it says. It publishes until its input ends.
pub(crate) async fn serve() -> Result<(), Error> {
    let rooms: u32 = std::env::args().nth(2).ok_or("how many rooms?")?.parse()?;
    let server = BayeuxServer::builder()
        .timeout(TIMEOUT)
        .max_interval(MAX_INTERVAL)
        .build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let service = TowerToHyperService::new(BayeuxService::new("/cometd", server.clone()));
    tokio::spawn(accept(listener, service));
    let publishing = tokio::spawn(publish(server.clone(), rooms));
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read_to_end(&mut Vec::new()).await;
        publishing.abort();
    });
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        let line = serde_json::to_string(&Gauges::of(&server, &server.stats()))?;
        use std::io::Write;
        if writeln!(std::io::stdout(), "{line}").is_err() {
            return Ok(());
        }
    }
}

async fn accept(listener: TcpListener, service: TowerToHyperService<BayeuxService>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: wait for some connections to end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).pipeline_flush(true);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            let _ = connection.with_upgrades().await;
        });
    }
}

/// One room after the other gets its next number.
async fn publish(server: BayeuxServer, rooms: u32) -> Result<(), Error> {
    let mut due = interval(PUBLISH);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 1_u64.. {
        for room in 0..rooms {
            due.tick().await;
            let text = "a few words, as people say them";
            server.publish(format!("/room/{room}"), &json!({ "number": number, "text": text }))?;
        }
    }
    Ok(())
}
