//! A page that reloads: the next one goes on with the session of the one before, as CometD's reload extension does.

mod common;

use std::time::Duration;

use common::{Client, pass, send_json};
use serde_json::json;
use tower_bayeux::BayeuxServer;

/// A page's session: its cookie, and a first connect that is over.
async fn page(server: &BayeuxServer) -> Client {
    let answer = send_json(server, json!([{ "channel": "/meta/handshake", "version": "1.0" }])).await;
    let client = Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: answer.new_cookie(),
    };
    client.connect().await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_reloaded_page_goes_on_with_its_session() {
    let server = BayeuxServer::new();
    let page = page(&server).await;
    page.subscribe("/a").await;
    // The page goes away. The connect that it held is not yet known to be dead.
    let abandoned = page.hold().await;

    // The next page skips the handshake: it has `clientId` and cookie.
    let answer = page.poll().await;
    assert_eq!(answer.only()["successful"], true);
    assert_eq!(abandoned.await.unwrap().events(), []);
    let held = page.hold().await;
    server.publish("/a", &"for the next page").unwrap();
    assert_eq!(
        held.await.unwrap().events(),
        [("/a".to_owned(), json!("for the next page"))]
    );
    assert_eq!(server.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_published_between_two_pages_waits_for_the_next() {
    let server = BayeuxServer::new();
    let page = page(&server).await;
    page.subscribe("/a").await;
    let held = page.hold().await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    server.publish("/a", &1).unwrap();
    assert_eq!(page.poll().await.events(), [("/a".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_reloads_too_late_is_told_to_handshake() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let page = page(&server).await;
    pass(Duration::from_secs(6)).await;
    let reply = page.poll().await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
}
