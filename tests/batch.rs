//! What is delivered inside of a batch leaves in one answer.

mod common;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use common::{Client, finishes, pass, poll_once, start};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, PolicyRequest, SecurityPolicy, Verdict};

fn numbers(events: Vec<(String, Value)>) -> Vec<Value> {
    events.into_iter().map(|(_, data)| data).collect()
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_is_answered_at_the_end_of_the_outermost_batch() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let session = client.session();
    let mut held = client.start_held();
    session.batch(|| {
        session.deliver("/a", &1).unwrap();
        assert!(poll_once(&mut held).is_pending());
        session.batch(|| session.deliver("/a", &2)).unwrap();
        assert!(poll_once(&mut held).is_pending());
        server.publish("/a", &3).unwrap();
        assert!(poll_once(&mut held).is_pending());
    });
    let answer = common::read(held.await).await;
    assert_eq!(numbers(answer.events()), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_held_connect_is_woken_by_the_end_of_the_batch() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    let session = client.session();
    let given = session.batch(|| {
        session.deliver("/a", &1).unwrap();
        session.deliver("/a", &2).unwrap();
        "what the body returns"
    });
    assert_eq!(given, "what the body returns");
    let answer = held.await.unwrap();
    assert_eq!(answer.info.unwrap().held, Duration::ZERO);
    assert_eq!(numbers(answer.events()), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_panics_ends_too() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    let session = client.session();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        session.batch(|| {
            session.deliver("/a", &1).unwrap();
            panic!("in the middle");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(numbers(held.await.unwrap().events()), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_inside_of_a_batch_answers_at_once() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    let mut held = client.start_held();
    session.batch(|| {
        session.deliver("/a", &1).unwrap();
        session.disconnect();
        assert!(poll_once(&mut held).is_ready());
    });
}

#[test]
fn batches_of_several_threads_lose_nothing() {
    finishes("batches of several threads", || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = BayeuxServer::new();
            let client = Client::connected(&server).await;
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let session = client.session();
                    std::thread::spawn(move || {
                        for number in 0..100 {
                            session.batch(|| session.deliver("/a", &number)).unwrap();
                        }
                    })
                })
                .collect();
            let mut events = 0;
            while events < 400 {
                events += client.connect().await.events().len();
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(events, 400);
        });
    });
}

/// Makes each publish wait.
struct Slow;

impl SecurityPolicy for Slow {
    async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn the_publishes_of_one_request_reach_their_publisher_in_one_answer() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let client = Client::subscribed(&server, "/a").await;
    let other = Client::subscribed(&server, "/a").await;
    let (held, others) = (client.hold().await, other.hold().await);
    client
        .send(json!([{ "channel": "/a", "data": 1 }, { "channel": "/a", "data": 2 }]))
        .await;
    let answer = held.await.unwrap();
    assert_eq!(numbers(answer.events()), [1, 2]);
    assert_eq!(answer.info.unwrap().held, Duration::from_secs(2));
    let others = others.await.unwrap();
    assert_eq!(numbers(others.events()), [1], "other subscribers do not wait");
    assert_eq!(others.info.unwrap().held, Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_half_way_ends_its_batch() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let publishes = json!([{ "channel": "/a", "data": 1 }, { "channel": "/a", "data": 2 }]);
    let mut request = start(&server, client.request(publishes));
    assert!(poll_once(&mut request).is_pending());
    pass(Duration::from_secs(1)).await;
    assert!(poll_once(&mut request).is_pending());
    assert!(!held.is_finished());
    drop(request);
    assert_eq!(numbers(held.await.unwrap().events()), [1]);
}

#[tokio::test(start_paused = true)]
async fn somebody_else_can_not_hold_a_session_up() {
    let server = BayeuxServer::builder().security_policy(Slow).build();
    let mut client = Client::subscribed(&server, "/a").await;
    let handshake = common::send_json(&server, json!([{ "channel": "/meta/handshake" }])).await;
    client.id = handshake.only()["clientId"].as_str().unwrap().to_owned();
    client.cookie = handshake.new_cookie();
    client.connect().await;
    let held = client.hold().await;
    let stranger = Client {
        cookie: None,
        ..client.clone()
    };
    let publishes = json!([{ "channel": "/a", "data": 1 }, { "channel": "/a", "data": 2 }]);
    for reply in stranger.send(publishes).await.messages() {
        assert_eq!(reply["error"], "402::session_unknown");
    }
    client.session().deliver("/b", &3).unwrap();
    assert_eq!(numbers(held.await.unwrap().events()), [3]);
}

#[tokio::test(start_paused = true)]
async fn lazy_messages_whose_time_has_come_do_not_end_a_batch() {
    let server = BayeuxServer::builder()
        .security_policy(Slow)
        .max_lazy_timeout(Duration::from_millis(1500))
        .build();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let lazy = tower_bayeux::Publication::new("/a", "lazy").unwrap().lazy(true);
    server.send(lazy).unwrap();
    client
        .send(json!([{ "channel": "/a", "data": 1 }, { "channel": "/a", "data": 2 }]))
        .await;
    let answer = held.await.unwrap();
    assert_eq!(numbers(answer.events()), [json!("lazy"), json!(1), json!(2)]);
    assert_eq!(answer.info.unwrap().held, Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_connect_whose_time_is_over_does_with_or_without_lazy_messages() {
    let server = BayeuxServer::builder()
        .security_policy(Slow)
        .timeout(Duration::from_millis(1800))
        .max_lazy_timeout(Duration::from_millis(1500))
        .build();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let lazy = tower_bayeux::Publication::new("/a", "lazy").unwrap().lazy(true);
    server.send(lazy).unwrap();
    client
        .send(json!([{ "channel": "/a", "data": 1 }, { "channel": "/a", "data": 2 }]))
        .await;
    let answer = held.await.unwrap();
    assert_eq!(numbers(answer.events()), [json!("lazy"), json!(1)]);
    assert_eq!(answer.info.unwrap().held, Duration::from_millis(1800));
}
