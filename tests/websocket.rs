//! The `websocket` transport: sessions on a socket, events pushed as they come.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::time::Duration;

use common::{BASE, Client, advice, pass, yield_until};
use serde_json::json;
use socket::Socket;
use tower_bayeux::{BayeuxServer, PolicyRequest, Reason, SecurityPolicy, Verdict};

#[tokio::test(start_paused = true)]
async fn a_handshake_on_the_socket_offers_websocket_first() {
    let server = BayeuxServer::new();
    let mut socket = Socket::open(&server).await;
    let reply = socket
        .ask(json!({ "channel": "/meta/handshake", "version": "1.0", "id": 7 }))
        .await;
    let types = json!(["websocket", "long-polling", "cross-origin-long-polling"]);
    assert_eq!((&reply["supportedConnectionTypes"], &reply["id"]), (&types, &json!(7)));
    assert_eq!(reply["advice"], advice("retry", 0, 30_000));
    assert_eq!(server.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_are_pushed_at_once_one_in_a_frame() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    for number in 1..=3 {
        server.publish("/a", &number).unwrap();
    }
    for number in 1..=3 {
        assert_eq!(socket.frame().await, [json!({ "channel": "/a", "data": number })]);
    }
    assert_eq!(server.stats().delivered_messages, 3);
}

#[tokio::test(start_paused = true)]
async fn several_events_may_share_a_frame() {
    let websocket = tower_bayeux::WebSocketConfig::new().messages_per_frame(2);
    let server = BayeuxServer::builder().websocket(websocket).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    for number in 1..=3 {
        server.publish("/a", &number).unwrap();
    }
    assert_eq!(socket.frame().await.len(), 2);
    assert_eq!(socket.frame().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_connect_is_answered_at_once_and_later_ones_are_held_as_heartbeats() {
    let server = BayeuxServer::new();
    let mut socket = Socket::handshake(&server).await;
    let reply = socket.ask(json!({ "channel": "/meta/connect", "id": "1" })).await;
    assert_eq!((&reply["id"], &reply["successful"]), (&json!("1"), &json!(true)));
    let before = tokio::time::Instant::now();
    let reply = socket.ask(json!({ "channel": "/meta/connect", "id": "2" })).await;
    assert_eq!(before.elapsed().as_secs(), 30);
    assert_eq!(
        (&reply["id"], &reply["advice"]),
        (&json!("2"), &advice("retry", 0, 30_000))
    );
}

#[tokio::test(start_paused = true)]
async fn a_push_does_not_answer_the_held_connect() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("held").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
    assert!(socket.is_silent().await);
    assert_eq!(server.stats().held_connects, 1);
    server.publish("/a", &2).unwrap();
    assert_eq!(socket.message().await["data"], 2);
}

#[tokio::test(start_paused = true)]
async fn overlapping_connects_answer_the_older_one_and_disconnect_nobody() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("older").await;
    let reply = socket.ask(json!({ "channel": "/meta/connect", "id": "newer" })).await;
    assert_eq!((&reply["id"], &reply["successful"]), (&json!("older"), &json!(true)));
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
    assert_eq!(socket.message().await["id"], "newer");
}

#[tokio::test(start_paused = true)]
async fn a_publish_is_answered_and_its_publisher_gets_it_too() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.send(json!({ "channel": "/a", "data": 1, "id": "p" })).await;
    let frames = [socket.message().await, socket.message().await];
    assert!(frames.iter().any(|message| message["data"] == 1), "{frames:?}");
    assert!(
        frames
            .iter()
            .any(|message| message["id"] == "p" && message["successful"] == true)
    );
}

#[tokio::test(start_paused = true)]
async fn replies_to_one_frame_share_a_frame_and_a_connect_among_them_is_not_held() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let batch = json!([
        { "channel": "/b", "data": 1, "id": "1" },
        { "channel": "/meta/connect", "id": "2" },
        { "channel": "/b", "data": 2, "id": "3" },
    ]);
    socket.send(batch).await;
    let replies = socket.frame().await;
    assert_eq!((&replies[0]["id"], &replies[1]["id"]), (&json!("1"), &json!("3")));
    assert_eq!(socket.message().await["id"], "2");
}

#[tokio::test(start_paused = true)]
async fn an_empty_array_is_a_ping_and_answered_with_one() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.send_text("[]").await;
    assert!(socket.frame().await.is_empty());
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
}

