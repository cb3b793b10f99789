//! WebSockets: text frames, and what else can come on a connection.

use futures_util::{SinkExt, StreamExt};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower_bayeux::{BayeuxServer, BayeuxService};

use crate::{
    answer,
    world::{BASE, World, in_paused_time},
};

/// Room for all that either side says, so that nobody waits for the other to read.
const ROOM: usize = 1 << 20;

/// The codes that the server closes sockets with. Not 1011, which follows a panic: there is no user code here to panic.
const CODES: [u16; 6] = [1000, 1001, 1002, 1003, 1007, 1009];

/// A frame a line: a text, `!` with a binary frame, `^` with bytes that are no frame at all, or `_` for a pause.
pub fn websocket(input: &[u8]) {
    in_paused_time(async {
        let world = World::new(false).await;
        let input = world.spoken(input);
        let (mut socket, connection) = open(&world.server).await;
        for line in input.split(|byte| *byte == b'\n') {
            if write(&mut socket, line).await.is_none() {
                break;
            }
        }
        let _gone = socket.send(Message::Close(None)).await;
        // Bytes that look like no frame may be a close all the same, and its code comes back.
        let may_close = input.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"^"));
        read_to_end(socket, may_close).await;
        connection.await.expect("a connection that ends by itself");
        world.end().await;
    });
}

async fn write(socket: &mut WebSocketStream<DuplexStream>, line: &[u8]) -> Option<()> {
    match line {
        [b'!', bytes @ ..] => socket.send(Message::binary(bytes.to_vec())).await.ok(),
        [b'^', bytes @ ..] => socket.get_mut().write_all(bytes).await.ok(),
        [b'_', ..] => {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            Some(())
        }
        text => socket
            .send(Message::text(String::from_utf8_lossy(text).into_owned()))
            .await
            .ok(),
    }
}

/// Everything that the server says can be read, and it closes for a reason of its own: it never just goes away.
async fn read_to_end(mut socket: WebSocketStream<DuplexStream>, any_end: bool) {
    let mut is_closed = false;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => {
                let messages: Vec<serde_json::Value> = serde_json::from_str(&text).expect("an array");
                messages.iter().for_each(answer::check_message);
            }
            Message::Binary(_) => panic!("a binary frame"),
            // Without a code it is our own close that comes back.
            Message::Close(close) => {
                is_closed = true;
                let is_known = close.as_ref().is_none_or(|close| CODES.contains(&close.code.into()));
                assert!(any_end || is_known, "{close:?}");
            }
            _ => {}
        }
    }
    assert!(any_end || is_closed, "the connection broke off");
}

/// Opens a socket on a connection in memory, which is served by the task that is returned, too.
async fn open(server: &BayeuxServer) -> (WebSocketStream<DuplexStream>, JoinHandle<()>) {
    let (mut client, peer) = tokio::io::duplex(ROOM);
    let service = TowerToHyperService::new(BayeuxService::new(BASE, server.clone()));
    let connection = tokio::spawn(async move {
        let http = hyper::server::conn::http1::Builder::new();
        let _gone = http.serve_connection(TokioIo::new(peer), service).with_upgrades().await;
    });
    let head = format!(
        "GET {BASE} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await.expect("room");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.expect("a head"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
    let socket = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    (socket, connection)
}
