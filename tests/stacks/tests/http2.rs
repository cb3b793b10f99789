//! HTTP/2: many held connects on one connection.

#[path = "../../common/mod.rs"]
mod common;

use std::time::Duration;

use bytes::Bytes;
use common::post;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_bayeux::{BayeuxServer, BayeuxService, Reason};

const DEADLINE: Duration = Duration::from_secs(60);

type Sender = SendRequest<Full<Bytes>>;

/// A connection in memory, and the wire between its ends, which breaks when it is aborted.
async fn open(server: &BayeuxServer) -> (Sender, JoinHandle<()>) {
    let (client, mut client_end) = tokio::io::duplex(64 * 1024);
    let (mut server_end, peer) = tokio::io::duplex(64 * 1024);
    let wire = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut client_end, &mut server_end).await;
    });
    let service = TowerToHyperService::new(BayeuxService::new(common::BASE, server.clone()));
    tokio::spawn(async move {
        let builder = auto::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(peer), service).await;
    });
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
        .await
        .unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    (sender, wire)
}

fn request(messages: &Value) -> Request<Full<Bytes>> {
    let mut request = post(messages.to_string());
    *request.uri_mut() = "http://example.org/cometd".parse().unwrap();
    request
}

async fn messages(response: Response<Incoming>) -> Vec<Value> {
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

async fn ask(sender: &mut Sender, body: Value) -> Vec<Value> {
    messages(sender.send_request(request(&body)).await.unwrap()).await
}

async fn client(sender: &mut Sender) -> Value {
    let id = ask(sender, json!([{ "channel": "/meta/handshake", "version": "1.0" }])).await[0]["clientId"].clone();
    ask(sender, json!([{ "channel": "/meta/connect", "clientId": id }])).await;
    ask(
        sender,
        json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]),
    )
    .await;
    id
}

async fn until_held(server: &BayeuxServer, count: u64) {
    let waiting = async {
        while server.stats().held_connects != count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .unwrap_or_else(|_| panic!("{:?}", server.stats()));
}

fn server() -> BayeuxServer {
    BayeuxServer::builder().timeout(Duration::from_secs(3600)).build()
}

#[tokio::test]
async fn many_connects_are_held_on_one_connection() {
    let server = server();
    let (mut sender, _wire) = open(&server).await;
    let mut held = Vec::new();
    for _ in 0..50 {
        let id = client(&mut sender).await;
        held.push(tokio::spawn(sender.send_request(request(
            &json!([{ "channel": "/meta/connect", "clientId": id }]),
        ))));
    }
    until_held(&server, 50).await;
    server.publish("/a", "to all").unwrap();
    for task in held {
        let response = tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap().unwrap();
        assert_eq!(messages(response).await[0]["data"], "to all");
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_connect_alone() {
    let server = server();
    let (mut sender, _wire) = open(&server).await;
    let one = client(&mut sender).await;
    let other = client(&mut sender).await;
    let connect = |id: &Value| request(&json!([{ "channel": "/meta/connect", "clientId": id }]));
    let reset = tokio::spawn(sender.send_request(connect(&one)));
    let kept = tokio::spawn(sender.send_request(connect(&other)));
    until_held(&server, 2).await;
    reset.abort();
    until_held(&server, 1).await;
    assert_eq!(server.stats().connects_ended.count(Reason::ClientGone), 1);
    server.publish("/a", 7.to_string().as_str()).unwrap();
    let response = tokio::time::timeout(DEADLINE, kept).await.unwrap().unwrap().unwrap();
    assert_eq!(messages(response).await[0]["data"], "7");
    // Nothing was lost for the other.
    assert_eq!(
        ask(&mut sender, json!([{ "channel": "/meta/connect", "clientId": one }])).await[0]["data"],
        "7"
    );
}

#[tokio::test]
async fn a_lost_connection_ends_all_its_connects() {
    let server = server();
    let (mut sender, wire) = open(&server).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let id = client(&mut sender).await;
        held.push(tokio::spawn(sender.send_request(request(
            &json!([{ "channel": "/meta/connect", "clientId": id }]),
        ))));
    }
    until_held(&server, 10).await;
    wire.abort();
    until_held(&server, 0).await;
    assert_eq!(server.stats().connects_ended.count(Reason::ClientGone), 10);
    assert_eq!(server.session_count(), 10);
}

#[tokio::test]
async fn an_answer_whose_stream_is_reset_before_it_is_taken_loses_nothing() {
    let server = server();
    let (mut sender, _wire) = open(&server).await;
    let id = client(&mut sender).await;
    for round in 0..20_u64 {
        // Reset at another moment each time: unsent, under way, held, about to be answered.
        let connect = request(&json!([{ "channel": "/meta/connect", "clientId": id }]));
        let task = tokio::spawn(sender.send_request(connect));
        for _ in 0..round % 7 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
        until_held(&server, 0).await;
    }
    server.publish("/a", &1).unwrap();
    let poll = json!([{ "channel": "/meta/connect", "clientId": id, "advice": { "timeout": 0 } }]);
    assert_eq!(ask(&mut sender, poll).await[0]["data"], 1);
    assert_eq!(server.stats().lost_messages, 0);
}
