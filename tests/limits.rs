//! What the server holds for a client is bounded, and what happens at the bound is for the application to say.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use common::{Client, advice};
use http::StatusCode;
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxBuilder, BayeuxServer, DeliverError, Event, EventStream, Outcome, OverflowPolicy, PolicyRequest, Reason,
    SecurityPolicy, Verdict,
};

fn builder(policy: OverflowPolicy) -> BayeuxBuilder {
    BayeuxServer::builder().overflow(policy)
}

/// Data that makes an event on `/a` take exactly 100 bytes.
fn hundred_bytes(mark: char) -> String {
    let envelope = r#"{"channel":"/a","data":""}"#.len();
    mark.to_string().repeat(100 - envelope)
}

async fn marks(client: &Client) -> String {
    let events = client.poll().await.events();
    events
        .into_iter()
        .map(|(_, data)| data.as_str().unwrap().chars().next().unwrap())
        .collect()
}

fn publish(server: &BayeuxServer, marks: &str) {
    for mark in marks.chars() {
        server.publish("/a", &hundred_bytes(mark)).unwrap();
    }
}

async fn removal(events: &mut EventStream) -> (String, Reason) {
    loop {
        if let Some(Event::SessionRemoved { session, reason, .. }) = events.recv().await {
            return (session.id().to_string(), reason);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_queue_overflows_in_messages_ends_and_the_reason_is_told() {
    let server = BayeuxServer::builder().max_queue_messages(3).build();
    let client = Client::subscribed(&server, "/a").await;
    let mut events = server.events();
    publish(&server, "abc");
    assert_eq!(server.session_count(), 1);
    publish(&server, "d");
    assert_eq!(server.session_count(), 0);
    assert_eq!(removal(&mut events).await, (client.id.clone(), Reason::QueueOverflow));
    let stats = server.stats();
    assert_eq!(stats.sessions_removed.count(Reason::QueueOverflow), 1);
    assert_eq!(stats.dropped_messages.count(Reason::QueueOverflow), 4);
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    assert_eq!(server.channel_count(), 0);
    let reply = client.connect().await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"], advice("handshake", 2_000, 30_000));
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_queue_overflows_in_bytes_ends_too() {
    let server = BayeuxServer::builder().max_queue_bytes(300).build();
    let client = Client::subscribed(&server, "/a").await;
    let mut events = server.events();
    publish(&server, "abc");
    assert_eq!(server.stats().queued_bytes, 300);
    server.publish("/a", &0).unwrap();
    assert_eq!(removal(&mut events).await, (client.id, Reason::QueueOverflow));
    assert_eq!(server.stats().queued_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_so_leaves_the_publisher_and_others_alone() {
    let server = BayeuxServer::builder().max_queue_messages(2).build();
    let slow = Client::subscribed(&server, "/a").await;
    let quick = Client::subscribed(&server, "/a").await;
    let publisher = Client::connected(&server).await;
    for n in 0..10 {
        assert_eq!(publisher.publish("/a", json!(n)).await["successful"], true);
        assert_eq!(quick.poll().await.events(), [("/a".to_owned(), json!(n))]);
    }
    assert_eq!(slow.poll().await.only()["successful"], false);
    assert_eq!(server.session_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_floods_itself_is_told_in_its_own_answer() {
    let server = BayeuxServer::builder().max_queue_messages(2).build();
    let client = Client::subscribed(&server, "/a").await;
    let batch: Vec<_> = (0..4).map(|n| json!({ "channel": "/a", "id": n, "data": n })).collect();
    let replies = client.send(batch.into()).await.messages();
    let successful: Vec<_> = replies.iter().map(|reply| reply["successful"].clone()).collect();
    assert_eq!(successful, [true, true, true, false]);
    assert_eq!(replies[3]["error"], "402::session_unknown");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_overflows_before_its_held_connect_could_answer_is_told_at_once() {
    let server = BayeuxServer::builder().max_queue_messages(2).build();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    publish(&server, "abc");
    let answer = held.await.unwrap();
    assert_eq!(answer.info.unwrap().outcome, Outcome::Connected(Reason::QueueOverflow));
    let reply = answer.only();
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"], advice("handshake", 0, 30_000));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_messages_may_make_room() {
    let server = builder(OverflowPolicy::DropOldest).max_queue_messages(3).build();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, "abcdefg");
    let stats = server.stats();
    assert_eq!(stats.dropped_messages.count(Reason::OldestDropped), 4);
    assert_eq!((stats.queued_messages, stats.queued_bytes), (3, 300));
    assert_eq!(marks(&client).await, "efg");
    assert_eq!(server.session_count(), 1);
    publish(&server, "h");
    assert_eq!(marks(&client).await, "h");
}

#[tokio::test(start_paused = true)]
async fn as_many_of_the_oldest_make_room_as_the_bytes_need() {
    let server = builder(OverflowPolicy::DropOldest).max_queue_bytes(399).build();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, "abcd");
    assert_eq!(server.stats().dropped_messages.count(Reason::OldestDropped), 1);
    server.publish("/a", &"x".repeat(200)).unwrap();
    let stats = server.stats();
    assert_eq!(stats.dropped_messages.count(Reason::OldestDropped), 3);
    assert!(stats.queued_bytes <= 399);
    assert_eq!(marks(&client).await, "dx");
}

#[tokio::test(start_paused = true)]
async fn the_newest_messages_may_be_dropped() {
    let server = builder(OverflowPolicy::DropNewest).max_queue_messages(3).build();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, "abcdefg");
    let stats = server.stats();
    assert_eq!(stats.dropped_messages.count(Reason::NewestDropped), 4);
    assert_eq!((stats.queued_messages, stats.queued_bytes), (3, 300));
    assert_eq!(marks(&client).await, "abc");
    publish(&server, "h");
    assert_eq!(marks(&client).await, "h");
}

#[tokio::test(start_paused = true)]
async fn the_newest_message_is_dropped_where_its_bytes_do_not_fit_and_a_smaller_one_still_does() {
    let server = builder(OverflowPolicy::DropNewest).max_queue_bytes(250).build();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, "abc");
    server.publish("/a", &"small").unwrap();
    assert_eq!(server.stats().dropped_messages.count(Reason::NewestDropped), 1);
    assert_eq!(marks(&client).await, "abs");
}

#[tokio::test(start_paused = true)]
async fn the_application_that_delivers_to_a_full_queue_is_told() {
    for (policy, expected) in [
        (OverflowPolicy::Disconnect, Some(Reason::QueueOverflow)),
        (OverflowPolicy::DropNewest, Some(Reason::NewestDropped)),
        (OverflowPolicy::DropOldest, None),
    ] {
        let server = builder(policy).max_queue_messages(1).build();
        let client = Client::connected(&server).await;
        let session = client.session();
        session.deliver("/a", &1).unwrap();
        match (session.deliver("/a", &2), expected) {
            (Ok(()), None) => {}
            (Err(DeliverError::QueueFull(reason)), Some(expected)) => assert_eq!(reason, expected),
            other => panic!("{policy:?} {other:?}"),
        }
        assert_eq!(session.is_active(), policy != OverflowPolicy::Disconnect);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_bound_passes_where_the_queue_is_empty() {
    for policy in [
        OverflowPolicy::Disconnect,
        OverflowPolicy::DropOldest,
        OverflowPolicy::DropNewest,
    ] {
        let server = builder(policy).max_queue_bytes(1000).build();
        let client = Client::subscribed(&server, "/a").await;
        let large = "x".repeat(50_000);
        server.publish("/a", &large).unwrap();
        assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(large))]);
        let held = client.hold().await;
        server.publish("/a", &large).unwrap();
        assert_eq!(held.await.unwrap().events().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_megabyte_passes_by_default() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let publisher = Client::connected(&server).await;
    let large = "x".repeat(500 * 1024);
    for _ in 0..5 {
        assert_eq!(publisher.publish("/a", json!(large)).await["successful"], true);
    }
    let events = client.poll().await.events();
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|(_, data)| *data == large));
}

#[tokio::test(start_paused = true)]
async fn a_body_and_a_batch_may_be_exactly_as_large_as_allowed() {
    let server = BayeuxServer::builder().max_body_bytes(1000).max_batch(3).build();
    let client = Client::connected(&server).await;
    for (size, status) in [(1000, StatusCode::OK), (1001, StatusCode::PAYLOAD_TOO_LARGE)] {
        let message = json!([{ "channel": "/a", "clientId": client.id, "data": "" }]).to_string();
        let fill = "x".repeat(size - message.len());
        let body = message.replace("\"data\":\"\"", &format!("\"data\":\"{fill}\""));
        assert_eq!(body.len(), size);
        assert_eq!(client.send_text(body).await.status, status);
    }
    for (count, status) in [(3, StatusCode::OK), (4, StatusCode::PAYLOAD_TOO_LARGE)] {
        let batch: Vec<Value> = (0..count).map(|_| json!({ "channel": "/a" })).collect();
        assert_eq!(client.send(batch.into()).await.status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_farewell_fits_into_a_full_queue() {
    let server = BayeuxServer::builder().max_queue_messages(1).build();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, "a");
    client.session().disconnect();
    let channels: Vec<_> = client
        .connect()
        .await
        .messages()
        .iter()
        .map(|message| message["channel"].clone())
        .collect();
    assert_eq!(channels, ["/a", "/meta/disconnect", "/meta/connect"]);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_sessions_than_configured() {
    let server = BayeuxServer::builder().max_sessions(2).build();
    let first = Client::connected(&server).await;
    Client::connected(&server).await;
    let reply = common::send_json(&server, json!([{ "channel": "/meta/handshake", "id": "1" }]))
        .await
        .only();
    assert_eq!(reply["error"], "403::handshake_denied");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert!(reply["advice"]["interval"].as_u64().unwrap() >= 2000);
    first.disconnect().await;
    Client::connected(&server).await;
    assert_eq!(server.session_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn those_whose_policies_answer_at_the_same_time_get_no_more_sessions_either() {
    struct Slow;
    impl SecurityPolicy for Slow {
        async fn can_handshake(&self, _: PolicyRequest<'_>) -> Verdict {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Verdict::grant()
        }
    }
    let server = BayeuxServer::builder().max_sessions(2).security_policy(Slow).build();
    let handshake = || common::send_json(&server, json!([{ "channel": "/meta/handshake", "id": "1" }]));
    let answers = tokio::join!(handshake(), handshake(), handshake(), handshake());
    let answers = [answers.0, answers.1, answers.2, answers.3];
    let successful = answers.iter().filter(|answer| answer.only()["successful"] == true);
    assert_eq!(successful.count(), 2);
    assert_eq!(server.session_count(), 2);
    assert_eq!(server.stats().limited.count(Reason::SessionsFull), 2);
}

/// One that could not outlive its own handshake would send its client round and round.
#[tokio::test(start_paused = true)]
async fn a_session_lives_long_enough_to_connect_whatever_is_configured() {
    let server = BayeuxServer::builder().max_interval(Duration::ZERO).build();
    let client = Client::handshake(&server).await;
    assert_eq!(client.connect().await.only()["successful"], true);
}

/// How often another task has its turn while `body` runs.
async fn turns_during(body: impl Future<Output = ()>) -> usize {
    let turns = Arc::new(AtomicUsize::new(0));
    let counting = tokio::spawn({
        let turns = Arc::clone(&turns);
        async move {
            loop {
                turns.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    body.await;
    counting.abort();
    turns.load(Relaxed)
}

/// A batch whose messages go to many is no reason for others to wait.
#[tokio::test(start_paused = true)]
async fn a_large_batch_lets_others_run_in_between() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for _ in 0..500 {
        Client::subscribed(&server, "/a").await;
    }
    let batch: Vec<_> = (0..100).map(|data| json!({ "channel": "/a", "data": data })).collect();
    let turns = turns_during(async { drop(client.send(Value::Array(batch)).await) }).await;
    // 50,000 deliveries: some ten of them for each unit of a budget of 128.
    assert!(turns >= 10, "{turns}");
}

/// Nor is one message that subscribes to thousands of channels.
#[tokio::test(start_paused = true)]
async fn a_large_subscribe_lets_others_run_in_between() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let names: Vec<_> = (0..4000).map(|number| format!("/{number}")).collect();
    let subscribe = json!([{ "channel": "/meta/subscribe", "subscription": names }]);
    let turns = turns_during(async { drop(client.send(subscribe).await) }).await;
    assert!(turns >= 30, "{turns}");
    assert_eq!(client.session().subscriptions().len(), 4000);
}
