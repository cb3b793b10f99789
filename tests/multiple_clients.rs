//! Tabs of one browser share its few connections: only so many of their connects are held.

mod common;

use std::time::Duration;

use common::{Answer, Client, pass, post, read};
use http::{Version, header};
use serde_json::json;
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, Outcome, Reason};

const COOKIE: &str = "BAYEUX_BROWSER=00000000000000000000000000000000000000ff";

fn server(limit: usize) -> BayeuxServer {
    BayeuxServer::builder()
        .max_interval(Duration::from_secs(300))
        .max_held_per_browser(limit)
        .build()
}

/// A tab, with its first connect made.
async fn tab(server: &BayeuxServer, cookie: &str) -> Client {
    let mut request = post(json!([{ "channel": "/meta/handshake" }]).to_string());
    request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    let reply = common::send(server, request).await.only();
    let client = Client {
        server: server.clone(),
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: Some(cookie.to_owned()),
    };
    client.connect().await;
    client.subscribe("/a").await;
    client
}

#[track_caller]
fn assert_crowded(answer: &Answer) {
    let reply = answer.connect_reply();
    assert_eq!(reply["successful"], true);
    let advice = json!({ "reconnect": "retry", "interval": 2000, "timeout": 30_000, "multiple-clients": true });
    assert_eq!(reply["advice"], advice);
    assert_eq!(answer.info.unwrap().outcome, Outcome::Connected(Reason::NotHeld));
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_a_tab_is_told_to_poll() {
    let server = server(2);
    let (a, b, c) = (
        tab(&server, COOKIE).await,
        tab(&server, COOKIE).await,
        tab(&server, COOKIE).await,
    );
    let (held_a, held_b) = (a.hold().await, b.hold().await);
    assert_crowded(&c.connect().await);
    server.publish("/a", &1).unwrap();
    for held in [held_a, held_b] {
        let reply = held.await.unwrap().connect_reply();
        assert!(reply["advice"].get("multiple-clients").is_none());
    }
    // What is waiting is delivered as ever, and then there is a place again.
    let answer = c.connect().await;
    assert_eq!(answer.events().len(), 1);
    assert!(answer.connect_reply()["advice"].get("multiple-clients").is_none());
    let _held = (c.hold().await, b.hold().await);
    assert_crowded(&a.connect().await);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_limit_by_default() {
    let server = BayeuxServer::new();
    for _ in 0..20 {
        tab(&server, COOKIE).await.hold().await;
    }
    assert_eq!(server.stats().held_connects, 20);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_none_holds_nothing() {
    assert_crowded(&tab(&server(0), COOKIE).await.connect().await);
}

#[tokio::test(start_paused = true)]
async fn however_a_hold_ends_its_place_is_free_again() {
    let server = server(1);
    let (a, b) = (tab(&server, COOKIE).await, tab(&server, COOKIE).await);
    // Its connection breaks.
    let held = a.hold().await;
    held.abort();
    let _ = held.await;
    b.hold().await.abort();
    pass(Duration::from_millis(1)).await;
    // Its time is over.
    a.connect().await;
    // Its session ends.
    let held = b.hold().await;
    b.disconnect().await;
    held.await.unwrap();
    a.hold().await;
}

#[tokio::test(start_paused = true)]
async fn a_newer_connect_of_the_same_tab_takes_the_place_of_the_older() {
    let server = server(1);
    let client = tab(&server, COOKIE).await;
    let older = client.hold().await;
    let newer = client.hold_instead().await;
    assert_eq!(
        older.await.unwrap().info.unwrap().outcome,
        Outcome::Connected(Reason::Superseded)
    );
    server.publish("/a", &1).unwrap();
    assert_eq!(newer.await.unwrap().events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn other_browsers_and_clients_without_a_cookie_are_not_counted() {
    let server = server(1);
    let _held = tab(&server, COOKIE).await.hold().await;
    let other = COOKIE.replace("ff", "01");
    let _other = tab(&server, &other).await.hold().await;
    for _ in 0..3 {
        Client::connected(&server).await.hold().await;
    }
    assert_eq!(server.stats().held_connects, 5);
}

#[tokio::test(start_paused = true)]
async fn http_2_has_connections_enough() {
    let server = server(0);
    let client = tab(&server, COOKIE).await;
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id, "advice": { "timeout": 5000 } }]);
    let mut request = post(connect.to_string());
    request.headers_mut().insert(header::COOKIE, COOKIE.parse().unwrap());
    *request.version_mut() = Version::HTTP_2;
    let response = BayeuxService::new(common::BASE, server).oneshot(request).await.unwrap();
    assert_eq!(read(response).await.info.unwrap().held, Duration::from_secs(5));
}