#[tokio::test(start_paused = true)]
async fn spoilt_frames_close_the_socket_with_the_right_code_and_the_session_lives() {
    let websocket = tower_bayeux::WebSocketConfig::new().max_message_bytes(200);
    let server = BayeuxServer::builder().websocket(websocket).max_batch(2).build();
    let long = "x".repeat(201);
    for (text, code) in [
        ("{", 1007),
        ("", 1007),
        ("5", 1007),
        ("[{},{},{}]", 1009),
        (&*long, 1009),
    ] {
        let mut socket = Socket::subscribed(&server, "/a").await;
        socket.send_text(text).await;
        assert_eq!(socket.close_code().await, code, "{text}");
        drop(socket.stream.into_inner());
        assert!(server.session(&socket.id.parse().unwrap()).is_some());
    }
    assert_eq!(server.stats().malformed_requests, 3, "the others met a limit");
}

#[tokio::test(start_paused = true)]
async fn frames_that_break_the_protocol_close_the_socket_with_1002_or_1003() {
    use futures_util::SinkExt;
    use tokio::io::AsyncWriteExt;
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    // A text frame that is not masked.
    socket.stream.get_mut().write_all(&[0x81, 2, b'[', b']']).await.unwrap();
    assert_eq!(socket.close_code().await, 1002);
    let mut socket = Socket::subscribed(&server, "/a").await;
    let binary = tokio_tungstenite::tungstenite::Message::binary(&b"[]"[..]);
    socket.stream.send(binary).await.unwrap();
    assert_eq!(socket.close_code().await, 1003);
    let mut socket = Socket::subscribed(&server, "/a").await;
    // One byte that is no UTF-8, masked by zeroes.
    socket
        .stream
        .get_mut()
        .write_all(&[0x81, 0x81, 0, 0, 0, 0, 0xff])
        .await
        .unwrap();
    assert_eq!(socket.close_code().await, 1007);
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_answers_the_held_connect_then_itself_and_closes() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("held").await;
    socket.send(json!({ "channel": "/meta/disconnect", "id": "d" })).await;
    let reply = socket.message().await;
    assert_eq!(
        (&reply["id"], &reply["advice"]["reconnect"]),
        (&json!("held"), &json!("none"))
    );
    let reply = socket.message().await;
    assert_eq!((&reply["id"], &reply["successful"]), (&json!("d"), &json!(true)));
    assert_eq!(socket.close_code().await, 1000);
    assert_eq!(server.session_count(), 0);
    yield_until(|| server.stats().open_sockets == 0).await;
}

