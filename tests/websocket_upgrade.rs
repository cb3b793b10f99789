//! How a WebSocket is opened, and when it is not.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use common::{BASE, Client, pass, send};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use socket::{Socket, request, request_without_upgrades, upgrade};
use tokio::io::AsyncWriteExt;
use tower::{Layer, ServiceExt};
use tower_bayeux::{
    AnswerInfo, BayeuxLayer, BayeuxServer, BayeuxService, Health, NotFound, Outcome, Transport, Transports, Trouble,
    WebSocketConfig,
};

fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap()
}

fn in_process(headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::get(BASE);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test(start_paused = true)]
async fn the_key_is_answered_as_the_specification_says() {
    let (answer, _) = request(&BayeuxServer::new(), &upgrade(BASE, "")).await;
    let answer = answer.to_lowercase();
    assert!(
        answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"),
        "{answer}"
    );
    assert!(answer.contains("upgrade: websocket\r\n"), "{answer}");
    assert!(!answer.contains("sec-websocket-extensions"), "{answer}");
    assert!(!answer.contains("set-cookie"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_names_subprotocols_hears_the_first() {
    let server = BayeuxServer::new();
    let (answer, _) = request(&server, &upgrade(BASE, "sec-websocket-protocol: bayeux, other\r\n")).await;
    assert!(answer.contains("sec-websocket-protocol: bayeux\r\n"), "{answer}");
    let (answer, _) = request(&server, &upgrade(BASE, "")).await;
    assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn another_version_is_told_which_one_is_spoken() {
    let server = BayeuxServer::new();
    let head = upgrade(BASE, "").replace("version: 13", "version: 8");
    let (answer, _) = request(&server, &head).await;
    assert_eq!(status(&answer), "426");
    assert!(answer.contains("sec-websocket-version: 13\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_stack_without_upgrades_or_a_request_without_a_key_gets_a_400() {
    let server = BayeuxServer::new();
    let answer = send(&server, in_process(&UPGRADE)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let info = answer.info.unwrap();
    assert_eq!(info.transport, Transport::WebSocket);
    assert_eq!(info.outcome, Outcome::Refused(StatusCode::BAD_REQUEST));
    let answer = send(&server, in_process(&UPGRADE[..3])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

async fn offered(server: &BayeuxServer) -> Value {
    let handshake = json!([{ "channel": "/meta/handshake" }]);
    common::send_json(server, handshake).await.only()["supportedConnectionTypes"].clone()
}

#[tokio::test(start_paused = true)]
async fn where_the_http_server_does_not_hand_connections_over_clients_go_on_with_polling() {
    let server = BayeuxServer::new();
    assert_eq!(offered(&server).await[0], "websocket");
    assert_eq!(
        status(&request_without_upgrades(&server).await),
        "101",
        "nobody can know yet"
    );
    assert_eq!(server.health(), Health::Degraded(vec![Trouble::UpgradesFail]));
    assert_eq!(status(&request_without_upgrades(&server).await), "503");
    assert_eq!(server.stats().malformed_requests, 0);
    assert_eq!(
        offered(&server).await,
        json!(["long-polling", "cross-origin-long-polling"])
    );
    // Perhaps only one of several servers is like that.
    pass(Duration::from_secs(601)).await;
    assert_eq!(offered(&server).await[0], "websocket");
    let (answer, _client) = request(&server, &upgrade(BASE, "")).await;
    assert_eq!(status(&answer), "101");
    assert_eq!(server.health(), Health::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_socket_opens_is_no_trouble() {
    let server = BayeuxServer::new();
    let (client, peer) = tokio::io::duplex(4096);
    let service = TowerToHyperService::new(BayeuxService::new(BASE, server.clone()));
    let http = hyper::server::conn::http1::Builder::new();
    let mut client = client;
    client.write_all(upgrade(BASE, "").as_bytes()).await.unwrap();
    drop(client);
    let _ = http.serve_connection(TokioIo::new(peer), service).with_upgrades().await;
    pass(Duration::from_secs(1)).await;
    assert_eq!(server.health(), Health::Ready);
    assert_eq!(server.stats().open_sockets, 0);
}

#[tokio::test(start_paused = true)]
async fn the_origin_may_be_checked() {
    let websocket = WebSocketConfig::new().check_origin(|request| {
        request
            .headers
            .get("origin")
            .is_some_and(|origin| origin == "https://example.org")
    });
    let server = BayeuxServer::builder().websocket(websocket).build();
    let (answer, _) = request(&server, &upgrade(BASE, "origin: https://evil.example\r\n")).await;
    assert_eq!(status(&answer), "403");
    let (answer, _) = request(&server, &upgrade(BASE, "origin: https://example.org\r\n")).await;
    assert_eq!(status(&answer), "101");
    let (answer, _) = request(&BayeuxServer::new(), &upgrade(BASE, "origin: https://any.example\r\n")).await;
    assert_eq!(status(&answer), "101");
}

#[tokio::test(start_paused = true)]
async fn where_it_is_off_the_request_is_the_applications_and_it_is_not_offered() {
    let transports = Transports::default().without(Transport::WebSocket);
    let server = BayeuxServer::builder().transports(transports).build();
    let answer = send(&server, in_process(&UPGRADE)).await;
    assert_eq!((answer.status, answer.info), (StatusCode::NOT_FOUND, None));
    let reply = common::send_json(&server, json!([{ "channel": "/meta/handshake" }]))
        .await
        .only();
    assert_eq!(
        reply["supportedConnectionTypes"],
        json!(["long-polling", "cross-origin-long-polling"])
    );
}

#[tokio::test(start_paused = true)]
async fn where_it_alone_is_on_posts_are_the_applications() {
    let transports = Transports::none().with(Transport::WebSocket);
    let server = BayeuxServer::builder().transports(transports).build();
    assert_eq!(
        common::send_json(&server, json!([])).await.status,
        StatusCode::NOT_FOUND
    );
    let mut socket = Socket::open(&server).await;
    let reply = socket.ask(json!({ "channel": "/meta/handshake" })).await;
    assert_eq!(reply["supportedConnectionTypes"], json!(["websocket"]));
}

#[tokio::test(start_paused = true)]
async fn the_answer_says_what_it_was() {
    let seen = Arc::new(Mutex::new(None));
    let server = BayeuxServer::new();
    let (mut client, peer) = tokio::io::duplex(4096);
    let bayeux = BayeuxLayer::new(BASE, server.clone()).layer(NotFound);
    let service = hyper_util::service::TowerToHyperService::new(
        ServiceExt::<Request<hyper::body::Incoming>>::map_response(bayeux, {
            let seen = Arc::clone(&seen);
            move |response: http::Response<_>| {
                *seen.lock().unwrap() = response.extensions().get::<AnswerInfo>().copied();
                response
            }
        }),
    );
    tokio::spawn(async move {
        let http = hyper::server::conn::http1::Builder::new();
        let io = hyper_util::rt::TokioIo::new(peer);
        let _ = http.serve_connection(io, service).with_upgrades().await;
    });
    tokio::io::AsyncWriteExt::write_all(&mut client, upgrade(BASE, "").as_bytes())
        .await
        .unwrap();
    common::yield_until(|| server.stats().open_sockets == 1).await;
    let info = seen.lock().unwrap().unwrap();
    assert_eq!((info.transport, info.outcome), (Transport::WebSocket, Outcome::Opened));
}

#[tokio::test(start_paused = true)]
async fn a_session_made_elsewhere_is_adopted_without_a_cookie() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut socket = Socket::open(&server).await;
    socket.id.clone_from(&client.id);
    socket.hold("1").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
}

#[tokio::test(start_paused = true)]
async fn another_browsers_cookie_is_refused() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let cookie = format!("cookie: BAYEUX_BROWSER={}\r\n", "0".repeat(40));
    let mut socket = Socket::open_with(&server, &cookie).await;
    socket.id.clone_from(&client.id);
    let reply = socket.ask(json!({ "channel": "/meta/connect" })).await;
    assert_eq!(reply["error"], "402::session_unknown");
    server.publish("/a", &1).unwrap();
    assert!(socket.is_silent().await);
    assert_eq!(client.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_on_a_socket_binds_its_session_to_the_sockets_cookie() {
    let server = BayeuxServer::new();
    let id = "0".repeat(40);
    let mut socket = Socket::open_with(&server, &format!("cookie: BAYEUX_BROWSER={id}\r\n")).await;
    let reply = socket.ask(json!({ "channel": "/meta/handshake" })).await;
    let client = Client {
        server: server.clone(),
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: None,
    };
    assert_eq!(client.poll().await.only()["successful"], false);
    let client = Client {
        cookie: Some(format!("BAYEUX_BROWSER={id}")),
        ..client
    };
    assert_eq!(client.poll().await.only()["successful"], true);
}

/// A handshake by POST of a client that keeps its cookie, and a connect that returns it.
async fn client_that_keeps_its_cookie(server: &BayeuxServer) -> Client {
    let answer = common::send_json(server, json!([{ "channel": "/meta/handshake", "version": "1.0" }])).await;
    let client = Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: answer
            .new_cookie()
            .map(|cookie| cookie.split(';').next().unwrap().to_owned()),
    };
    assert_eq!(client.connect().await.only()["successful"], true);
    client
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_was_opened_before_the_handshake_set_the_cookie_is_used_without_it() {
    let server = BayeuxServer::new();
    // As Faye's client does in a browser: by the time the socket is needed, it is open.
    let mut socket = Socket::open(&server).await;
    let client = client_that_keeps_its_cookie(&server).await;
    client.subscribe("/a").await;
    socket.id.clone_from(&client.id);
    socket.hold("1").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["data"], 1);
}

/// A stranger who keeps a socket open and learns the `clientId`s of sessions that are made later.
#[tokio::test(start_paused = true)]
async fn a_socket_without_a_cookie_that_is_older_than_the_session_but_not_than_its_cookie_is_refused() {
    let server = BayeuxServer::new();
    let mut socket = Socket::open(&server).await;
    let cookie = format!("BAYEUX_BROWSER={}", "0".repeat(40));
    let mut handshake = common::post(json!([{ "channel": "/meta/handshake", "version": "1.0" }]).to_string());
    handshake.headers_mut().insert("cookie", cookie.parse().unwrap());
    let answer = common::send(&server, handshake).await;
    answer.only()["clientId"].as_str().unwrap().clone_into(&mut socket.id);
    let reply = socket.ask(json!({ "channel": "/meta/connect" })).await;
    assert_eq!(reply["error"], "402::session_unknown");
}

#[tokio::test(start_paused = true)]
async fn a_socket_of_before_with_another_browsers_cookie_is_refused() {
    let server = BayeuxServer::new();
    let cookie = format!("cookie: BAYEUX_BROWSER={}\r\n", "0".repeat(40));
    let mut socket = Socket::open_with(&server, &cookie).await;
    let client = client_that_keeps_its_cookie(&server).await;
    socket.id.clone_from(&client.id);
    let reply = socket.ask(json!({ "channel": "/meta/connect" })).await;
    assert_eq!(reply["error"], "402::session_unknown");
}
