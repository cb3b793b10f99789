//! A `/meta/connect` waits until there is something to say.

mod common;

use std::time::Duration;

use common::Client;
use serde_json::json;
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, Outcome, Reason};

#[tokio::test(start_paused = true)]
async fn a_held_connect_is_answered_as_soon_as_a_message_comes() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a/*").await;
    let started = Instant::now();
    let held = client.hold().await;
    server.publish("/a/b", &json!({ "x": 1 })).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(answer.events(), [("/a/b".to_owned(), json!({ "x": 1 }))]);
    assert_eq!(answer.connect_reply()["successful"], true);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connect_with_nothing_to_deliver_is_held_for_exactly_the_timeout() {
    let server = BayeuxServer::builder().timeout(Duration::from_secs(7)).build();
    let client = Client::connected(&server).await;
    let started = Instant::now();
    let answer = client.connect().await;
    assert_eq!(started.elapsed(), Duration::from_secs(7));
    let info = answer.info.unwrap();
    assert_eq!(info.held, Duration::from_secs(7));
    assert_eq!(info.outcome, Outcome::Connected(Reason::Timeout));
    assert_eq!(
        answer.only()["advice"],
        json!({ "reconnect": "retry", "interval": 0, "timeout": 7000 })
    );
}
