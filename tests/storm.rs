//! Whatever a client makes of advice, it can't make the server hurry.

mod common;

use std::time::Duration;

use common::{Client, pass, poll_once, send_json};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, MessageRate, PolicyRequest, Reason, SecurityPolicy, Trouble, Verdict};

const MINUTE: Duration = Duration::from_secs(60);

/// How often a client that waits for nothing but answers gets one within a minute.
async fn answers_in_a_minute(mut ask: impl AsyncFnMut()) -> u64 {
    let end = Instant::now() + MINUTE;
    let mut answers = 0;
    while Instant::now() < end && answers < 100_000 {
        ask().await;
        answers += 1;
    }
    answers
}

/// A server that refuses ten requests in a second, and twenty at once.
fn server() -> BayeuxServer {
    BayeuxServer::builder()
        .refusal_rate(MessageRate::per_second(10).burst(20))
        .build()
}

/// Twenty at once, and then each second the ten that there are again and one that waits.
const REFUSALS: u64 = 20 + 60 * 11;

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_without_being_held_gets_ten_answers_in_a_second() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let answers = answers_in_a_minute(async || drop(client.poll().await)).await;
    assert!((600..=50 + 600).contains(&answers), "{answers}");
    assert_eq!(server.stats().limited.count(Reason::ConnectRate), answers - 50);
}

#[tokio::test(start_paused = true)]
async fn events_reach_a_client_that_polls_too_often_without_delay() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for _ in 0..50 {
        client.poll().await;
    }
    let start = Instant::now();
    for number in 0..200 {
        server.publish("/a", &number).unwrap();
        assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(number))]);
    }
    let poll = json!([{ "channel": "/meta/connect", "advice": { "timeout": 0 } }]);
    let mut waits = common::start(&server, client.request(poll));
    assert!(poll_once(&mut waits).is_pending());
    server.publish("/a", &200).unwrap();
    assert!(poll_once(&mut waits).is_ready());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_polls_twice_a_second_never_waits() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for _ in 0..1000 {
        let start = Instant::now();
        client.poll().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        pass(Duration::from_millis(500)).await;
    }
    assert_eq!(server.stats().limited.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_shares_its_request_to_be_quick_is_spaced_too() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let batch = json!([{ "channel": "/meta/connect" }, { "channel": "/a", "data": 1 }]);
    let answers = answers_in_a_minute(async || drop(client.send(batch.clone()).await)).await;
    assert!((600..=50 + 600).contains(&answers), "{answers}");
}

