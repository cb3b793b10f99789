//! A session moves between transports while it lives: nothing is lost or comes twice, and the order is kept.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use bytes::Bytes;
use common::{Client, Random, poll_once, send, yield_until};
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use socket::Socket;
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, Reason, Transports};

fn server() -> BayeuxServer {
    BayeuxServer::builder().transports(Transports::all()).build()
}

fn publish(server: &BayeuxServer, number: u64) {
    server.publish("/a", &number).unwrap();
}

fn number(message: &Value) -> u64 {
    message["data"].as_u64().unwrap_or_else(|| panic!("{message}"))
}

async fn adopt(client: &Client) -> Socket {
    let mut socket = Socket::open(&client.server).await;
    socket.id.clone_from(&client.id);
    socket
}

async fn script(client: &Client, messages: Value) -> Vec<Value> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("jsonp", "f")
        .append_pair("message", &messages.to_string());
    let request = Request::get(format!("{}?{}", common::BASE, query.finish()));
    let answer = send(&client.server, request.body(Full::default()).unwrap()).await;
    let script = std::str::from_utf8(&answer.body).unwrap();
    serde_json::from_str(script.trim_start_matches("/**/f(").trim_end_matches(");")).unwrap()
}

fn connect(client: &Client) -> Value {
    json!([{ "channel": "/meta/connect", "clientId": client.id, "advice": { "timeout": 0 } }])
}

async fn stream(client: &Client) -> common::RawResponse {
    let request: Request<Full<Bytes>> = Request::get(format!("{}/{}", common::BASE, client.id))
        .header(header::ACCEPT, "text/event-stream")
        .body(Full::default())
        .unwrap();
    let service = BayeuxService::new(common::BASE, client.server.clone());
    service.oneshot(request).await.unwrap()
}

