//! `/meta/disconnect`: the client leaves, and nothing of it stays.

mod common;

use std::time::Duration;

use common::{Client, advice};
use serde_json::json;
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, Event, Outcome, Reason};

#[tokio::test(start_paused = true)]
async fn the_reply_is_a_plain_success() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let reply = client.disconnect().await;
    assert_eq!(
        reply,
        json!({ "channel": "/meta/disconnect", "id": "d", "successful": true })
    );
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_is_answered_at_once_and_told_not_to_come_back() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let started = Instant::now();
    let held = client.hold().await;
    client.disconnect().await;
    let answer = held.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(
        answer.info.unwrap().outcome,
        Outcome::Connected(Reason::ClientDisconnect)
    );
    let reply = answer.only();
    assert_eq!(reply["id"], "c");
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["advice"], advice("none", 0, 30_000));
    assert_eq!(server.stats().held_connects, 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_comes_afterwards_is_of_an_unknown_session() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    client.disconnect().await;
    for message in [
        json!({ "channel": "/meta/subscribe", "subscription": "/a" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }),
        json!({ "channel": "/a", "data": 1 }),
        json!({ "channel": "/service/a", "data": 1 }),
        json!({ "channel": "/meta/disconnect" }),
    ] {
        let reply = client.ask(message.clone()).await;
        assert_eq!(reply["error"], "402::session_unknown", "{message}");
        assert!(reply.get("advice").is_none(), "{message}");
    }
    let reply = client.connect().await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"], advice("handshake", 2_000, 30_000));
    assert_eq!(server.channel_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_session_is_unsubscribed_everywhere_and_its_queue_dropped() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for channel in ["/a", "/a/*", "/**", "/b/c/d"] {
        client.subscribe(channel).await;
    }
    server.publish("/a", &1).unwrap();
    assert_eq!(server.stats().queued_messages, 1);
    client.disconnect().await;
    server.publish("/a", &2).unwrap();
    assert_eq!(server.channel_count(), 0);
    assert_eq!(server.session_count(), 0);
    let stats = server.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    assert_eq!(stats.dropped_messages.count(Reason::ClientDisconnect), 1);
    assert_eq!(stats.sessions_removed.count(Reason::ClientDisconnect), 1);
}

#[tokio::test(start_paused = true)]
async fn other_sessions_stay() {
    let server = BayeuxServer::new();
    let leaving = Client::subscribed(&server, "/a").await;
    let staying = Client::subscribed(&server, "/a").await;
    leaving.disconnect().await;
    server.publish("/a", &1).unwrap();
    assert_eq!(staying.poll().await.events().len(), 1);
    assert_eq!(server.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_stands_before_it_in_the_request_is_done_and_what_stands_behind_it_is_not() {
    let server = BayeuxServer::new();
    let other = Client::subscribed(&server, "/a").await;
    let client = Client::connected(&server).await;
    let batch = json!([
        { "channel": "/a", "id": 1, "data": "before" },
        { "channel": "/meta/disconnect", "id": 2 },
        { "channel": "/a", "id": 3, "data": "after" },
        { "channel": "/meta/connect", "id": 4 },
    ]);
    let replies = client.send(batch).await.messages();
    let successful: Vec<_> = replies.iter().map(|reply| reply["successful"].clone()).collect();
    assert_eq!(successful, [true, true, false, false]);
    assert_eq!(replies[2]["error"], "402::session_unknown");
    assert_eq!(replies[3]["advice"]["reconnect"], "handshake");
    assert_eq!(other.poll().await.events(), [("/a".to_owned(), json!("before"))]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_before_it_in_the_request_is_told_not_to_come_back() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let batch = json!([{ "channel": "/meta/connect", "id": 1 }, { "channel": "/meta/disconnect", "id": 2 }]);
    let replies = client.send(batch).await.messages();
    assert_eq!(
        replies[0],
        json!({ "channel": "/meta/disconnect", "id": 2, "successful": true })
    );
    assert_eq!(replies[1]["id"], 1);
    assert_eq!(replies[1]["successful"], true);
    assert_eq!(replies[1]["advice"]["reconnect"], "none");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_leave_before_its_first_connect() {
    let server = BayeuxServer::new();
    let client = Client::handshake(&server).await;
    assert_eq!(client.disconnect().await["successful"], true);
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_application_hears_of_it_once() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let mut events = server.events();
    client.disconnect().await;
    client.disconnect().await;
    server.emit("last");
    let Some(Event::SessionRemoved {
        session,
        reason,
        request,
        ..
    }) = events.recv().await
    else {
        panic!("no removal");
    };
    assert_eq!(session.id().to_string(), client.id);
    assert_eq!(reason, Reason::ClientDisconnect);
    assert_eq!(request.unwrap().uri.path(), common::BASE);
    assert!(matches!(events.recv().await, Some(Event::Custom(_))));
}
