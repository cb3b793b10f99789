//! The messages of one publisher on one channel arrive in the order they were published.

mod common;

use std::{collections::HashMap, time::Duration};

use common::{Client, Random, pass, poll_once};
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

fn numbers(events: Vec<(String, Value)>) -> Vec<u64> {
    events.into_iter().map(|(_, data)| data.as_u64().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_publishes_in_several_requests_is_heard_in_order() {
    let server = BayeuxServer::new();
    let subscriber = Client::subscribed(&server, "/a").await;
    let publisher = Client::connected(&server).await;
    for n in 0..100 {
        publisher.publish("/a", json!(n)).await;
    }
    assert_eq!(numbers(subscriber.poll().await.events()), (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn order_holds_across_held_connects_polls_and_batches() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a/**").await;
    let mut random = Random(7);
    let mut received = Vec::new();
    let mut sent = 0_u64;
    while sent < 1000 {
        match random.below(4) {
            0 => {
                let held = client.hold().await;
                for _ in 0..=random.below(5) {
                    server.publish("/a/b", &sent).unwrap();
                    sent += 1;
                }
                received.extend(numbers(held.await.unwrap().events()));
            }
            1 => {
                let batch: Vec<_> = (sent..=sent + random.below(5))
                    .map(|n| json!({ "channel": "/a/b", "data": n }))
                    .collect();
                sent += batch.len() as u64;
                client.send(batch.into()).await;
                received.extend(numbers(client.poll().await.events()));
            }
            2 => {
                server.publish("/a/b", &sent).unwrap();
                let batch = json!([
                    { "channel": "/a/b", "data": sent + 1 },
                    { "channel": "/meta/connect" },
                    { "channel": "/a/b", "data": sent + 2 },
                ]);
                sent += 3;
                received.extend(numbers(client.send(batch).await.events()));
            }
            _ => {
                // Overtaken before it can run.
                let older = client.hold().await;
                server.publish("/a/b", &sent).unwrap();
                sent += 1;
                received.extend(numbers(client.poll().await.events()));
                received.extend(numbers(older.await.unwrap().events()));
            }
        }
    }
    assert_eq!(received, (0..sent).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_read_goes_back_before_what_came_later() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut sent = 0_u64;
    for _ in 0..10 {
        server.publish("/a", &sent).unwrap();
        sent += 1;
        let mut connect = client.start_connect();
        let std::task::Poll::Ready(response) = poll_once(&mut connect) else {
            panic!("there is something to deliver");
        };
        server.publish("/a", &sent).unwrap();
        sent += 1;
        drop(response);
    }
    assert_eq!(numbers(client.poll().await.events()), (0..sent).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn each_publisher_is_in_order_for_every_subscriber_though_many_publish_at_once() {
    const THREADS: u64 = 4;
    const EACH: u64 = 500;
    let server = BayeuxServer::builder().max_queue_messages(1_000_000).build();
    let mut subscribers = Vec::new();
    for pattern in ["/a/b", "/a/*", "/a/**", "/**"] {
        subscribers.push(Client::subscribed(&server, pattern).await);
        let both = Client::subscribed(&server, pattern).await;
        both.subscribe("/a/c").await;
        subscribers.push(both);
    }
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let server = server.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    server.publish("/a/b", &[thread, n]).unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    for subscriber in subscribers {
        let mut next = HashMap::new();
        for (_, data) in subscriber.poll().await.events() {
            let expected: &mut u64 = next.entry(data[0].as_u64().unwrap()).or_default();
            assert_eq!(data[1], *expected);
            *expected += 1;
        }
        assert_eq!(next.len() as u64, THREADS);
        assert!(next.values().all(|count| *count == EACH), "{next:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_to_one_session_are_in_order_with_publishes() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let session = client.session();
    for n in 0..50_u64 {
        server.publish("/a", &(2 * n)).unwrap();
        session.deliver("/a", &(2 * n + 1)).unwrap();
        if n % 10 == 9 {
            pass(Duration::from_secs(1)).await;
        }
    }
    assert_eq!(numbers(client.poll().await.events()), (0..100).collect::<Vec<_>>());
}
