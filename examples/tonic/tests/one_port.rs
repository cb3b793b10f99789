//! gRPC, Bayeux over HTTP/1.1 and Bayeux over HTTP/2, all on the one port.

use std::{future::pending, net::SocketAddr, time::Duration};

use example_tonic::proto::{AnnounceRequest, announcer_client::AnnouncerClient};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, Version, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tonic::Code;
use tower_bayeux::BayeuxServer;

/// More than anything here takes, less than the server holds a poll.
const SOON: Duration = Duration::from_secs(10);

async fn start() -> (SocketAddr, BayeuxServer) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bayeux = BayeuxServer::new();
    tokio::spawn(example_tonic::serve(listener, bayeux.clone(), pending()));
    (address, bayeux)
}

/// A Bayeux client that knows just enough for these tests.
#[derive(Clone)]
struct Bayeux {
    http: Client<HttpConnector, Full<Bytes>>,
    version: Version,
    url: String,
    client_id: Value,
}

impl Bayeux {
    /// Shakes hands and subscribes.
    async fn start(address: SocketAddr, version: Version, subscription: &str) -> Self {
        let http = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build_http();
        let url = format!("http://{address}/cometd");
        let mut bayeux = Self {
            http,
            version,
            url,
            client_id: Value::Null,
        };

        let reply = bayeux
            .post(json!({
                "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
            }))
            .await;
        assert_eq!(reply[0]["successful"], true, "{reply}");
        bayeux.client_id = reply[0]["clientId"].clone();

        let reply = bayeux
            .post(json!({
                "channel": "/meta/subscribe", "clientId": bayeux.client_id, "subscription": subscription,
            }))
            .await;
        assert_eq!(reply[0]["successful"], true, "{reply}");
        bayeux
    }

    async fn connect(&self) -> Value {
        self.post(json!({
            "channel": "/meta/connect", "clientId": self.client_id, "connectionType": "long-polling",
        }))
        .await
    }

    async fn post(&self, message: Value) -> Value {
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header("content-type", "application/json")
            .body(Full::from(json!([message]).to_string()))
            .unwrap();
        let response = timeout(SOON, self.http.request(request))
            .await
            .expect("held for too long")
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.version(), self.version);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }
}

/// Until the server holds a poll.
async fn until_held(bayeux: &BayeuxServer) {
    let held = async {
        while bayeux.stats().held_connects == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, held).await.expect("no poll is held");
}

async fn an_announcement_reaches_a_held_poll(version: Version) {
    let (address, bayeux) = start().await;
    let client = Bayeux::start(address, version, "/news/*").await;
    let first = client.connect().await;
    assert_eq!(first[0]["channel"], "/meta/connect", "{first}");

    let held = tokio::spawn(async move { client.connect().await });
    until_held(&bayeux).await;
    let mut grpc = AnnouncerClient::connect(format!("http://{address}")).await.unwrap();
    grpc.announce(AnnounceRequest {
        channel: "/news/local".into(),
        text: "rain".into(),
    })
    .await
    .unwrap();

    let answer = held.await.unwrap();
    assert_eq!(
        answer[0],
        json!({"channel": "/news/local", "data": {"text": "rain"}}),
        "{answer}"
    );
    assert_eq!(answer[1]["channel"], "/meta/connect", "{answer}");
    assert_eq!(answer[1]["successful"], true, "{answer}");
}

#[tokio::test]
async fn an_announcement_reaches_a_held_poll_over_http1() {
    an_announcement_reaches_a_held_poll(Version::HTTP_11).await;
}

#[tokio::test]
async fn an_announcement_reaches_a_held_poll_over_http2() {
    an_announcement_reaches_a_held_poll(Version::HTTP_2).await;
}

#[tokio::test]
async fn announcing_to_an_invalid_channel_is_an_invalid_argument() {
    let (address, _bayeux) = start().await;
    let mut grpc = AnnouncerClient::connect(format!("http://{address}")).await.unwrap();
    for channel in ["", "news", "/news//local", "/news/*"] {
        let status = grpc
            .announce(AnnounceRequest {
                channel: channel.into(),
                text: "rain".into(),
            })
            .await
            .expect_err(channel);
        assert_eq!(status.code(), Code::InvalidArgument, "{channel}: {status}");
    }
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_held_polls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let bayeux = BayeuxServer::new();
    let server = tokio::spawn(example_tonic::serve(listener, bayeux.clone(), async {
        let _ = stopped.await;
    }));

    let client = Bayeux::start(address, Version::HTTP_11, "/news/*").await;
    client.connect().await;
    let poll = client.clone();
    let held = tokio::spawn(async move { poll.connect().await });
    until_held(&bayeux).await;
    stop.send(()).unwrap();

    assert_eq!(held.await.unwrap()[0]["channel"], "/meta/connect");
    drop(client);
    timeout(SOON, server).await.expect("still serving").unwrap().unwrap();
}
