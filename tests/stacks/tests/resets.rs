//! HTTP/2 streams that are reset at any moment, over sockets.

#[path = "../../common/mod.rs"]
mod common;
mod support;

use std::time::Duration;

use bytes::Bytes;
use common::Random;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use support::{Site, nothing_left, soon, until};
use tokio::{net::TcpStream, time::timeout};
use tower_bayeux::BayeuxServer;

type Sender = http2::SendRequest<Full<Bytes>>;

/// A connection on which little of an answer is sent before its receiver has asked for more.
async fn open(site: &Site) -> Sender {
    let stream = TcpStream::connect(site.address).await.unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut Sender, messages: &Value) -> Vec<Value> {
    let request = Request::post("http://x/cometd")
        .body(Full::new(Bytes::from(messages.to_string())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Streams are reset before, while and after their answers come.
#[tokio::test]
async fn with_acknowledgement_nothing_is_lost_or_doubled_by_streams_that_are_reset() {
    const PUBLISHED: u64 = 300;
    let site = Site::open(BayeuxServer::builder().timeout(Duration::from_secs(3600))).await;
    let mut sender = open(&site).await;
    let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0", "ext": { "ack": true } }]);
    let id = ask(&mut sender, &handshake).await[0]["clientId"].clone();
    let subscribe = json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]);
    ask(&mut sender, &subscribe).await;

    let mut random = Random(1);
    let (mut batch, mut published, mut resets) = (0, 0, 0);
    let mut numbers = Vec::new();
    while numbers.last() != Some(&PUBLISHED) {
        if published < PUBLISHED {
            published += 1;
            let data = json!({ "number": published, "text": "x".repeat(3000) });
            site.server.publish("/a", &data).unwrap();
        }
        let connect = json!([{ "channel": "/meta/connect", "clientId": id, "ext": { "ack": batch } }]);
        let patience = if published < PUBLISHED {
            random.below(1500)
        } else {
            30_000_000
        };
        let Ok(messages) = timeout(Duration::from_micros(patience), ask(&mut sender, &connect)).await else {
            resets += 1;
            continue;
        };
        numbers.extend(messages.iter().filter_map(|message| message["data"]["number"].as_u64()));
        let reply = messages.last().unwrap();
        batch = reply["ext"]["ack"].as_u64().unwrap_or(batch);
    }
    assert_eq!(numbers, (1..=PUBLISHED).collect::<Vec<_>>());
    assert!(resets > 20, "{resets} resets");
    let disconnect = json!([{ "channel": "/meta/disconnect", "clientId": id }]);
    soon(ask(&mut sender, &disconnect)).await;
    until(&site.server, |stats| stats.held_connects == 0).await;
    nothing_left(&site.server).await;
}
