//! One slow or dead subscriber delays nobody.

mod common;

use std::time::Duration;

use common::Client;
use serde_json::json;
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, OverflowPolicy, Reason};

const POLICIES: [OverflowPolicy; 3] = [
    OverflowPolicy::Disconnect,
    OverflowPolicy::DropOldest,
    OverflowPolicy::DropNewest,
];

fn server(policy: OverflowPolicy) -> BayeuxServer {
    BayeuxServer::builder().max_queue_messages(2).overflow(policy).build()
}

#[tokio::test(start_paused = true)]
async fn an_idle_subscriber_never_blocks_the_publisher_or_the_others() {
    for policy in POLICIES {
        let server = server(policy);
        let idle = Client::subscribed(&server, "/a").await;
        let busy = Client::subscribed(&server, "/a").await;
        let started = Instant::now();
        for number in 0..500 {
            server.publish("/a", &number).unwrap();
            assert_eq!(
                busy.poll().await.events(),
                [("/a".to_owned(), json!(number))],
                "{policy:?}"
            );
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        // All of the server still works.
        let newcomer = Client::subscribed(&server, "/a").await;
        let publish = newcomer.publish("/a", json!("new")).await;
        assert_eq!(publish["successful"], true, "{policy:?}");
        assert_eq!(newcomer.poll().await.events().len(), 1);
        match policy {
            OverflowPolicy::Disconnect => {
                assert!(server.session(&idle.client_id()).is_none());
                assert_eq!(idle.poll().await.only()["advice"]["reconnect"], "handshake");
            }
            OverflowPolicy::DropOldest => {
                let kept = [json!(499), json!("new")].map(|data| ("/a".to_owned(), data));
                assert_eq!(idle.poll().await.events(), kept);
            }
            _ => {
                let kept = [json!(0), json!(1)].map(|data| ("/a".to_owned(), data));
                assert_eq!(idle.poll().await.events(), kept);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_slow_subscriber_is_bounded() {
    for policy in POLICIES {
        let server = BayeuxServer::builder().max_queue_bytes(1000).overflow(policy).build();
        let _idle = Client::subscribed(&server, "/a").await;
        for length in 0..200 {
            server.publish("/a", &"x".repeat(length)).unwrap();
            assert!(server.stats().queued_bytes <= 1000, "{policy:?}");
        }
        assert!(server.stats().dropped_messages.total() > 0, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unread_subscription_of_the_application_blocks_nobody() {
    let server = BayeuxServer::builder()
        .subscription_capacity(1)
        .events_capacity(1)
        .build();
    let unread = server.subscribe("/**").unwrap();
    let _unread_events = server.events();
    let client = Client::subscribed(&server, "/a").await;
    for number in 0..100 {
        server.publish("/a", &number).unwrap();
        server.emit(number);
    }
    assert_eq!(client.poll().await.events().len(), 100);
    assert_eq!(unread.missed(), 99);
}

#[tokio::test(start_paused = true)]
async fn a_held_subscriber_that_is_never_polled_blocks_nobody() {
    let server = server(OverflowPolicy::DropOldest);
    let stuck = Client::subscribed(&server, "/a").await;
    let _held = stuck.start_held();
    let busy = Client::subscribed(&server, "/a").await;
    for number in 0..100 {
        server.publish("/a", &number).unwrap();
        assert_eq!(busy.poll().await.events().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_overflowing_session_ends_while_the_fan_out_goes_on() {
    let server = server(OverflowPolicy::Disconnect);
    let mut clients = Vec::new();
    // More than one chunk of a subscriber list, every second one idle.
    for _ in 0..600 {
        clients.push(Client::subscribed(&server, "/a").await);
    }
    for number in 0..6 {
        server.publish("/a", &number).unwrap();
        for client in clients.iter().step_by(2) {
            assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(number))]);
        }
    }
    assert_eq!(server.session_count(), 300);
    assert_eq!(server.stats().sessions_removed.count(Reason::QueueOverflow), 300);
    assert_eq!(server.subscriber_count("/a"), 300);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_overflows_itself_gets_its_reply() {
    let server = server(OverflowPolicy::Disconnect);
    let client = Client::subscribed(&server, "/a").await;
    for number in 0..2 {
        assert_eq!(client.publish("/a", json!(number)).await["successful"], true);
    }
    // It was alive when the message came.
    assert_eq!(client.publish("/a", json!(2)).await["successful"], true);
    assert_eq!(client.publish("/a", json!(3)).await["successful"], false);
}
