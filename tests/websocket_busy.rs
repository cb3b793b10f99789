//! A socket is heard while its last message takes its time.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{Client, yield_until};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use socket::{ROOM, Socket};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use tower_bayeux::{BayeuxServer, PolicyRequest, SecurityPolicy, Verdict};

/// Whether a handler that never returns is at work.
#[derive(Clone, Default)]
struct AtWork(Arc<AtomicBool>);

impl AtWork {
    fn is_so(&self) -> bool {
        self.0.load(SeqCst)
    }
}

struct Working(AtWork);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.0.store(false, SeqCst);
    }
}

/// A subscriber of `/a` whose call is being handled, for ever.
async fn calling(server: &BayeuxServer) -> (Socket, AtWork) {
    let mut socket = Socket::subscribed(server, "/a").await;
    let at_work = call(&mut socket).await;
    (socket, at_work)
}

/// Makes a call that is handled for ever.
async fn call(socket: &mut Socket) -> AtWork {
    let at_work = AtWork::default();
    let working = at_work.clone();
    let handler = move || {
        let working = working.clone();
        async move {
            working.0.store(true, SeqCst);
            let _working = Working(working);
            pending::<()>().await;
        }
    };
    socket.server.service("/service/slow", handler).unwrap();
    socket
        .send(json!({ "channel": "/service/slow", "data": {}, "id": "call" }))
        .await;
    yield_until(|| at_work.is_so()).await;
    at_work
}

#[tokio::test(start_paused = true)]
async fn when_a_client_has_closed_its_events_wait_for_it_at_once() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("held").await;
    let at_work = call(&mut socket).await;
    socket.stream.close(None).await.unwrap();
    yield_until(|| server.stats().held_connects == 0).await;
    server.publish("/a", &1).unwrap();
    let before = Instant::now();
    while server.stats().open_sockets > 0 && before.elapsed() < Duration::from_secs(200) {
        common::pass(Duration::from_secs(1)).await;
    }
    assert!(
        (59..90).contains(&before.elapsed().as_secs()),
        "the handler may end meanwhile"
    );
    assert!(!at_work.is_so(), "but not for ever");
    let stats = server.stats();
    assert_eq!((stats.delivered_messages, stats.lost_messages), (0, 0));
}