#[tokio::test(start_paused = true)]
async fn two_tabs_that_chase_each_other_do_so_ten_times_in_a_second() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let tab = || async { answers_in_a_minute(async || drop(client.connect().await)).await };
    let (one, other) = tokio::join!(tab(), tab());
    assert!(one + other <= 2 * (50 + 600), "{one} and {other}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_connects_with_an_unknown_session_for_ever_is_slowed_down() {
    let server = server();
    let connect = json!([{ "channel": "/meta/connect", "clientId": "00".repeat(20) }]);
    let answers = answers_in_a_minute(async || {
        let reply = send_json(&server, connect.clone()).await.only();
        assert_eq!(reply["error"], "402::session_unknown");
        assert_eq!(reply["advice"]["reconnect"], "handshake");
    })
    .await;
    assert!(answers <= REFUSALS, "{answers}");
    assert!(server.stats().limited.count(Reason::RefusalRate) >= 59);
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_publishes_with_an_unknown_session_is_slowed_down_too() {
    let server = server();
    let publish = json!([{ "channel": "/a", "clientId": "00".repeat(20), "data": 1 }]);
    let answers = answers_in_a_minute(async || drop(send_json(&server, publish.clone()).await)).await;
    assert!(answers <= REFUSALS, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn one_whose_connects_are_faulty_is_slowed_down_too() {
    let server = server();
    let client = Client::connected(&server).await;
    let connect = json!([{ "channel": "/meta/connect", "advice": "soon" }]);
    let answers = answers_in_a_minute(async || drop(client.send(connect.clone()).await)).await;
    assert!(answers <= REFUSALS, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn when_very_many_are_refused_clients_are_told_to_spread_out() {
    let server = server();
    let connect = json!([{ "channel": "/meta/connect", "clientId": "00".repeat(20) }]);
    let mut intervals = Vec::new();
    for _ in 0..21 {
        let reply = send_json(&server, connect.clone()).await.only();
        intervals.push(reply["advice"]["interval"].as_u64().unwrap());
    }
    let last = intervals.pop().unwrap();
    assert!(intervals.iter().all(|interval| *interval == 0), "{intervals:?}");
    assert!((2000..4000).contains(&last), "{last}");
}

/// A policy that denies everybody.
struct Denies;

impl SecurityPolicy for Denies {
    async fn can_handshake(&self, _: PolicyRequest<'_>) -> Verdict {
        Verdict::deny()
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_denied_and_handshakes_on_is_slowed_down() {
    let server = BayeuxServer::builder()
        .refusal_rate(MessageRate::per_second(10).burst(20))
        .security_policy(Denies)
        .build();
    let handshake = json!([{ "channel": "/meta/handshake" }]);
    let answers = answers_in_a_minute(async || {
        let reply = send_json(&server, handshake.clone()).await.only();
        assert_eq!(reply["advice"]["reconnect"], "none");
    })
    .await;
    assert!(answers <= REFUSALS, "{answers}");
}

#[tokio::test(start_paused = true)]
async fn a_request_with_many_messages_is_one_refusal_and_one_sign_of_trouble() {
    let server = BayeuxServer::builder()
        .refusal_rate(MessageRate::per_second(1).burst(2))
        .build();
    pass(2 * MINUTE).await;
    let unknown = json!({ "channel": "/a", "clientId": "00".repeat(20), "data": 1 });
    let many = Value::Array(vec![unknown; 200]);
    for _ in 0..2 {
        assert_eq!(send_json(&server, many.clone()).await.messages().len(), 200);
    }
    assert_eq!(server.stats().limited.count(Reason::RefusalRate), 0);
    assert_eq!(server.stats().troubles.count(Trouble::UnknownSessions), 2);
    send_json(&server, many.clone()).await;
    assert_eq!(server.stats().limited.count(Reason::RefusalRate), 1);
}

/// It has no cookies, and nobody knows its address.
#[tokio::test(start_paused = true)]
async fn a_client_that_handshakes_for_ever_fills_no_more_than_there_is_room_for() {
    let server = BayeuxServer::builder()
        .max_sessions(500)
        .refusal_rate(MessageRate::per_second(10).burst(20))
        .build();
    let handshake = json!([{ "channel": "/meta/handshake" }]);
    let mut most = 0;
    let answers = answers_in_a_minute(async || {
        drop(send_json(&server, handshake.clone()).await);
        most = most.max(server.session_count());
    })
    .await;
    assert_eq!(most, 500);
    // All of them expire once within the minute.
    assert!(answers <= 2 * 500 + REFUSALS, "{answers}");
    pass(MINUTE).await;
    assert_eq!(server.session_count(), 0);
}

/// Advice, errors and pauses mean nothing to it: it sends what it likes as soon as it has an answer.
#[tokio::test(start_paused = true)]
async fn a_client_that_ignores_everything_is_bounded_in_all_it_does() {
    let server = BayeuxServer::builder()
        .max_sessions(10)
        .refusal_rate(MessageRate::per_second(10).burst(20))
        .message_rate(MessageRate::per_second(5).burst(10))
        .client_address(|_| Some([10, 0, 0, 1].into()))
        .handshake_rate(MessageRate::per_second(1).burst(5))
        .build();
    let client = Client::connected(&server).await;
    let messages: [Value; 4] = [
        json!([{ "channel": "/meta/handshake" }]),
        json!([{ "channel": "/meta/connect", "advice": { "timeout": 0 } }]),
        json!([{ "channel": "/meta/connect", "clientId": "00".repeat(20) }]),
        json!([{ "channel": "/meta/connect", "advice": 7 }]),
    ];
    let mut turn = 0;
    let answers = answers_in_a_minute(async || {
        turn += 1;
        drop(client.send(messages[turn % messages.len()].clone()).await);
    })
    .await;
    // One in four is a connect that is not held, one a handshake; all others are refused.
    assert!(answers <= 4 * REFUSALS, "{answers}");
    assert!(server.stats().sessions_added <= 1 + 5 + 60);
    assert_eq!(server.stats().published_messages, 0);
}
