//! Which session a socket belongs to, and what becomes of the one that it turns away from.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::time::Duration;

use common::{Client, advice, pass, yield_until};
use serde_json::json;
use socket::Socket;
use tower_bayeux::{BayeuxServer, BrowserBinding};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_second_handshake_answers_the_held_connect_of_the_first_session_which_expires_in_time() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let older = socket.client_id();
    socket.hold("held").await;
    pass(10 * SECOND).await;
    socket
        .send(json!({ "channel": "/meta/handshake", "version": "1.0", "id": "hs" }))
        .await;
    let reply = socket.message().await;
    assert_eq!((&reply["id"], &reply["successful"]), (&json!("held"), &json!(true)));
    // Two clients on one socket would chase each other.
    assert_eq!(reply["advice"], advice("retry", 2000, 30_000));
    assert_eq!(server.stats().held_connects, 0);
    socket.id = socket.message().await["clientId"].as_str().unwrap().to_owned();
    pass(29 * SECOND).await;
    assert!(server.session(&older).is_some(), "it has max_interval from then on");
    pass(3 * SECOND).await;
    assert!(server.session(&older).is_none());
    assert!(server.session(&socket.client_id()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connect_of_another_session_takes_the_socket_along() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("first").await;
    let other = Client::subscribed(&server, "/b").await;
    socket
        .send(json!({ "channel": "/meta/connect", "id": "second", "clientId": other.id }))
        .await;
    assert_eq!(socket.message().await["id"], "first");
    server.publish("/a", "for the first").unwrap();
    server.publish("/b", "for the second").unwrap();
    assert_eq!(socket.message().await["data"], "for the second");
    assert!(socket.is_silent().await);
    let first = Client {
        id: socket.id.clone(),
        ..other
    };
    assert_eq!(first.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn connects_of_two_sessions_in_one_frame_are_both_answered() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let other = Client::subscribed(&server, "/b").await;
    socket
        .send(json!([
            { "channel": "/meta/connect", "id": "1" },
            { "channel": "/meta/connect", "id": "2", "clientId": other.id },
        ]))
        .await;
    assert_eq!(socket.message().await["id"], "1");
    assert_eq!(socket.message().await["id"], "2");
    pass(32 * SECOND).await;
    assert_eq!(server.sessions(), [other.session()], "the first has expired");
}

#[tokio::test(start_paused = true)]
async fn a_message_on_a_fresh_socket_takes_the_session_and_ends_the_connect_on_the_older_one() {
    let server = BayeuxServer::new();
    let mut older = Socket::subscribed(&server, "/a").await;
    older.hold("held").await;
    let mut newer = Socket::open(&server).await;
    newer.id.clone_from(&older.id);
    newer
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/b" }))
        .await;
    let before = tokio::time::Instant::now();
    assert_eq!(older.message().await["id"], "held");
    assert_eq!((before.elapsed(), server.stats().held_connects), (Duration::ZERO, 0));
    for number in 1..=3 {
        server.publish("/b", &number).unwrap();
        assert_eq!(newer.message().await["data"], number);
    }
    assert!(older.is_silent().await);
    drop(older);
    yield_until(|| server.stats().open_sockets == 1).await;
    server.publish("/a", &4).unwrap();
    assert_eq!(newer.message().await["data"], 4);
}

#[tokio::test(start_paused = true)]
async fn a_session_made_on_a_socket_is_served_there_where_cookies_are_required() {
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Required)
        .build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
    // Nobody else is: the cookie was never told to anybody.
    let mut other = Socket::open(&server).await;
    other.id.clone_from(&socket.id);
    assert_eq!(
        other.ask(json!({ "channel": "/meta/connect" })).await["error"],
        "402::session_unknown"
    );
}
