//! What the server counts.

mod common;

use std::{collections::HashSet, time::Duration};

use common::{Client, pass, poll_once, post, send, send_json};
use http::StatusCode;
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxError, BayeuxServer, ErrorCounts, Grant, MessageRate, MutableMessage, OverflowPolicy, PolicyRequest, Reason,
    ReasonCounts, SecurityPolicy, Stats, Transport, Transports, Verdict,
    extension::{Extension, Fate, Incoming, IncomingContext},
    listener::MessageContext,
};

#[track_caller]
fn assert_counts(counts: &ReasonCounts, expected: &[(Reason, u64)]) {
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
    assert_eq!(counts.total(), expected.iter().map(|(_, count)| count).sum::<u64>());
}

#[test]
fn a_new_server_has_counted_nothing() {
    assert_eq!(BayeuxServer::new().stats(), Stats::default());
}

#[test]
fn reasons_have_names_of_their_own() {
    let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert_eq!(reason.to_string(), reason.as_str());
        assert!(
            reason
                .as_str()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{reason}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_as_they_come_and_go() {
    let server = BayeuxServer::builder().max_queue_messages(1).build();
    let by_client = Client::connected(&server).await;
    let by_server = Client::connected(&server).await;
    let by_overflow = Client::connected(&server).await;
    let by_time = Client::connected(&server).await;
    let staying = Client::connected(&server).await;
    assert_eq!(server.stats().sessions, 5);
    by_client.disconnect().await;
    by_server.session().disconnect();
    by_overflow.session().deliver("/a", &1).unwrap();
    by_overflow.session().deliver("/a", &2).unwrap_err();
    let held = staying.hold().await;
    pass(Duration::from_secs(31)).await;
    assert!(by_time.server.session(&by_time.client_id()).is_none());
    let stats = server.stats();
    assert_eq!((stats.sessions, stats.sessions_added), (1, 5));
    assert_counts(
        &stats.sessions_removed,
        &[
            (Reason::ClientDisconnect, 1),
            (Reason::ServerDisconnect, 1),
            (Reason::QueueOverflow, 1),
            (Reason::Expired, 1),
        ],
    );
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn connects_are_counted_by_how_they_end() {
    let server = BayeuxServer::builder().max_queue_messages(1).build();
    let client = Client::subscribed(&server, "/a").await;
    let mut expected = vec![(Reason::NotHeld, 1)];
    let ended = || server.stats().connects_ended;
    assert_counts(&ended(), &expected);

    client.connect().await;
    expected.push((Reason::Timeout, 1));
    assert_counts(&ended(), &expected);

    let mut superseded = client.start_held();
    let gone = client.start_held();
    assert!(poll_once(&mut superseded).is_ready());
    drop(gone);
    expected.extend([(Reason::Superseded, 1), (Reason::ClientGone, 1)]);
    assert_counts(&ended(), &expected);

    let held = client.hold().await;
    server.publish("/a", &1).unwrap();
    held.await.unwrap();
    expected.push((Reason::Delivered, 1));
    assert_counts(&ended(), &expected);

    let held = client.hold().await;
    client.disconnect().await;
    held.await.unwrap();
    expected.push((Reason::ClientDisconnect, 1));
    assert_counts(&ended(), &expected);

    let client = Client::connected(&server).await;
    let held = client.hold().await;
    client.session().disconnect();
    held.await.unwrap();
    expected.push((Reason::ServerDisconnect, 1));
    expected[0].1 += 1;
    assert_counts(&ended(), &expected);

    let client = Client::connected(&server).await;
    let mut held = client.start_held();
    let session = client.session();
    session.deliver("/a", &1).unwrap();
    session.deliver("/a", &2).unwrap_err();
    assert!(poll_once(&mut held).is_ready());
    expected.push((Reason::QueueOverflow, 1));
    expected[0].1 += 1;
    assert_counts(&ended(), &expected);

    let client = Client::connected(&server).await;
    let held = client.hold().await;
    server.shutdown();
    held.await.unwrap();
    expected.push((Reason::Shutdown, 1));
    expected[0].1 += 1;
    assert_counts(&ended(), &expected);
    assert_eq!(server.stats().held_connects, 0);
}

#[tokio::test(start_paused = true)]
async fn held_connects_are_those_held_right_now() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let other = Client::connected(&server).await;
    let mut held = client.start_held();
    let other_held = other.start_held();
    assert_eq!(server.stats().held_connects, 2);
    drop(other_held);
    assert_eq!(server.stats().held_connects, 1);
    server.publish("/a", &1).unwrap();
    assert!(poll_once(&mut held).is_ready());
    assert_eq!(server.stats().held_connects, 0);
}

#[tokio::test(start_paused = true)]
async fn messages_are_counted_from_publish_to_delivery() {
    let server = BayeuxServer::new();
    let one = Client::subscribed(&server, "/a").await;
    let two = Client::subscribed(&server, "/**").await;
    server.publish("/a", &"xy").unwrap();
    one.publish("/a", json!("xy")).await;
    server.publish("/nobody", &1).unwrap();
    let size = r#"{"channel":"/a","data":"xy"}"#.len() as u64;
    let other_size = r#"{"channel":"/nobody","data":1}"#.len() as u64;
    let stats = server.stats();
    assert_eq!(stats.published_messages, 3);
    assert_eq!(stats.queued_messages, 5);
    assert_eq!(stats.queued_bytes, 4 * size + other_size);
    let answers = stats.delivered_answers;

    let response = one.start_connect().await;
    let stats = server.stats();
    assert_eq!(
        (stats.queued_messages, stats.delivered_messages),
        (3, 0),
        "taken, but not sent"
    );
    let answer = common::read(response).await;
    assert_eq!(answer.info.unwrap().messages, 2);
    let stats = server.stats();
    assert_eq!((stats.delivered_messages, stats.delivered_answers), (2, answers + 1));

    two.poll().await;
    let stats = server.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    assert_eq!(stats.delivered_messages, 5);
    assert_eq!(
        stats.dropped_messages.total() + stats.lost_messages + stats.given_back_messages,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn answers_that_never_left_are_counted_as_given_back_or_lost() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    server.publish("/a", &2).unwrap();
    drop(client.start_connect().await);
    let stats = server.stats();
    assert_eq!(
        (stats.given_back_messages, stats.lost_messages, stats.queued_messages),
        (2, 0, 2)
    );
    let response = client.start_connect().await;
    client.disconnect().await;
    drop(response);
    let stats = server.stats();
    assert_eq!(
        (stats.given_back_messages, stats.lost_messages, stats.queued_messages),
        (2, 2, 0)
    );
    assert_eq!(stats.queued_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_messages_are_counted_by_reason() {
    let server = BayeuxServer::builder()
        .max_queue_messages(2)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let client = Client::subscribed(&server, "/a").await;
    for number in 0..5 {
        server.publish("/a", &number).unwrap();
    }
    assert_counts(&server.stats().dropped_messages, &[(Reason::OldestDropped, 3)]);
    assert_eq!(server.stats().queued_messages, 2);
    client.disconnect().await;
    assert_counts(
        &server.stats().dropped_messages,
        &[(Reason::OldestDropped, 3), (Reason::ClientDisconnect, 2)],
    );

    let server = BayeuxServer::builder()
        .max_queue_messages(2)
        .overflow(OverflowPolicy::DropNewest)
        .build();
    let _client = Client::subscribed(&server, "/a").await;
    for number in 0..5 {
        server.publish("/a", &number).unwrap();
    }
    pass(Duration::from_secs(32)).await;
    assert_counts(
        &server.stats().dropped_messages,
        &[(Reason::NewestDropped, 3), (Reason::Expired, 2)],
    );

    let server = BayeuxServer::builder().max_queue_messages(2).build();
    let _client = Client::subscribed(&server, "/a").await;
    for number in 0..5 {
        server.publish("/a", &number).unwrap();
    }
    assert_counts(&server.stats().dropped_messages, &[(Reason::QueueOverflow, 3)]);
    assert_eq!((server.stats().queued_messages, server.stats().queued_bytes), (0, 0));

    let server = BayeuxServer::builder()
        .subscription_capacity(1)
        .events_capacity(1)
        .build();
    let _subscription = server.subscribe("/a").unwrap();
    let _events = server.events();
    for number in 0..3 {
        server.publish("/a", &number).unwrap();
        server.emit(number);
    }
    assert_counts(
        &server.stats().dropped_messages,
        &[(Reason::SubscriptionFull, 2), (Reason::EventsFull, 2)],
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_are_counted_when_the_oldest_make_room() {
    let server = BayeuxServer::builder()
        .max_queue_bytes(100)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let client = Client::subscribed(&server, "/a").await;
    for length in [10, 40, 5, 60, 1, 1, 1, 70] {
        server.publish("/a", &"x".repeat(length)).unwrap();
        let stats = server.stats();
        assert!(stats.queued_bytes <= 100, "{length}: {stats:?}");
    }
    client.poll().await;
    assert_eq!((server.stats().queued_messages, server.stats().queued_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn all_handles_count_together() {
    let server = BayeuxServer::new();
    let handle = server.clone();
    Client::connected(&handle).await;
    assert_eq!(server.stats(), handle.stats());
    assert_eq!(server.stats().sessions, 1);
}

#[track_caller]
fn assert_refused(server: &BayeuxServer, expected: &[(BayeuxError, u64)]) {
    let counts: ErrorCounts = server.stats().refused_messages;
    let mut expected = expected.to_vec();
    expected.sort();
    assert_eq!(counts.iter().collect::<Vec<_>>(), expected);
    assert_eq!(counts.total(), expected.iter().map(|(_, count)| count).sum::<u64>());
    for (error, count) in expected {
        assert_eq!(counts.count(error), count);
    }
}

/// Takes nobody.
struct Closed;

impl SecurityPolicy for Closed {
    async fn can_handshake(&self, _: PolicyRequest<'_>) -> Verdict {
        Verdict::deny()
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_denies_is_counted() {
    let server = BayeuxServer::builder().security_policy(Closed).build();
    for _ in 0..5 {
        send_json(&server, json!([{ "channel": "/meta/handshake" }])).await;
    }
    assert_refused(&server, &[(BayeuxError::HandshakeDenied, 5)]);

    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.authorize("/**", Grant::NONE).unwrap();
    for _ in 0..5 {
        client.publish("/a", json!(1)).await;
    }
    client.publish("/new", json!(1)).await;
    assert_refused(
        &server,
        &[(BayeuxError::PublishDenied, 5), (BayeuxError::ChannelCreateDenied, 1)],
    );
}

/// Whatever the protocol has a reply for; those of the policy and of extensions have tests of their own.
fn faulty() -> [(Value, BayeuxError); 14] {
    use BayeuxError as E;
    let subscribe = |channel: Value| json!({ "channel": "/meta/subscribe", "subscription": channel });
    [
        (json!({ "data": 1 }), E::ChannelMissing),
        (json!({ "channel": "/a//b" }), E::ChannelInvalid),
        (json!({ "channel": "/a/*" }), E::ChannelInvalid),
        (json!({ "channel": "/a", "id": {} }), E::MessageIdInvalid),
        (json!({ "channel": "/meta/handshake", "id": {} }), E::MessageIdInvalid),
        (json!({ "channel": "/meta/connect", "advice": 5 }), E::AdviceInvalid),
        (json!({ "channel": "/a", "clientId": "nobody" }), E::SessionUnknown),
        (
            json!({ "channel": "/meta/connect", "clientId": "nobody" }),
            E::SessionUnknown,
        ),
        (json!({ "channel": "/meta/subscribe" }), E::SubscriptionMissing),
        (subscribe(json!(5)), E::SubscriptionInvalid),
        (subscribe(json!("/meta/x")), E::CreateDenied),
        (subscribe(json!("/meta/connect")), E::SubscribeDenied),
        (subscribe(json!(["/a", "/b"])), E::SubscribeFailed),
        (
            json!({ "channel": "/meta/unsubscribe", "subscription": "/meta/x" }),
            E::UnsubscribeFailed,
        ),
    ]
}

/// An extension that lets everything pass.
struct Passes;

impl Extension for Passes {}

#[tokio::test(start_paused = true)]
async fn every_error_reply_is_counted_once() {
    for extended in [false, true] {
        let server = BayeuxServer::builder().max_subscriptions(1).build();
        if extended {
            server.add_extension(Passes);
        }
        let client = Client::connected(&server).await;
        for (message, error) in faulty() {
            let before = server.stats().refused_messages;
            let reply = client.ask(message).await;
            assert_eq!(reply["successful"], false, "{reply}");
            let after = server.stats().refused_messages;
            assert_eq!(after.count(error), before.count(error) + 1, "{reply}");
            assert_eq!(after.total(), before.total() + 1, "{reply}");
        }
        let before = server.stats().refused_messages.total();
        let batch = json!([{ "channel": "/a//b" }, { "channel": "/a" }, { "channel": "/b//c" }]);
        client.send(batch).await;
        assert_eq!(server.stats().refused_messages.total(), before + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_refuses_is_counted_by_the_error_too() {
    let server = BayeuxServer::builder()
        .max_sessions(1)
        .max_queue_messages(1)
        .message_rate(MessageRate::per_second(1).burst(1))
        .build();
    let client = Client::subscribed(&server, "/a").await;
    client.publish("/a", json!(1)).await;
    send_json(&server, json!([{ "channel": "/meta/handshake" }])).await;
    let mut expected = vec![(BayeuxError::RateLimited, 1), (BayeuxError::HandshakeDenied, 1)];
    assert_refused(&server, &expected);
    assert_eq!(server.stats().rate_limited_messages, 1);
    assert_counts(
        &server.stats().limited,
        &[(Reason::MessageRate, 1), (Reason::SessionsFull, 1)],
    );

    let held = client.hold().await;
    server.publish("/a", &1).unwrap();
    server.publish("/a", &2).unwrap();
    assert_eq!(held.await.unwrap().only()["successful"], false);
    expected.push((BayeuxError::SessionUnknown, 1));
    assert_refused(&server, &expected);
}

/// Deletes, refuses and answers, by the channel.
struct Answers;

impl Extension for Answers {
    async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
        let mut answer = MutableMessage::default();
        match message.channel().as_deref() {
            Some("/delete") => return Incoming::Delete,
            Some("/refuse") => answer.set_field("error", "499::no").unwrap(),
            Some("/answer") => answer.set_data("yes").unwrap(),
            _ => return Incoming::Pass,
        }
        Incoming::Answer(answer)
    }
}

#[tokio::test(start_paused = true)]
async fn what_user_code_deletes_or_refuses_is_counted_and_what_it_answers_is_not() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server
        .on_message("/heard", |_: &mut MutableMessage, _: &MessageContext<'_>| Fate::Delete)
        .unwrap();
    server.add_extension(Answers);
    assert_eq!(client.publish("/answer", json!(1)).await["successful"], true);
    assert_refused(&server, &[]);
    for channel in ["/delete", "/refuse", "/heard"] {
        let reply = client.publish(channel, json!(1)).await;
        assert_eq!(reply["successful"], false, "{reply}");
    }
    assert_refused(&server, &[(BayeuxError::MessageDeleted, 3)]);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_no_bayeux_are_counted() {
    let server = BayeuxServer::builder()
        .transports(Transports::all())
        .max_body_bytes(100)
        .build();
    for body in ["[", "no JSON", "[1]"] {
        let answer = send(&server, post(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let script = http::Request::get("/cometd?message=[]&jsonp=1").body(http_body_util::Full::default());
    send(&server, script.unwrap()).await;
    assert_eq!(server.stats().malformed_requests, 4);
    send(&server, post("x".repeat(101))).await;
    let stats = server.stats();
    assert_eq!(stats.malformed_requests, 4, "that one met a limit");
    assert_counts(&stats.limited, &[(Reason::BodyTooLarge, 1)]);
    assert_refused(&server, &[]);

    let nobody = format!("/cometd/{}", "0f".repeat(20));
    let stream = http::Request::get(nobody)
        .header("accept", "text/event-stream")
        .body(http_body_util::Full::default());
    assert_eq!(send(&server, stream.unwrap()).await.status, StatusCode::NOT_FOUND);
    assert_refused(&server, &[(BayeuxError::SessionUnknown, 1)]);
    assert!(server.config().transports.contains(Transport::EventSource));
}
