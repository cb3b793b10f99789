//! A Bayeux client on a WebSocket: hyper serves the other end of a connection in memory.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this module"
)]

use std::future::poll_fn;

use futures_util::{SinkExt, StreamExt};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream, DuplexStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower_bayeux::{BayeuxServer, BayeuxService, ClientId, ServerSession};

/// How much a connection holds that nobody has read.
pub const ROOM: usize = 4 * 1024;

/// Opens a connection and sends the head of a request; returns the head of the response.
pub async fn request(server: &BayeuxServer, head: &str) -> (String, DuplexStream) {
    request_in(server, head, ROOM).await
}

/// As [`request`], on a connection that holds so much.
pub async fn request_in(server: &BayeuxServer, head: &str, room: usize) -> (String, DuplexStream) {
    let (client, peer) = tokio::io::duplex(room);
    request_over(server, head, client, peer).await
}

/// As [`request`], on a connection that is there: the client's end, and the server's.
async fn request_over(
    server: &BayeuxServer,
    head: &str,
    mut client: DuplexStream,
    peer: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> (String, DuplexStream) {
    let service = TowerToHyperService::new(BayeuxService::new(crate::common::BASE, server.clone()));
    tokio::spawn(async move {
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(peer), service).with_upgrades().await;
    });
    let answer = send_head(&mut client, head).await;
    (answer, client)
}

/// Sends the head of a request, and returns that of the response.
async fn send_head(client: &mut DuplexStream, head: &str) -> String {
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// Asks an HTTP server for a WebSocket that does not hand connections over.
pub async fn request_without_upgrades(server: &BayeuxServer) -> String {
    let (mut client, peer) = tokio::io::duplex(4096);
    let service = TowerToHyperService::new(BayeuxService::new(crate::common::BASE, server.clone()));
    let http = hyper::server::conn::http1::Builder::new();
    tokio::spawn(http.serve_connection(TokioIo::new(peer), service));
    let answer = send_head(&mut client, &upgrade(crate::common::BASE, "")).await;
    // The server learns it when the answer is out.
    crate::common::pass(std::time::Duration::from_millis(1)).await;
    answer
}

/// The head of a request for a WebSocket.
pub fn upgrade(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// A client's end of a socket.
pub struct Socket {
    pub stream: WebSocketStream<DuplexStream>,
    pub id: String,
    pub server: BayeuxServer,
}

impl Socket {
    pub async fn open(server: &BayeuxServer) -> Self {
        Self::open_with(server, "").await
    }

    pub async fn open_with(server: &BayeuxServer, headers: &str) -> Self {
        Self::open_in(server, headers, ROOM).await
    }

    /// Opens a socket on a connection that holds so much.
    pub async fn open_in(server: &BayeuxServer, headers: &str, room: usize) -> Self {
        let (answer, stream) = request_in(server, &upgrade(crate::common::BASE, headers), room).await;
        Self::opened(server, &answer, stream).await
    }

    /// Opens a socket on a connection that takes whatever the server writes, and keeps it until it is flushed, as TLS does.
    pub async fn open_buffered(server: &BayeuxServer) -> Self {
        let (client, peer) = tokio::io::duplex(ROOM);
        let peer = BufStream::with_capacity(ROOM, 1 << 20, peer);
        let (answer, stream) = request_over(server, &upgrade(crate::common::BASE, ""), client, peer).await;
        Self::opened(server, &answer, stream).await
    }

    async fn opened(server: &BayeuxServer, answer: &str, stream: DuplexStream) -> Self {
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        Self {
            stream: WebSocketStream::from_raw_socket(stream, Role::Client, None).await,
            id: String::new(),
            server: server.clone(),
        }
    }

    /// Handshakes on a socket of its own.
    pub async fn handshake(server: &BayeuxServer) -> Self {
        let mut socket = Self::open(server).await;
        socket.begin().await;
        socket
    }

    /// Handshakes, connects and subscribes.
    pub async fn subscribed(server: &BayeuxServer, channel: &str) -> Self {
        let mut socket = Self::open(server).await;
        socket.begin().await;
        socket.subscribe(channel).await;
        socket
    }

    /// Makes a session.
    pub async fn begin(&mut self) {
        let handshake = json!({ "channel": "/meta/handshake", "version": "1.0", "id": "hs", "clientId": null });
        let reply = self.ask(handshake).await;
        assert_eq!(reply["successful"], true, "{reply}");
        self.id = reply["clientId"].as_str().unwrap().to_owned();
    }

    /// Connects and subscribes.
    pub async fn subscribe(&mut self, channel: &str) {
        self.ask(json!({ "channel": "/meta/connect", "id": "first" })).await;
        let subscribe = json!({ "channel": "/meta/subscribe", "id": "s", "subscription": channel });
        assert_eq!(self.ask(subscribe).await["successful"], true);
    }

    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    /// Sends one message or an array of them, putting in the `clientId` where there is none.
    pub async fn send(&mut self, mut messages: Value) {
        let mut messages_in_it = match &mut messages {
            Value::Array(messages) => messages.iter_mut().collect(),
            message => vec![message],
        };
        for message in &mut messages_in_it {
            let fields = message.as_object_mut().unwrap();
            if !self.id.is_empty() {
                fields.entry("clientId").or_insert_with(|| self.id.clone().into());
            }
        }
        self.send_text(messages.to_string()).await;
    }

    /// The messages of the next frame. Pings are passed over, and answered by the library.
    pub async fn frame(&mut self) -> Vec<Value> {
        loop {
            match self.stream.next().await.expect("the socket is closed").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The only message of the next frame.
    pub async fn message(&mut self) -> Value {
        let frame = self.frame().await;
        assert_eq!(frame.len(), 1, "{frame:?}");
        frame.into_iter().next().unwrap()
    }

    pub async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.message().await
    }

    /// Sends a connect and waits until it is held.
    pub async fn hold(&mut self, id: &str) {
        let held = self.server.stats().held_connects;
        self.send(json!({ "channel": "/meta/connect", "id": id, "connectionType": "websocket" }))
            .await;
        let server = self.server.clone();
        crate::common::yield_until(|| server.stats().held_connects > held).await;
    }

    /// The code that the server closes the socket with; nothing may come before. The client confirms it.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            match self.stream.next().await.expect("closed without a word").unwrap() {
                Message::Close(frame) => {
                    while let Some(Ok(_)) = self.stream.next().await {}
                    return frame.expect("no code").code.into();
                }
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whether nothing has come.
    pub async fn is_silent(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        poll_fn(|cx| std::task::Poll::Ready(self.stream.poll_next_unpin(cx).is_pending())).await
    }

    pub fn client_id(&self) -> ClientId {
        self.id.parse().unwrap()
    }

    #[track_caller]
    pub fn session(&self) -> ServerSession {
        self.server.session(&self.client_id()).expect("no live session")
    }
}
