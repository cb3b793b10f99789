//! The activity extension: who is connected and idle is disconnected.

mod common;

use std::time::Duration;

use common::{Answer, Client, pass};
use serde_json::json;
use tower_bayeux::{BayeuxServer, Reason, extension::Activity};

const LIMIT: Duration = Duration::from_secs(60);

/// Connects until something other than a timeout happens.
async fn wait(client: &Client, connects: usize) -> Option<Answer> {
    for _ in 0..connects {
        let answer = client.connect().await;
        if answer.messages().len() > 1 {
            return Some(answer);
        }
    }
    None
}

#[track_caller]
fn assert_disconnected(answer: &Answer) {
    let messages = answer.messages();
    assert_eq!(
        messages[0],
        json!({ "channel": "/meta/disconnect", "successful": true })
    );
    assert_eq!(messages[1]["advice"]["reconnect"], "none");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_waits_is_disconnected_with_the_connect_after_the_limit() {
    let server = BayeuxServer::new();
    server.add_extension(Activity::of_client(LIMIT));
    let client = Client::subscribed(&server, "/a").await;
    let answer = wait(&client, 10).await.expect("it was never disconnected");
    assert_disconnected(&answer);
    assert_eq!(server.session_count(), 0);
    assert_eq!(server.stats().sessions_removed.count(Reason::ServerDisconnect), 1);
}

#[tokio::test(start_paused = true)]
async fn whatever_else_a_client_sends_keeps_it() {
    let server = BayeuxServer::new();
    server.add_extension(Activity::of_client(LIMIT));
    let client = Client::connected(&server).await;
    for _ in 0..5 {
        assert!(wait(&client, 2).await.is_none());
        client.publish("/a", json!(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_gets_counts_only_if_told_so() {
    for (activity, stays) in [
        (Activity::of_client(LIMIT), false),
        (Activity::of_client_and_server(LIMIT), true),
    ] {
        let server = BayeuxServer::new();
        server.add_extension(activity);
        let client = Client::subscribed(&server, "/a").await;
        for _ in 0..6 {
            server.publish("/a", &1).unwrap();
            client.poll().await;
            pass(Duration::from_secs(20)).await;
        }
        assert_eq!(server.session(&client.client_id()).is_some(), stays, "{activity:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_session_may_be_watched_alone() {
    let server = BayeuxServer::new();
    let watched = Client::connected(&server).await;
    watched.session().add_extension(Activity::of_client(LIMIT).watch());
    let other = Client::connected(&server).await;
    let (watched, other) = tokio::join!(wait(&watched, 10), wait(&other, 10));
    assert_disconnected(&watched.unwrap());
    assert!(other.is_none());
}
