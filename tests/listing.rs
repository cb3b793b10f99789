//! What the application can list: sessions, channels, subscribers.

mod common;

use std::{collections::BTreeSet, time::Duration};

use common::{Client, pass};
use serde_json::json;
use tower_bayeux::BayeuxServer;

fn channels(server: &BayeuxServer) -> Vec<String> {
    let mut channels: Vec<_> = server.channels().iter().map(ToString::to_string).collect();
    channels.sort();
    assert_eq!(channels.len(), server.channel_count());
    channels
}

fn sessions(server: &BayeuxServer) -> BTreeSet<String> {
    let sessions: BTreeSet<_> = server
        .sessions()
        .iter()
        .map(|session| session.id().to_string())
        .collect();
    assert_eq!(sessions.len(), server.session_count());
    sessions
}

#[test]
fn a_new_server_lists_nothing() {
    let server = BayeuxServer::new();
    assert!(sessions(&server).is_empty());
    assert!(channels(&server).is_empty());
    assert_eq!(server.subscriber_count("/a"), 0);
}

#[tokio::test(start_paused = true)]
async fn sessions_are_those_that_are_alive() {
    let server = BayeuxServer::new();
    let handshaken = Client::handshake(&server).await;
    let connected = Client::connected(&server).await;
    let disconnected = Client::connected(&server).await;
    let ended = Client::connected(&server).await;
    disconnected.disconnect().await;
    ended.session().disconnect();
    assert_eq!(sessions(&server), BTreeSet::from([handshaken.id, connected.id]));
    assert!(server.sessions().iter().all(tower_bayeux::ServerSession::is_active));
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_not_listed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    // Expired, though the sweeper has not come by.
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(server.session(&client.client_id()).is_none());
    assert!(sessions(&server).is_empty());
}

#[tokio::test(start_paused = true)]
async fn channels_are_names_and_patterns_with_a_subscriber() {
    let server = BayeuxServer::new();
    let one = Client::connected(&server).await;
    let two = Client::connected(&server).await;
    for channel in ["/a", "/a/*", "/a/**", "/*", "/**", "/a/b/c"] {
        one.subscribe(channel).await;
        two.subscribe(channel).await;
    }
    let application = server.subscribe("/application").unwrap();
    let all = ["/*", "/**", "/a", "/a/*", "/a/**", "/a/b/c", "/application"];
    assert_eq!(channels(&server), all);
    one.disconnect().await;
    assert_eq!(channels(&server), all);
    two.send(json!([{ "channel": "/meta/unsubscribe", "subscription": ["/a", "/**", "/a/b/c"] }]))
        .await;
    assert_eq!(channels(&server), ["/*", "/a/*", "/a/**", "/application"]);
    drop(application);
    two.session().disconnect();
    assert!(channels(&server).is_empty());
}

#[tokio::test(start_paused = true)]
async fn subscribers_are_the_sessions_of_exactly_that_name() {
    let server = BayeuxServer::new();
    let one = Client::subscribed(&server, "/a/b").await;
    let two = Client::subscribed(&server, "/a/b").await;
    let three = Client::subscribed(&server, "/a/*").await;
    let _application = server.subscribe("/a/b").unwrap();
    two.subscribe("/a/b").await;
    assert_eq!(server.subscriber_count("/a/b"), 2);
    assert_eq!(server.subscriber_count("/a/b/"), 2);
    assert_eq!(server.subscriber_count("/a/*"), 1);
    assert_eq!(server.subscriber_count("/a"), 0);
    assert_eq!(server.subscriber_count("/**"), 0);
    one.disconnect().await;
    assert_eq!(server.subscriber_count("/a/b"), 1);
    three.session().disconnect();
    assert_eq!(server.subscriber_count("/a/*"), 0);
    pass(Duration::from_secs(32)).await;
    assert_eq!(server.subscriber_count("/a/b"), 0);
    assert_eq!(channels(&server), ["/a/b"], "the application's own");
}

#[tokio::test(start_paused = true)]
async fn failed_subscribes_leave_no_channel() {
    let server = BayeuxServer::builder().max_subscriptions(2).build();
    let client = Client::subscribed(&server, "/a").await;
    for subscription in [
        json!(["/b", "/c"]),
        json!(["/b", "/meta/x"]),
        json!(["/b", "nope"]),
        json!("/service/x"),
    ] {
        client
            .send(json!([{ "channel": "/meta/subscribe", "subscription": subscription }]))
            .await;
        assert_eq!(channels(&server), ["/a"], "{subscription}");
    }
}
