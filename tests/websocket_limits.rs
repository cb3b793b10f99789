//! Sockets that do not read, do not answer, or break.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::time::Duration;

use common::{Client, pass, yield_until};
use futures_util::StreamExt;
use serde_json::{Value, json};
use socket::{ROOM, Socket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;
use tower_bayeux::{BayeuxServer, OverflowPolicy, Reason, WebSocketConfig};

fn numbers(events: &[(String, Value)]) -> Vec<u64> {
    events.iter().map(|(_, data)| data[0].as_u64().unwrap()).collect()
}

/// A number and some weight.
fn heavy(number: u64) -> Value {
    json!([number, "x".repeat(ROOM / 8)])
}

#[tokio::test(start_paused = true)]
async fn what_a_socket_does_not_read_waits_in_the_bounded_queue() {
    let server = BayeuxServer::builder()
        .max_queue_messages(20)
        .overflow(OverflowPolicy::DropNewest)
        .build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    for number in 0..200 {
        server.publish("/a", &heavy(number)).unwrap();
        tokio::task::yield_now().await;
    }
    let stats = server.stats();
    assert_eq!(stats.queued_messages, 20);
    let dropped = stats.dropped_messages.count(Reason::NewestDropped);
    assert!(stats.delivered_messages < 20, "{stats:?}");
    // Whatever was not dropped comes in order.
    let mut received = Vec::new();
    for _ in 0..200 - dropped {
        received.push(socket.message().await["data"][0].as_u64().unwrap());
    }
    assert!(received.is_sorted());
    assert_eq!(received.len() as u64, server.stats().delivered_messages);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_never_reads_overflows_as_any_session_does() {
    let server = BayeuxServer::builder().max_queue_messages(20).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    for number in 0..200 {
        server.publish("/a", &heavy(number)).unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(server.stats().sessions_removed.count(Reason::QueueOverflow), 1);
    // Once it reads again it is told to handshake.
    socket.send(json!({ "channel": "/meta/connect", "id": "c" })).await;
    loop {
        let message = socket.message().await;
        if message["id"] == "c" {
            assert_eq!(message["advice"]["reconnect"], "handshake");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_and_not_written_goes_back_when_the_socket_breaks() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    for number in 0..100 {
        server.publish("/a", &heavy(number)).unwrap();
        tokio::task::yield_now().await;
    }
    // Some of them are read, and then no more.
    let mut received = Vec::new();
    for _ in 0..10 {
        received.push(socket.message().await["data"][0].as_u64().unwrap());
    }
    let id = socket.id.clone();
    // What is in the pipe already goes with it, as with a connection that breaks behind an answer.
    let mut pipe = socket.stream;
    yield_until(|| server.stats().queued_messages > 0).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let delivered = server.stats().delivered_messages;
    while received.len() < usize::try_from(delivered).unwrap() {
        // Reads exactly what the server counts as delivered; each read makes room for more.
        let Some(Ok(Message::Text(text))) = pipe.next().await else {
            panic!()
        };
        let message: Value = serde_json::from_str(&text).unwrap();
        received.push(message[0]["data"][0].as_u64().unwrap());
    }
    drop(pipe);
    yield_until(|| server.stats().open_sockets == 0).await;
    let client = Client {
        server: server.clone(),
        id,
        cookie: None,
    };
    let rest = numbers(&client.poll().await.events());
    let stats = server.stats();
    assert_eq!(stats.lost_messages, 0);
    assert!(!rest.is_empty());
    let first = rest[0];
    assert_eq!(
        rest,
        (first..100).collect::<Vec<_>>(),
        "the rest is complete and in order"
    );
    assert_eq!(stats.delivered_messages, 100);
    assert!(first as usize >= received.len(), "nothing comes twice");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_is_half_out_when_its_socket_ends_comes_once_and_elsewhere() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    server.publish("/a", &"x".repeat(2 * ROOM)).unwrap();
    // Idle for too long, as the client does not even read the pings.
    pass(Duration::from_secs(80)).await;
    let stats = server.stats();
    assert_eq!(
        (stats.open_sockets, stats.given_back_messages, stats.sessions),
        (0, 1, 1)
    );
    let last = socket.stream.next().await;
    assert!(!matches!(last, Some(Ok(_))), "{last:?}");
    let client = Client {
        server: server.clone(),
        id: socket.id,
        cookie: None,
    };
    assert_eq!(client.poll().await.events().len(), 1);
    assert_eq!(server.stats().delivered_messages, 1);
}

/// Publishes more than a socket takes, over and over, until it is told to stop; a quarter of a second for each round.
fn feed(server: &BayeuxServer, data: Value, each: usize) -> tokio::task::JoinHandle<()> {
    let server = server.clone();
    tokio::spawn(async move {
        for _ in 0..400 {
            for _ in 0..each {
                server.publish("/a", &data).unwrap();
            }
            tokio::time::advance(Duration::from_millis(250)).await;
            tokio::task::yield_now().await;
        }
        panic!("nobody has stopped it");
    })
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_is_fed_without_pause_is_heard_and_pinged_all_the_same() {
    let server = BayeuxServer::builder()
        .max_queue_messages(1000)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let mut socket = Socket::open_in(&server, "", 1024 * 1024).await;
    socket.begin().await;
    socket.subscribe("/a").await;
    let feeder = feed(&server, json!(1), 600);
    socket.send(json!({ "channel": "/b", "data": 1, "id": "p" })).await;
    let before = tokio::time::Instant::now();
    let mut answered = Duration::MAX;
    let mut pings = 0;
    // Longer than a silent socket would be left open.
    while before.elapsed() < Duration::from_secs(80) {
        match socket.stream.next().await.unwrap().unwrap() {
            Message::Text(text) if text.contains("\"id\":\"p\"") => answered = before.elapsed(),
            Message::Text(_) => {}
            Message::Ping(_) => pings += 1,
            other => panic!("{other:?}"),
        }
    }
    feeder.abort();
    assert!(answered < Duration::from_secs(10), "{answered:?}");
    assert!(pings >= 2, "{pings}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_a_socket_that_is_fed_without_pause_once_what_was_queued_is_out() {
    let server = BayeuxServer::builder()
        .max_queue_messages(20)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let feeder = feed(&server, heavy(1), 20);
    for _ in 0..50 {
        socket.message().await;
    }
    let before = server.stats();
    server.shutdown();
    loop {
        match socket.stream.next().await.unwrap().unwrap() {
            Message::Text(_) | Message::Ping(_) => {}
            Message::Close(frame) => break assert_eq!(u16::from(frame.unwrap().code), 1001),
            other => panic!("{other:?}"),
        }
    }
    feeder.abort();
    // What was queued, a frame that was on its way already, and what came before the socket knew: a queue at most.
    let after = server.stats().delivered_messages - before.delivered_messages;
    assert!((before.queued_messages..=21).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_sends_what_is_lazy_too() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let lazy = tower_bayeux::Publication::new("/a", &1).unwrap().lazy(true);
    server.send(lazy).unwrap();
    assert!(socket.is_silent().await);
    server.shutdown();
    assert_eq!(socket.message().await["data"], 1);
    assert_eq!(socket.close_code().await, 1001);
}

#[tokio::test(start_paused = true)]
async fn pings_are_sent_and_answered() {
    use futures_util::SinkExt;
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let before = tokio::time::Instant::now();
    assert!(matches!(socket.stream.next().await, Some(Ok(Message::Ping(_)))));
    assert_eq!(before.elapsed().as_secs(), 25);
    socket.stream.send(Message::Ping("hello".into())).await.unwrap();
    assert_eq!(
        socket.stream.next().await.unwrap().unwrap(),
        Message::Pong("hello".into())
    );
}

/// All that the server has to send, read to the last byte.
async fn read_all(stream: &mut DuplexStream) -> Vec<u8> {
    let mut all = Vec::new();
    let silence = timeout(Duration::from_secs(1), async {
        while stream.read_buf(&mut all).await.unwrap() > 0 {}
    });
    assert!(silence.await.is_err(), "the connection is closed");
    all
}

#[tokio::test(start_paused = true)]
async fn a_client_that_pings_and_does_not_read_costs_no_memory() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let stream = socket.stream.get_mut();
    let mut ping = vec![0x89, 0x80 | 125, 0, 0, 0, 0];
    ping.extend([b'x'; 125]);
    for _ in 0..10_000 {
        stream.write_all(&ping).await.unwrap();
    }
    let pongs = read_all(stream).await.len();
    assert!((ROOM..100 * 1024).contains(&pongs), "{pongs}");
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_large_event_comes_in_fragments_with_pings_between_them() {
    let websocket = WebSocketConfig::new().ping_interval(Duration::from_secs(1));
    let server = BayeuxServer::builder().websocket(websocket).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let large = "\u{fc}".repeat(100 * 1024);
    server.publish("/a", &large).unwrap();
    pass(Duration::from_secs(3)).await;
    assert_eq!(server.stats().delivered_messages, 0, "it is on its way");
    let mut frames = Vec::new();
    let raw = read_all(socket.stream.get_mut()).await;
    let mut rest = &raw[..];
    while let [first, length, tail @ ..] = rest {
        let (size, head) = match length {
            126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), 2),
            127 => (
                usize::try_from(u64::from_be_bytes(tail[..8].try_into().unwrap())).unwrap(),
                8,
            ),
            length => (usize::from(*length), 0),
        };
        frames.push((*first, &tail[head..head + size]));
        rest = &tail[head + size..];
    }
    assert!(frames.iter().all(|(_, payload)| payload.len() <= 64 * 1024));
    let is_ping = |(first, _): &&(u8, &[u8])| *first == 0x89;
    assert!(frames.iter().position(|frame| is_ping(&frame)).unwrap() < frames.len() - 1);
    let data: Vec<_> = frames.iter().filter(|frame| !is_ping(frame)).collect();
    let heads: Vec<u8> = data.iter().map(|(first, _)| *first).collect();
    assert_eq!(heads, [0x01, 0, 0, 0x80]);
    let text: Vec<u8> = data.iter().flat_map(|(_, payload)| payload.iter().copied()).collect();
    let messages: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(messages[0]["data"], large);
    assert_eq!(server.stats().delivered_messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_socket_from_which_nothing_comes_is_closed_and_its_session_lives_on() {
    let websocket = WebSocketConfig::new()
        .ping_interval(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(10));
    let server = BayeuxServer::builder().websocket(websocket).build();
    let socket = Socket::subscribed(&server, "/a").await;
    pass(Duration::from_secs(21)).await;
    assert_eq!(server.stats().open_sockets, 0);
    assert_eq!(server.session_count(), 1);
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_no_session_uses_is_closed_though_it_answers_pings() {
    let server = BayeuxServer::new();
    let mut socket = Socket::open(&server).await;
    let before = tokio::time::Instant::now();
    assert_eq!(socket.close_code().await, 1001);
    assert!((60..90).contains(&before.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_sockets_that_come_and_go_leave_nothing_behind() {
    let server = BayeuxServer::new();
    for round in 0..1000 {
        let mut socket = Socket::subscribed(&server, "/a").await;
        if round % 2 == 0 {
            socket.hold("held").await;
        }
    }
    pass(Duration::from_secs(40)).await;
    let stats = server.stats();
    assert_eq!((stats.open_sockets, stats.sessions, stats.held_connects), (0, 0, 0));
    assert!(server.channels().is_empty());
}
