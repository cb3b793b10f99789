//! What the server counts.

mod common;

use std::{collections::HashSet, time::Duration};

use common::{Client, pass, poll_once};
use serde_json::json;
use tower_bayeux::{BayeuxServer, OverflowPolicy, Reason, ReasonCounts, Stats};

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
