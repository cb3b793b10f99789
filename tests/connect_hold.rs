//! A `/meta/connect` waits until there is something to say.

mod common;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use common::{BASE, Client};
use serde_json::json;
use tokio::{
    task::coop::{consume_budget, has_budget_remaining},
    time::{Instant, timeout},
};
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, Outcome, Reason};

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

/// What a task may do in one go is limited by tokio; after that a timer is pending before it is set.
#[tokio::test(start_paused = true)]
async fn a_connect_whose_task_had_done_enough_when_it_came_is_answered_in_time_too() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let started = Instant::now();
    let connect = json!([{ "channel": "/meta/connect", "connectionType": "long-polling" }]);
    let mut connect = pin!(BayeuxService::new(BASE, server).oneshot(client.request(connect)));
    let mut has_done_enough = false;
    let answer = poll_fn(|cx| {
        while !has_done_enough && has_budget_remaining() {
            let _ = pin!(consume_budget()).poll(cx);
        }
        has_done_enough = true;
        connect.as_mut().poll(cx)
    });
    timeout(Duration::from_secs(60), answer)
        .await
        .expect("no answer")
        .unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(30));
}
