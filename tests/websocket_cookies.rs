//! Nobody can set a cookie on a socket: what becomes of the sessions that are made there.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use common::{Client, yield_until};
use http::header;
use serde_json::{Value, json};
use socket::Socket;
use tower_bayeux::{BayeuxServer, BrowserBinding};

/// As CometD's own server sets it.
const FOREIGN: &str = "BAYEUX_BROWSER=1k3xabcdefgh0123456789";
const STRANGER: &str = "BAYEUX_BROWSER=ffffffffffffffffffffffffffffffffffffff00";

async fn socket_with(server: &BayeuxServer, cookie: &str) -> Socket {
    Socket::open_with(server, &format!("cookie: {cookie}\r\n")).await
}

/// The reply to a connect that is not held.
async fn connect(socket: &mut Socket) -> Value {
    let connect = json!({ "channel": "/meta/connect", "id": "c", "advice": { "timeout": 0 } });
    socket.ask(connect).await
}

/// A handshake by POST of a browser that brings this cookie, if any, and keeps what it is given.
async fn tab(server: &BayeuxServer, cookie: Option<&str>) -> Client {
    let mut request = common::post(json!([{ "channel": "/meta/handshake", "version": "1.0" }]).to_string());
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    }
    let answer = common::send(server, request).await;
    Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: answer.new_cookie(),
    }
}

/// The same session, by long-polling.
fn by_polling(socket: &Socket, cookie: Option<&str>) -> Client {
    Client {
        server: socket.server.clone(),
        id: socket.id.clone(),
        cookie: cookie.map(ToOwned::to_owned),
    }
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_is_not_ours_does_not_keep_a_socket_from_its_own_session() {
    let server = BayeuxServer::new();
    let mut socket = socket_with(&server, FOREIGN).await;
    socket.begin().await;
    assert_eq!(connect(&mut socket).await["successful"], true);
    socket.subscribe("/a").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
    // Nor the next socket of the same browser, nor its polls.
    let mut next = socket_with(&server, FOREIGN).await;
    next.id.clone_from(&socket.id);
    assert_eq!(connect(&mut next).await["successful"], true);
    let polling = by_polling(&next, Some(FOREIGN));
    assert_eq!(polling.poll().await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_another_tab_was_given_meanwhile_does_not_keep_a_new_socket_from_the_session() {
    let server = BayeuxServer::new();
    let first = Socket::subscribed(&server, "/a").await;
    let cookie = tab(&server, None).await.cookie.unwrap();
    let id = first.id.clone();
    drop(first);
    yield_until(|| server.stats().open_sockets == 0).await;
    server.publish("/a", &"meanwhile").unwrap();
    let mut next = socket_with(&server, &cookie).await;
    next.id = id;
    next.send(json!({ "channel": "/meta/connect", "id": "c" })).await;
    assert_eq!(next.message().await["data"], "meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_session_made_on_a_socket_falls_back_to_polling_with_and_without_a_cookie() {
    let server = BayeuxServer::new();
    let cookie = tab(&server, None).await.cookie.unwrap();
    let mut socket = Socket::subscribed(&server, "/a").await;
    for fallback in [None, Some(&*cookie), None] {
        let polling = by_polling(&socket, fallback);
        assert_eq!(polling.poll().await.only()["successful"], true, "{fallback:?}");
        server.publish("/a", &1).unwrap();
        assert_eq!(polling.poll().await.events().len(), 1, "{fallback:?}");
        assert_eq!(connect(&mut socket).await["successful"], true, "{fallback:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_bound_to_a_cookie_is_refused_on_a_socket_with_another_one() {
    let server = BayeuxServer::new();
    let client = tab(&server, None).await;
    assert_eq!(client.connect().await.only()["successful"], true);
    client.subscribe("/a").await;
    let mut socket = socket_with(&server, STRANGER).await;
    socket.id.clone_from(&client.id);
    assert_eq!(connect(&mut socket).await["error"], "402::session_unknown");
    server.publish("/a", &1).unwrap();
    assert!(socket.is_silent().await);
    assert_eq!(client.poll().await.events().len(), 1);
}

/// Faye's client opens its socket while it handshakes by another transport: its socket has the cookie that ours replaces.
#[tokio::test(start_paused = true)]
async fn a_socket_of_before_is_served_though_it_has_a_cookie_that_is_not_ours() {
    let server = BayeuxServer::new();
    let mut socket = socket_with(&server, FOREIGN).await;
    let client = tab(&server, Some(FOREIGN)).await;
    client.connect().await;
    client.subscribe("/a").await;
    socket.id.clone_from(&client.id);
    socket.hold("1").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
}

#[tokio::test(start_paused = true)]
async fn where_cookies_are_required_the_socket_alone_vouches_for_its_session() {
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Required)
        .build();
    let mut socket = socket_with(&server, FOREIGN).await;
    socket.begin().await;
    assert_eq!(connect(&mut socket).await["successful"], true);
    for cookie in [None, Some(FOREIGN), Some(STRANGER)] {
        let reply = by_polling(&socket, cookie).poll().await.only();
        assert_eq!(reply["error"], "402::session_unknown", "{cookie:?}");
        let mut other = match cookie {
            Some(cookie) => socket_with(&server, cookie).await,
            None => Socket::open(&server).await,
        };
        other.id.clone_from(&socket.id);
        let reply = connect(&mut other).await;
        assert_eq!(reply["error"], "402::session_unknown", "{cookie:?}");
    }
    assert_eq!(connect(&mut socket).await["successful"], true);
}

/// It takes up one of the browser's connections like any other.
#[tokio::test(start_paused = true)]
async fn a_session_made_on_a_socket_that_polls_is_counted_with_the_browser_whose_cookie_it_brings() {
    let server = BayeuxServer::builder().max_held_per_browser(1).build();
    let one = tab(&server, None).await;
    one.connect().await;
    let socket = Socket::subscribed(&server, "/a").await;
    let (polling, unknown) = (by_polling(&socket, one.cookie.as_deref()), by_polling(&socket, None));
    drop(socket);
    yield_until(|| server.stats().open_sockets == 0).await;
    let held = one.hold().await;
    let advice = polling.connect().await.connect_reply()["advice"].clone();
    assert_eq!(advice["multiple-clients"], true);
    assert!(!held.is_finished());
    // Without a cookie nobody can tell whose browser it is.
    unknown.hold().await;
}