/// Closes a socket that has not been read from, with ten messages on their way to it and another being processed, and
/// fetches the rest elsewhere. Whoever reads on then must get nothing twice; and nothing is lost.
async fn assert_each_comes_once(mut socket: Socket, is_over: Duration) {
    let server = socket.server.clone();
    for number in 0..10 {
        server.publish("/a", &json!([number, "x".repeat(ROOM / 3)])).unwrap();
        tokio::task::yield_now().await;
    }
    socket.stream.close(None).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let elsewhere = Client {
        server: server.clone(),
        id: socket.id.clone(),
        cookie: None,
    };
    let later = elsewhere.poll().await.events();
    assert_eq!(server.stats().open_sockets, 1, "it is still at work");
    common::pass(is_over).await;
    // What had been handed over by then can still be read.
    let mut numbers = Vec::new();
    while let Ok(Some(Ok(message))) = timeout(Duration::from_secs(1), socket.stream.next()).await {
        if let Message::Text(text) = message {
            let messages: serde_json::Value = serde_json::from_str(&text).unwrap();
            numbers.push(messages[0]["data"][0].as_u64().unwrap());
        }
    }
    assert!(!numbers.is_empty() && numbers.len() < 10, "{numbers:?}");
    numbers.extend(later.iter().map(|(_, data)| data[0].as_u64().unwrap()));
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    assert_eq!(server.stats().lost_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_out_when_it_closed_comes_elsewhere_and_nothing_twice() {
    let (socket, _) = calling(&BayeuxServer::new()).await;
    assert_each_comes_once(socket, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn so_it_does_where_the_connection_keeps_what_is_not_flushed() {
    let mut socket = Socket::open_buffered(&BayeuxServer::new()).await;
    socket.begin().await;
    socket.subscribe("/a").await;
    call(&mut socket).await;
    assert_each_comes_once(socket, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn so_it_does_if_what_was_at_work_panics_then() {
    struct Panicking;
    impl SecurityPolicy for Panicking {
        async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
            tokio::time::sleep(Duration::from_secs(5)).await;
            panic!("it has taken too long");
        }
    }
    let server = BayeuxServer::builder().security_policy(Panicking).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.send(json!({ "channel": "/b", "data": 1 })).await;
    assert_each_comes_once(socket, Duration::from_secs(6)).await;
}

/// Decides after a while.
struct Slow;

impl SecurityPolicy for Slow {
    async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_is_confirmed_meanwhile() {
    let server = BayeuxServer::new();
    let (mut socket, at_work) = calling(&server).await;
    socket.stream.close(None).await.unwrap();
    let confirmed = timeout(Duration::from_secs(1), socket.stream.next()).await.unwrap();
    assert!(matches!(confirmed, Some(Ok(Message::Close(_)))), "{confirmed:?}");
    assert!(at_work.is_so());
}

#[tokio::test(start_paused = true)]
async fn what_came_before_a_close_is_processed() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let listener = Client::subscribed(&server, "/b").await;
    let held = listener.hold().await;
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket
        .send(json!([{ "channel": "/b", "data": 1 }, { "channel": "/meta/disconnect" }]))
        .await;
    socket.stream.close(None).await.unwrap();
    drop(socket);
    assert_eq!(held.await.unwrap().events(), [("/b".to_owned(), json!(1))]);
    yield_until(|| server.session_count() == 1).await;
    assert_eq!(server.stats().open_sockets, 0);
}

#[tokio::test(start_paused = true)]
async fn so_is_what_came_before_a_frame_that_can_not_be_understood_and_it_is_answered() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.send(json!({ "channel": "/b", "data": 1, "id": "slow" })).await;
    socket.stream.send(Message::binary("x")).await.unwrap();
    assert_eq!(socket.message().await["id"], "slow");
    assert_eq!(socket.close_code().await, 1003);
}

#[tokio::test(start_paused = true)]
async fn the_handler_of_a_client_whose_connection_breaks_is_dropped() {
    let server = BayeuxServer::new();
    let (socket, at_work) = calling(&server).await;
    drop(socket);
    yield_until(|| server.stats().open_sockets == 0).await;
    assert!(!at_work.is_so());
}

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_meanwhile() {
    let server = BayeuxServer::new();
    let (mut socket, at_work) = calling(&server).await;
    socket.stream.send(Message::Ping("hello".into())).await.unwrap();
    let answer = timeout(Duration::from_secs(1), socket.stream.next()).await.unwrap();
    assert_eq!(answer.unwrap().unwrap(), Message::Pong("hello".into()));
    assert!(at_work.is_so());
}

#[tokio::test(start_paused = true)]
async fn a_client_from_which_nothing_comes_meanwhile_is_given_up() {
    let server = BayeuxServer::new();
    let before = Instant::now();
    let (socket, at_work) = calling(&server).await;
    for _ in 0..200 {
        if !at_work.is_so() {
            break;
        }
        common::pass(Duration::from_secs(1)).await;
    }
    assert!((60..90).contains(&before.elapsed().as_secs()));
    drop(socket);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_there_may_wait_for_as_long_as_it_takes() {
    let server = BayeuxServer::new();
    let (mut socket, at_work) = calling(&server).await;
    // It reads, and so answers pings.
    let silence = timeout(Duration::from_secs(600), async {
        while let Some(Ok(Message::Ping(_))) = socket.stream.next().await {}
    });
    assert!(silence.await.is_err());
    assert!(at_work.is_so());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever() {
    let server = BayeuxServer::new();
    let (mut socket, at_work) = calling(&server).await;
    server.shutdown();
    let before = Instant::now();
    let ends = async {
        assert_eq!(socket.close_code().await, 1001);
        server.drained().await;
    };
    timeout(Duration::from_secs(200), ends).await.unwrap();
    assert!((60..90).contains(&before.elapsed().as_secs()));
    assert!(!at_work.is_so());
}