#[tokio::test(start_paused = true)]
async fn the_servers_disconnect_sends_what_is_queued_the_farewell_and_the_connect_reply() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("held").await;
    server.publish("/a", &1).unwrap();
    socket.session().disconnect();
    assert_eq!(socket.message().await["data"], 1);
    let farewell = socket.message().await;
    assert_eq!(farewell, json!({ "channel": "/meta/disconnect", "successful": true }));
    let reply = socket.message().await;
    assert_eq!(
        (&reply["id"], &reply["advice"]["reconnect"]),
        (&json!("held"), &json!("none"))
    );
    assert_eq!(socket.close_code().await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_answers_the_connect_and_closes_with_1001() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let mut idle = Socket::open(&server).await;
    socket.hold("held").await;
    server.publish("/a", &1).unwrap();
    server.shutdown();
    let messages = [socket.message().await, socket.message().await];
    assert!(messages.iter().any(|message| message["data"] == 1));
    let reply = messages.iter().find(|message| message["id"] == "held").unwrap();
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert_eq!(socket.close_code().await, 1001);
    assert_eq!(idle.close_code().await, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_second_handshake_rebinds_the_socket() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let older = std::mem::take(&mut socket.id);
    let reply = socket
        .ask(json!({ "channel": "/meta/handshake", "version": "1.0" }))
        .await;
    socket.id = reply["clientId"].as_str().unwrap().to_owned();
    assert_ne!(older, socket.id);
    server.publish("/a", "for the older session").unwrap();
    assert!(socket.is_silent().await);
    socket
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/b" }))
        .await;
    server.publish("/b", "for the newer").unwrap();
    assert_eq!(socket.message().await["data"], "for the newer");
    pass(Duration::from_secs(32)).await;
    assert!(
        server.session(&older.parse().unwrap()).is_none(),
        "the older one expires"
    );
    assert!(server.session(&socket.client_id()).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_session_is_told_to_handshake_on_the_same_socket() {
    let server = BayeuxServer::new();
    let mut socket = Socket::open(&server).await;
    let reply = socket
        .ask(json!({ "channel": "/meta/connect", "clientId": "0", "id": "1" }))
        .await;
    assert_eq!(
        (&reply["error"], &reply["advice"]["reconnect"]),
        (&json!("402::session_unknown"), &json!("handshake"))
    );
    let reply = socket
        .ask(json!({ "channel": "/meta/handshake", "version": "1.0" }))
        .await;
    assert_eq!(reply["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn acknowledged_events_come_with_connects_alone() {
    let server = BayeuxServer::new();
    let mut socket = Socket::open(&server).await;
    let reply = socket
        .ask(json!({ "channel": "/meta/handshake", "ext": { "ack": true } }))
        .await;
    socket.id = reply["clientId"].as_str().unwrap().to_owned();
    let reply = socket
        .ask(json!({ "channel": "/meta/connect", "ext": { "ack": 0 } }))
        .await;
    assert_eq!(reply["ext"]["ack"], 1);
    socket
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/a" }))
        .await;
    server.publish("/a", &1).unwrap();
    assert!(socket.is_silent().await);
    socket
        .send(json!({ "channel": "/meta/connect", "ext": { "ack": 1 } }))
        .await;
    assert_eq!(socket.message().await["data"], 1);
    assert_eq!(socket.message().await["ext"]["ack"], 2);
    // Not acknowledged: it comes again.
    socket
        .send(json!({ "channel": "/meta/connect", "ext": { "ack": 1 } }))
        .await;
    assert_eq!(socket.message().await["data"], 1);
    assert_eq!(socket.message().await["ext"]["ack"], 3);
    // Acknowledged: the connect is held until there is more.
    socket
        .send(json!({ "channel": "/meta/connect", "ext": { "ack": 3 } }))
        .await;
    yield_until(|| server.stats().held_connects == 1).await;
    server.publish("/a", &2).unwrap();
    assert_eq!(socket.message().await["data"], 2);
    assert_eq!(socket.message().await["ext"]["ack"], 4);
}

/// Grants a publish after a while.
struct Slow;

impl SecurityPolicy for Slow {
    async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_pushed_while_a_policy_takes_its_time() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.send(json!({ "channel": "/b", "data": 1, "id": "slow" })).await;
    socket
        .send(json!({ "channel": "/meta/unsubscribe", "subscription": "/x", "id": "behind" }))
        .await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let before = tokio::time::Instant::now();
    server.publish("/a", "meanwhile").unwrap();
    assert_eq!(socket.message().await["data"], "meanwhile");
    assert!(before.elapsed() < Duration::from_secs(1));
    assert_eq!(socket.message().await["id"], "slow");
    assert_eq!(socket.message().await["id"], "behind");
}

#[tokio::test(start_paused = true)]
async fn the_publishes_of_one_frame_reach_their_publisher_as_they_are_processed() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let before = tokio::time::Instant::now();
    let batch = json!([{ "channel": "/a", "data": 1 }, { "channel": "/a", "data": 2 }]);
    socket.send(batch).await;
    assert_eq!(socket.message().await["data"], 1);
    assert_eq!(before.elapsed().as_secs(), 5);
    assert_eq!(socket.frame().await.len(), 2, "the replies");
    assert_eq!(socket.message().await["data"], 2);
    assert_eq!(before.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_as_long_as_its_socket_and_max_interval() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    // A client that reads answers pings.
    let waiting = tokio::time::timeout(Duration::from_secs(600), socket.frame()).await;
    assert!(waiting.is_err());
    assert_eq!(server.session_count(), 1);
    drop(socket);
    pass(Duration::from_secs(29)).await;
    assert_eq!(server.session_count(), 1);
    pass(Duration::from_secs(3)).await;
    assert_eq!(server.stats().sessions_removed.count(Reason::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn the_path_does_not_matter_and_both_transports_share_the_server() {
    let server = BayeuxServer::new();
    for path in [BASE, "/cometd/", "/cometd/a/b", "/cometd?x=1"] {
        let (answer, _) = socket::request(&server, &socket::upgrade(path, "")).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{path} {answer}");
    }
    // And a client on HTTP hears what one on a socket publishes.
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let mut socket = Socket::handshake(&server).await;
    socket.ask(json!({ "channel": "/a", "data": 1 })).await;
    assert_eq!(held.await.unwrap().events(), [("/a".to_owned(), json!(1))]);
}
