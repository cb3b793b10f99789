//! Clients that take for ever: in the head of a request, in its body, in a frame. None holds up anybody else, and each
//! is let go after a time.

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use support::{Caller, HEAD_TIMEOUT, Site, Wire, connect, post, soon, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_tungstenite::{client_async, tungstenite::Message};
use tower_bayeux::{BayeuxServer, WebSocketConfig};

const BODY_TIMEOUT: Duration = Duration::from_millis(300);

async fn site() -> Site {
    Site::open_impatient(BayeuxServer::builder().body_timeout(BODY_TIMEOUT)).await
}

/// A message is published and arrives, whoever is in the way.
async fn serves(site: &Site, caller: &mut Caller, number: u64) {
    site.server.publish("/a", &number).unwrap();
    assert!(soon(caller.poll()).await);
    assert_eq!(caller.numbers.last(), Some(&number));
}

#[tokio::test]
async fn a_body_that_stalls_is_refused_after_its_time_and_holds_up_nobody() {
    let site = site().await;
    let mut caller = Caller::start_fresh(site.address).await;
    let bytes = post(&json!([{ "channel": "/a", "clientId": caller.id, "data": "x".repeat(100_000) }]));
    let begin = Instant::now();
    let mut stalled = Vec::new();
    for number in 0..100 {
        let mut wire = Wire::open(site.address).await.unwrap();
        // From the first byte of the body to the last but one.
        let sent = bytes.len() - 100_000 + 999 * number;
        wire.send(&bytes[..sent]).await.unwrap();
        stalled.push(wire);
    }
    serves(&site, &mut caller, 1).await;
    for mut wire in stalled {
        let (status, body) = soon(wire.answer()).await.unwrap();
        assert_eq!((status, &body[0]["error"]), (408, &json!("408::body_timeout")));
        assert!(soon(wire.answer()).await.is_none(), "the connection is closed");
    }
    assert!(begin.elapsed() >= BODY_TIMEOUT);
    assert_eq!(site.server.stats().published_messages, 1);
    serves(&site, &mut caller, 2).await;
}

#[tokio::test]
async fn a_body_that_trickles_in_gains_no_time_by_it() {
    let site = site().await;
    let caller = Caller::start_fresh(site.address).await;
    let bytes = post(&json!([{ "channel": "/a", "clientId": caller.id, "data": "x".repeat(1000) }]));
    let mut wire = Wire::open(site.address).await.unwrap();
    wire.send(&bytes[..bytes.len() - 1000]).await.unwrap();
    let begin = Instant::now();
    for byte in &bytes[bytes.len() - 1000..] {
        if wire.send(&[*byte]).await.is_err() || begin.elapsed() > 2 * BODY_TIMEOUT {
            break;
        }
        sleep(Duration::from_millis(5)).await;
    }
    // Whether the answer survives what was sent after it is up to the network.
    if let Some((status, _)) = soon(wire.answer()).await {
        assert_eq!(status, 408);
    }
    assert_eq!(site.server.stats().published_messages, 0);
}

#[tokio::test]
async fn a_head_that_stalls_is_ended_by_hyper_and_holds_up_nobody() {
    let site = site().await;
    let mut caller = Caller::start_fresh(site.address).await;
    let bytes = post(&connect(&caller.id));
    let begin = Instant::now();
    let mut stalled = Vec::new();
    // By the second byte hyper-util knows which HTTP it is to be; for the first it waits without a limit.
    for sent in 2..60 {
        let mut wire = Wire::open(site.address).await.unwrap();
        wire.send(&bytes[..sent]).await.unwrap();
        stalled.push(wire);
    }
    serves(&site, &mut caller, 1).await;
    for mut wire in stalled {
        soon(wire.stream.read_to_end(&mut Vec::new())).await.unwrap();
    }
    assert!(begin.elapsed() >= HEAD_TIMEOUT);
    serves(&site, &mut caller, 2).await;
}

#[tokio::test]
async fn a_frame_that_never_ends_keeps_no_socket_open() {
    let websocket = WebSocketConfig::new()
        .idle_timeout(Duration::from_millis(300))
        .ping_interval(Duration::from_millis(100));
    let site = Site::open(BayeuxServer::builder().websocket(websocket)).await;
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{}/cometd", site.address), stream)
        .await
        .unwrap();
    let handshake = json!({ "channel": "/meta/handshake" }).to_string();
    socket.send(Message::text(handshake)).await.unwrap();
    soon(socket.next()).await.unwrap().unwrap();
    // The head of a masked frame of 1000 bytes, and then a byte now and then.
    let stream = socket.get_mut();
    stream.write_all(&[0x81, 0xfe, 0x03, 0xe8, 0, 0, 0, 0]).await.unwrap();
    let begin = Instant::now();
    while site.server.stats().open_sockets > 0 {
        let _ = stream.write_all(b"[").await;
        sleep(Duration::from_millis(20)).await;
        assert!(begin.elapsed() < Duration::from_secs(20), "it is still open");
    }
    assert_eq!(site.server.session_count(), 1, "its session lives on");
}

#[tokio::test]
async fn one_that_does_not_read_its_answers_delays_no_other() {
    let site = site().await;
    let mut caller = Caller::start_fresh(site.address).await;
    let stuck = Caller::start_fresh(site.address).await;
    let mut wire = Wire::open(site.address).await.unwrap();
    // Pipelined without end, and nothing is read: the answers fill every buffer on the way.
    let large = json!([{ "channel": "/b", "clientId": stuck.id, "id": "x".repeat(256), "data": 1 }]);
    let bytes = post(&large).repeat(1000);
    let pushing = tokio::spawn(async move { while wire.send(&bytes).await.is_ok() {} });
    for number in 1..=200 {
        serves(&site, &mut caller, number).await;
    }
    pushing.abort();
    until(&site.server, |stats| stats.held_connects == 0).await;
}
