//! A server that shuts down lets its clients go at once.

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{Client, send_json};
use serde_json::json;
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, Outcome, Reason, Transports};

#[tokio::test(start_paused = true)]
async fn a_thousand_held_connects_are_answered_at_once_with_pauses_spread_over_the_jitter() {
    let server = BayeuxServer::builder()
        .interval(Duration::from_secs(1))
        .shutdown_jitter(Duration::from_secs(20))
        .build();
    let mut held = Vec::new();
    for _ in 0..1000 {
        held.push(Client::connected(&server).await.hold().await);
    }
    let started = Instant::now();
    server.shutdown();
    let mut pauses = BTreeSet::new();
    for task in held {
        let answer = task.await.unwrap();
        assert_eq!(answer.info.unwrap().outcome, Outcome::Connected(Reason::Shutdown));
        let reply = answer.only();
        assert_eq!(reply["successful"], true);
        assert_eq!(reply["advice"]["reconnect"], "retry");
        let pause = reply["advice"]["interval"].as_u64().unwrap();
        assert!((1_000..=21_000).contains(&pause), "{pause}");
        pauses.insert(pause);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    let stats = server.stats();
    assert_eq!(
        (stats.held_connects, stats.connects_ended.count(Reason::Shutdown)),
        (0, 1000)
    );
    assert!(pauses.len() > 500, "only {} different pauses", pauses.len());
    assert!(
        *pauses.first().unwrap() < 3_000 && *pauses.last().unwrap() > 19_000,
        "they cover the whole jitter"
    );
}

#[tokio::test(start_paused = true)]
async fn without_jitter_all_may_come_back_at_once() {
    let server = BayeuxServer::builder().shutdown_jitter(Duration::ZERO).build();
    let held = Client::connected(&server).await.hold().await;
    server.shutdown();
    assert_eq!(held.await.unwrap().only()["advice"]["interval"], 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_afterwards() {
    let server = BayeuxServer::new();
    let never_connected = Client::handshake(&server).await;
    let connected = Client::connected(&server).await;
    server.shutdown();
    let started = Instant::now();
    for client in [&never_connected, &never_connected, &connected, &connected] {
        let answer = client.connect().await;
        assert_eq!(answer.info.unwrap().outcome, Outcome::Connected(Reason::Shutdown));
        let reply = answer.only();
        assert_eq!(
            (&reply["successful"], &reply["advice"]["reconnect"]),
            (&json!(true), &json!("retry"))
        );
        assert!(reply["advice"]["interval"].as_u64().unwrap() <= 5_000);
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_goes_out_with_the_last_answers() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    server.publish("/a", &"for the held").unwrap();
    server.shutdown();
    assert_eq!(held.await.unwrap().events(), [("/a".to_owned(), json!("for the held"))]);
    server.publish("/a", &"for the next").unwrap();
    assert_eq!(
        client.connect().await.events(),
        [("/a".to_owned(), json!("for the next"))]
    );
}

#[tokio::test(start_paused = true)]
async fn handshakes_are_refused_and_told_to_come_back() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    server.shutdown();
    let answer = send_json(
        &server,
        json!([{ "channel": "/meta/handshake", "id": 7, "version": "1.0" }]),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert!(answer.new_cookie().is_none());
    let reply = answer.only();
    assert_eq!((&reply["successful"], &reply["id"]), (&json!(false), &json!(7)));
    assert!(reply["error"].as_str().unwrap().starts_with("403:"), "{reply}");
    assert!(reply.get("clientId").is_none());
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    let pause = reply["advice"]["interval"].as_u64().unwrap();
    assert!((1_000..=10_000).contains(&pause), "neither at once nor late: {pause}");
    assert_eq!(server.stats().sessions_added, 0);
    drop(server);
    assert!(events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn everything_else_still_works() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server.shutdown();
    client.subscribe("/a").await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    assert_eq!(client.connect().await.events().len(), 1);
    assert_eq!(client.disconnect().await["successful"], true);
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_sessions_that_are_left_expire() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    server.shutdown();
    held.await.unwrap();
    common::pass(Duration::from_secs(37)).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_shutdown_does_nothing() {
    let server = BayeuxServer::new();
    let held = Client::connected(&server).await.hold().await;
    server.shutdown();
    server.shutdown();
    held.await.unwrap();
    assert_eq!(server.stats().connects_ended.count(Reason::Shutdown), 1);
}

/// An event stream as an HTTP server holds it, for a session of its own.
async fn open_stream(server: &BayeuxServer) -> common::RawResponse {
    let client = Client::connected(server).await;
    let request = http::Request::get(format!("{}/{}", common::BASE, client.id))
        .header("accept", "text/event-stream")
        .body(http_body_util::Full::default())
        .unwrap();
    common::start(server, request).await
}

#[tokio::test(start_paused = true)]
async fn it_is_over_when_the_last_stream_has_closed() {
    let server = BayeuxServer::builder().transports(Transports::all()).build();
    server.drained().await;
    let (one, other) = (open_stream(&server).await, open_stream(&server).await);
    server.shutdown();
    let drained = tokio::spawn({
        let server = server.clone();
        async move { server.drained().await }
    });
    common::read(one).await;
    common::pass(Duration::from_secs(1)).await;
    assert!(!drained.is_finished(), "one is open yet");
    common::read(other).await;
    drained.await.unwrap();
}

#[test]
fn it_needs_no_runtime() {
    BayeuxServer::new().shutdown();
}

/// Connects that arrive while the server is shutting down are answered too: none slips through and stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_connect_slips_through_a_concurrent_shutdown() {
    for _ in 0..50 {
        let server = BayeuxServer::builder().timeout(Duration::from_secs(600)).build();
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(Client::connected(&server).await);
        }
        let connects: Vec<_> = clients
            .into_iter()
            .map(|client| tokio::spawn(async move { client.connect().await }))
            .collect();
        tokio::task::yield_now().await;
        server.shutdown();
        for connect in connects {
            let answer = tokio::time::timeout(Duration::from_secs(30), connect)
                .await
                .expect("still held")
                .unwrap();
            assert_eq!(answer.info.unwrap().outcome, Outcome::Connected(Reason::Shutdown));
        }
    }
}