/// What has come down a stream so far.
fn read_stream(stream: &mut common::RawResponse, received: &mut Vec<u64>) {
    while let std::task::Poll::Ready(Some(frame)) = poll_once(&mut Box::pin(stream.body_mut().frame())) {
        let data = frame.unwrap().into_data().unwrap();
        if let Some(json) = std::str::from_utf8(&data).unwrap().strip_prefix("data: ") {
            let messages: Vec<Value> = serde_json::from_str(json.trim_end()).unwrap();
            received.extend(messages.iter().map(number));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn from_long_polling_to_a_socket_and_back() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1);
    let mut socket = adopt(&client).await;
    socket.hold("ws").await;
    publish(&server, 2);
    assert_eq!(number(&socket.message().await), 1);
    assert_eq!(number(&socket.message().await), 2);
    // Back: the socket's connect is answered, and nothing is pushed any more.
    let held = client.hold_instead().await;
    assert_eq!(socket.message().await["id"], "ws");
    publish(&server, 3);
    assert_eq!(held.await.unwrap().events(), [("/a".to_owned(), json!(3))]);
    assert!(socket.is_silent().await);
    // And to the socket once more.
    publish(&server, 4);
    socket.send(json!({ "channel": "/meta/connect", "id": "again" })).await;
    assert_eq!(number(&socket.message().await), 4);
}

#[tokio::test(start_paused = true)]
async fn a_socket_takes_over_from_a_held_connect() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let mut socket = adopt(&client).await;
    socket.send(json!({ "channel": "/meta/connect", "id": "1" })).await;
    let answer = held.await.unwrap();
    assert!(answer.events().is_empty());
    assert_eq!(answer.only()["successful"], true);
    publish(&server, 1);
    assert_eq!(number(&socket.message().await), 1);
    assert_eq!(server.stats().connects_ended.count(Reason::Superseded), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_made_on_a_socket_is_used_by_long_polling_when_the_socket_is_gone() {
    let server = server();
    let mut socket = Socket::subscribed(&server, "/a").await;
    socket.hold("1").await;
    publish(&server, 1);
    assert_eq!(number(&socket.message().await), 1);
    let client = Client {
        server: server.clone(),
        id: socket.id.clone(),
        cookie: None,
    };
    drop(socket);
    yield_until(|| server.stats().open_sockets == 0).await;
    publish(&server, 2);
    assert_eq!(client.connect().await.events(), [("/a".to_owned(), json!(2))]);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_reloads_goes_on_with_its_session_on_a_new_socket() {
    let server = server();
    let mut older = Socket::subscribed(&server, "/a").await;
    older.hold("1").await;
    let mut newer = Socket::open(&server).await;
    newer.id.clone_from(&older.id);
    let reply = json!({ "channel": "/meta/connect", "id": "2", "advice": { "timeout": 0 } });
    assert_eq!(newer.ask(reply).await["id"], "2");
    assert_eq!(older.message().await["id"], "1");
    publish(&server, 1);
    assert_eq!(number(&newer.message().await), 1);
    assert!(older.is_silent().await);
    drop(older);
    yield_until(|| server.stats().open_sockets == 1).await;
    publish(&server, 2);
    assert_eq!(number(&newer.message().await), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_on_a_socket_that_was_left_does_not_take_the_session_back() {
    let server = server();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let client = Client {
        server: server.clone(),
        id: socket.id.clone(),
        cookie: None,
    };
    let held = client.hold().await;
    socket.ask(json!({ "channel": "/b", "data": 1 })).await;
    publish(&server, 1);
    assert_eq!(held.await.unwrap().events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_made_by_a_script_goes_on_by_long_polling_and_on_a_socket() {
    let server = server();
    let mut client = Client {
        server: server.clone(),
        id: String::new(),
        cookie: None,
    };
    let reply = script(&client, json!([{ "channel": "/meta/handshake" }])).await;
    client.id = reply[0]["clientId"].as_str().unwrap().to_owned();
    client.subscribe("/a").await;
    publish(&server, 1);
    assert_eq!(script(&client, connect(&client)).await.len(), 2);
    publish(&server, 2);
    assert_eq!(client.poll().await.events().len(), 1);
    let mut socket = adopt(&client).await;
    socket.ask(json!({ "channel": "/meta/connect" })).await;
    publish(&server, 3);
    assert_eq!(number(&socket.message().await), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stream_takes_over_from_a_held_connect_and_a_connect_from_a_stream() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let mut stream = stream(&client).await;
    assert!(held.await.unwrap().events().is_empty());
    publish(&server, 1);
    let mut received = Vec::new();
    read_stream(&mut stream, &mut received);
    assert_eq!(received, [1]);
    let held = client.hold().await;
    publish(&server, 2);
    read_stream(&mut stream, &mut received);
    assert_eq!(received, [1]);
    assert_eq!(held.await.unwrap().events(), [("/a".to_owned(), json!(2))]);
    assert!(stream.body_mut().frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_leaves_its_socket_by_a_connect_of_an_event_stream() {
    let server = server();
    let mut socket = Socket::open(&server).await;
    let handshake = json!({ "channel": "/meta/handshake", "ext": { "ack": true } });
    socket.id = socket.ask(handshake).await["clientId"].as_str().unwrap().to_owned();
    let connect = json!({ "channel": "/meta/connect", "ext": { "ack": 0 } });
    assert_eq!(socket.ask(connect).await["ext"]["ack"], 1);
    socket
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/a" }))
        .await;
    let client = Client {
        server: server.clone(),
        id: socket.id.clone(),
        cookie: None,
    };
    publish(&server, 1);
    let connect = json!([{ "channel": "/meta/connect", "connectionType": "eventsource", "ext": { "ack": 1 } }]);
    let answer = client.send(connect).await;
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
    assert_eq!(answer.connect_reply()["ext"]["ack"], 2);
    // It has left: without another connect the session ends, whatever becomes of the socket.
    common::pass(std::time::Duration::from_secs(32)).await;
    assert_eq!(server.session_count(), 0);
}

/// Whatever transport a client turns to, as often as it likes: everything comes once and in order.
#[tokio::test(start_paused = true)]
async fn everything_comes_once_and_in_order_however_a_client_moves() {
    for seed in 0..20 {
        let server = server();
        let client = Client::subscribed(&server, "/a").await;
        let mut random = Random(seed);
        let mut received = Vec::new();
        let mut published = 0;
        let mut socket = adopt(&client).await;
        let mut open = stream(&client).await;
        let mut is_on_socket = false;
        for _ in 0..100 {
            for _ in 0..random.below(3) {
                published += 1;
                publish(&server, published);
            }
            // What is in the pipe already would be lost with it.
            while is_on_socket && received.last().copied().unwrap_or_default() < published {
                received.push(number(&socket.message().await));
            }
            is_on_socket = false;
            match random.below(4) {
                0 => received.extend(
                    client
                        .poll()
                        .await
                        .events()
                        .iter()
                        .map(|(_, data)| data.as_u64().unwrap()),
                ),
                1 => {
                    let answer = script(&client, connect(&client)).await;
                    received.extend(
                        answer
                            .iter()
                            .filter(|message| message.get("data").is_some())
                            .map(number),
                    );
                }
                2 => {
                    // One that is open already, or another one.
                    if random.below(2) == 0 {
                        socket = adopt(&client).await;
                    }
                    socket
                        .send(json!({ "channel": "/meta/connect", "id": "c", "advice": { "timeout": 0 } }))
                        .await;
                    loop {
                        let message = socket.message().await;
                        if message.get("data").is_some() {
                            received.push(number(&message));
                        } else {
                            break;
                        }
                    }
                    is_on_socket = true;
                    while received.last().copied().unwrap_or_default() < published {
                        received.push(number(&socket.message().await));
                    }
                }
                _ => {
                    open = stream(&client).await;
                    read_stream(&mut open, &mut received);
                }
            }
        }
        received.extend(
            client
                .poll()
                .await
                .events()
                .iter()
                .map(|(_, data)| data.as_u64().unwrap()),
        );
        drop((socket, open));
        assert_eq!(received, (1..=published).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(server.stats().lost_messages, 0);
    }
}
