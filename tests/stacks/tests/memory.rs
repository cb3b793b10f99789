//! A crowd that comes and goes leaves no byte behind.

mod support;

use std::time::Duration;

use allocation_counter::measure;
use futures_util::{SinkExt, StreamExt, future::join_all};
use serde_json::json;
use support::{Caller, Site, nothing_left};
use tokio::{net::TcpStream, runtime::Builder, time::timeout};
use tokio_tungstenite::{client_async, tungstenite::Message};
use tower_bayeux::BayeuxServer;

/// What the tables of server and runtime may have grown by, whatever the number of sessions.
const TABLES: i64 = 16 * 1024;

/// Twenty clients poll, get a message, are held, and leave or vanish.
async fn poll(site: &Site, number: u64) {
    let callers = (0..20).map(|each| Caller::start(site.address, each % 2 == 0));
    let mut callers = join_all(callers).await;
    site.server.publish("/a", &number).unwrap();
    for (each, caller) in callers.iter_mut().enumerate() {
        assert!(caller.poll().await);
        let _ = timeout(Duration::from_millis(1), caller.poll()).await;
        if each % 3 == 0 {
            caller.leave().await;
        }
    }
}

/// One comes by WebSocket, and its socket breaks.
async fn listen(site: &Site) {
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{}/cometd", site.address), stream)
        .await
        .unwrap();
    for message in [
        json!({ "channel": "/meta/handshake" }),
        json!({ "channel": "/meta/connect" }),
    ] {
        socket.send(Message::text(message.to_string())).await.unwrap();
        socket.next().await.unwrap().unwrap();
    }
}

async fn crowd(site: &Site, rounds: u64) {
    for number in 0..rounds {
        poll(site, number).await;
        listen(site).await;
    }
    nothing_left(&site.server).await;
}

#[test]
fn what_sessions_and_connections_took_is_given_back_when_they_have_gone() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let builder = BayeuxServer::builder()
        .timeout(Duration::from_millis(100))
        .max_interval(Duration::from_secs(1));
    let site = runtime.block_on(Site::open(builder));
    runtime.block_on(crowd(&site, 20));
    let used = measure(|| runtime.block_on(crowd(&site, 50)));
    assert!(used.bytes_current.abs() < TABLES, "{used:?}");
}
