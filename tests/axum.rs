//! In axum, over a real socket and without.

mod common;

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use common::Client;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use tower_bayeux::{BayeuxLayer, BayeuxServer, BayeuxService};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn app(server: &BayeuxServer) -> Router {
    Router::new()
        .route("/", get(async || "home"))
        .layer(BayeuxLayer::new("/cometd", server.clone()))
}

async fn post(app: &Router, path: &str, messages: Value) -> common::Answer {
    let request = Request::post(path).body(Body::from(messages.to_string())).unwrap();
    common::read(app.clone().oneshot(request).await.unwrap()).await
}

/// Handshake, connect, subscribe, publish, poll.
async fn serves(app: &Router, path: &str) {
    let reply = post(app, path, json!([{ "channel": "/meta/handshake", "version": "1.0" }]))
        .await
        .only();
    let id = reply["clientId"].clone();
    for message in [
        json!({ "channel": "/meta/connect", "clientId": id }),
        json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }),
        json!({ "channel": "/a", "clientId": id, "data": 1 }),
    ] {
        assert_eq!(post(app, path, json!([message])).await.only()["successful"], true);
    }
    let answer = post(app, path, json!([{ "channel": "/meta/connect", "clientId": id }])).await;
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn as_a_layer_of_the_router() {
    let server = BayeuxServer::new();
    let app = app(&server);
    serves(&app, "/cometd").await;
    serves(&app, "/cometd/connect").await;
    let home = app
        .clone()
        .oneshot(Request::get("/").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(common::read(home).await.body, "home");
    let missing = app
        .oneshot(Request::post("/cometd-admin").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn as_a_layer_around_a_nested_router() {
    let server = BayeuxServer::new();
    let api = Router::new().route("/x", get(async || "x"));
    let app = Router::new()
        .nest("/api", api)
        .layer(BayeuxLayer::new("/api/cometd", server.clone()));
    serves(&app, "/api/cometd").await;
}

#[tokio::test(start_paused = true)]
async fn as_the_service_of_a_route() {
    let server = BayeuxServer::new();
    let service = BayeuxService::new("/cometd", server.clone());
    let app = Router::new()
        .route("/", get(async || "home"))
        .route_service("/cometd", service.clone())
        .route_service("/cometd/{*rest}", service);
    serves(&app, "/cometd").await;
    serves(&app, "/cometd/handshake").await;
}

#[tokio::test(start_paused = true)]
async fn as_a_nested_service_it_stands_at_the_root() {
    let server = BayeuxServer::new();
    let app = Router::new().nest_service("/cometd", BayeuxService::new("/", server.clone()));
    serves(&app, "/cometd").await;
    serves(&app, "/cometd/connect").await;
    assert_eq!(server.session_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_state_and_layers_of_the_applications_own() {
    let server = BayeuxServer::new();
    let app: Router = Router::new()
        .route(
            "/",
            get(async |axum::extract::State(name): axum::extract::State<&'static str>| name),
        )
        .layer(axum::middleware::from_fn(
            async |request: axum::extract::Request, next: axum::middleware::Next| next.run(request).await,
        ))
        .layer(BayeuxLayer::new("/cometd", server.clone()))
        .layer(axum::middleware::from_fn(
            async |mut request: axum::extract::Request, next: axum::middleware::Next| {
                request.extensions_mut().insert("user");
                next.run(request).await
            },
        ))
        .with_state("home");
    let mut events = server.events();
    serves(&app, "/cometd").await;
    let Some(tower_bayeux::Event::SessionAdded { request, .. }) = events.recv().await else {
        panic!("no event");
    };
    assert_eq!(
        request.extensions.get(),
        Some(&"user"),
        "what a middleware outside knows reaches the events"
    );
}

/// Sends one request over a socket and reads its answer, whose length is announced.
async fn over_socket(stream: &mut TcpStream, messages: &Value) -> Value {
    let body = messages.to_string();
    let request = format!(
        "POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    read_answer(stream).await
}

async fn read_answer(stream: &mut TcpStream) -> Value {
    let mut received = Vec::new();
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let body = &received[end + 4..];
            if body.len() == length.parse::<usize>().unwrap() {
                return serde_json::from_slice(body).unwrap();
            }
        }
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "closed early");
    }
}

#[tokio::test]
async fn axum_serve_shuts_down_gracefully_while_connects_are_held() {
    let server = BayeuxServer::builder().timeout(Duration::from_secs(3600)).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(
        axum::serve(listener, app(&server))
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            })
            .into_future(),
    );
    let run = async {
        let mut held = Vec::new();
        for _ in 0..5 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let reply = over_socket(
                &mut stream,
                &json!([{ "channel": "/meta/handshake", "version": "1.0" }]),
            )
            .await;
            let connect = json!([{ "channel": "/meta/connect", "clientId": reply[0]["clientId"] }]);
            over_socket(&mut stream, &connect).await;
            held.push(tokio::spawn(async move { over_socket(&mut stream, &connect).await }));
        }
        while server.stats().held_connects < 5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.shutdown();
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        for task in held {
            let answer = task.await.unwrap();
            assert_eq!(answer[0]["advice"]["reconnect"], "retry", "{answer}");
        }
    };
    tokio::time::timeout(DEADLINE, run)
        .await
        .expect("the shutdown waits for held connects");
}

#[tokio::test]
async fn the_application_publishes_from_its_handlers() {
    let server = BayeuxServer::new();
    let publisher = server.clone();
    let app = Router::new()
        .route(
            "/notify",
            get(async move || publisher.publish("/news", "hot").map_err(|error| error.to_string())),
        )
        .layer(BayeuxLayer::new("/cometd", server.clone()));
    let client = Client::subscribed(&server, "/news").await;
    let held = client.hold().await;
    let response = app
        .oneshot(Request::get("/notify").body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(held.await.unwrap().events(), [("/news".to_owned(), json!("hot"))]);
}
