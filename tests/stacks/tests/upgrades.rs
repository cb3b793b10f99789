//! WebSockets through axum, with the usual layers of tower-http outside, over real sockets.

use std::time::Duration;

use axum::{Router, routing::get};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};
use tower_bayeux::{BayeuxLayer, BayeuxServer};
use tower_http::{compression::CompressionLayer, cors::CorsLayer, trace::TraceLayer};

const DEADLINE: Duration = Duration::from_secs(60);

/// An application with everything outside of the Bayeux layer.
async fn open(server: &BayeuxServer) -> WebSocketStream<TcpStream> {
    let app: Router = Router::new()
        .route("/cometd", get(|| async { "a page" }))
        .layer(BayeuxLayer::new("/cometd", server.clone()))
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(TraceLayer::new_for_http());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = client_async(format!("ws://{address}/cometd"), stream).await.unwrap();
    assert!(!response.headers().contains_key("content-encoding"));
    socket
}

async fn message(socket: &mut WebSocketStream<TcpStream>) -> Value {
    let next = tokio::time::timeout(DEADLINE, socket.next())
        .await
        .expect("nothing came");
    let Some(Ok(Message::Text(text))) = next else {
        panic!("{next:?}")
    };
    let mut messages: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(messages.len(), 1);
    messages.remove(0)
}

async fn ask(socket: &mut WebSocketStream<TcpStream>, request: Value) -> Value {
    socket.send(Message::text(request.to_string())).await.unwrap();
    message(socket).await
}

#[tokio::test]
async fn a_socket_passes_every_layer_and_a_thousand_events_arrive_in_order() {
    let server = BayeuxServer::new();
    let mut socket = open(&server).await;
    let id = ask(&mut socket, json!({ "channel": "/meta/handshake" })).await["clientId"].clone();
    ask(&mut socket, json!({ "channel": "/meta/connect", "clientId": id })).await;
    let subscribe = json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" });
    assert_eq!(ask(&mut socket, subscribe).await["successful"], true);
    for number in 0..1000 {
        server.publish("/a", &number).unwrap();
    }
    for number in 0..1000 {
        assert_eq!(message(&mut socket).await["data"], number);
    }
}

#[tokio::test]
async fn a_socket_that_breaks_leaves_its_session_to_be_taken_up_on_another() {
    let server = BayeuxServer::new();
    let mut socket = open(&server).await;
    let id = ask(&mut socket, json!({ "channel": "/meta/handshake" })).await["clientId"].clone();
    let subscribe = json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" });
    ask(&mut socket, subscribe).await;
    socket.get_ref().set_zero_linger().unwrap();
    drop(socket);
    let closed = async {
        while server.stats().open_sockets > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, closed)
        .await
        .expect("the socket is still open");
    server.publish("/a", "meanwhile").unwrap();
    let mut socket = open(&server).await;
    socket
        .send(Message::text(
            json!({ "channel": "/meta/connect", "clientId": id, "id": "c" }).to_string(),
        ))
        .await
        .unwrap();
    let both = [message(&mut socket).await, message(&mut socket).await];
    assert!(both.iter().any(|message| message["data"] == "meanwhile"), "{both:?}");
    assert!(both.iter().any(|message| message["id"] == "c"), "{both:?}");
}
