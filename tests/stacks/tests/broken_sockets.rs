//! WebSockets that break in the middle of what they carry, over sockets.

#[path = "../../common/mod.rs"]
mod common;
mod support;

use std::{net::SocketAddr, time::Duration};

use common::Random;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::{End, Fate, Proxy, Site, nothing_left, soon, until};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};
use tower_bayeux::BayeuxServer;

const PUBLISHED: u64 = 400;

/// A session that goes from one socket to the next.
struct Listener {
    id: Value,
    numbers: Vec<u64>,
    acknowledges: bool,
    batch: u64,
}

type Socket = WebSocketStream<TcpStream>;

async fn open(address: SocketAddr) -> Option<Socket> {
    let stream = TcpStream::connect(address).await.ok()?;
    let opened = client_async(format!("ws://{address}/cometd"), stream).await;
    opened.ok().map(|(socket, _)| socket)
}

async fn tell(socket: &mut Socket, message: Value) -> Option<()> {
    socket.send(Message::text(message.to_string())).await.ok()
}

async fn next(socket: &mut Socket) -> Option<Vec<Value>> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

impl Listener {
    async fn start(address: SocketAddr, acknowledges: bool) -> Self {
        let mut socket = open(address).await.unwrap();
        let handshake = json!({ "channel": "/meta/handshake", "ext": { "ack": acknowledges } });
        tell(&mut socket, handshake).await.unwrap();
        let id = next(&mut socket).await.unwrap()[0]["clientId"].clone();
        let subscribe = json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" });
        tell(&mut socket, subscribe).await.unwrap();
        next(&mut socket).await.unwrap();
        Self {
            id,
            numbers: Vec::new(),
            acknowledges,
            batch: 0,
        }
    }

    /// Listens until the socket breaks, or the last number has come.
    async fn listen(&mut self, address: SocketAddr) -> Option<()> {
        let mut socket = open(address).await?;
        self.connect(&mut socket).await?;
        while self.numbers.last() != Some(&PUBLISHED) {
            for message in next(&mut socket).await? {
                if let Some(number) = message["data"]["number"].as_u64() {
                    self.numbers.push(number);
                } else if message["channel"] == "/meta/connect" {
                    assert_eq!(message["successful"], true, "{message}");
                    self.batch = message["ext"]["ack"].as_u64().unwrap_or(self.batch);
                    self.connect(&mut socket).await?;
                }
            }
        }
        Some(())
    }

    async fn connect(&self, socket: &mut Socket) -> Option<()> {
        let mut connect = json!({ "channel": "/meta/connect", "clientId": self.id });
        if self.acknowledges {
            connect["ext"]["ack"] = self.batch.into();
        }
        tell(socket, connect).await
    }
}

async fn sockets_cut_at_random(seed: u64, acknowledges: bool) -> Vec<u64> {
    let site = Site::open(BayeuxServer::builder().timeout(Duration::from_secs(3600))).await;
    let proxy = Proxy::open(site.address).await;
    let mut random = Random(seed);
    proxy.plan(move || {
        let end = [End::Close, End::Reset][usize::from(random.below(2) == 0)];
        let bytes = usize::try_from(random.below(20_000)).unwrap();
        Fate {
            down: Some((bytes, end)),
            ..Fate::default()
        }
    });
    let mut listener = Listener::start(site.address, acknowledges).await;
    let publishing = tokio::spawn({
        let server = site.server.clone();
        async move {
            for number in 1..PUBLISHED {
                let data = json!({ "number": number, "text": "x".repeat(500) });
                server.publish("/a", &data).unwrap();
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        }
    });
    while !publishing.is_finished() {
        // A cut may leave it waiting for what was on its way when it came.
        let _ = tokio::time::timeout(Duration::from_millis(100), listener.listen(proxy.address)).await;
    }
    while listener.numbers.last() != Some(&PUBLISHED) {
        // It must not go into a socket that has broken and is not known to have.
        until(&site.server, |stats| stats.open_sockets == 0).await;
        site.server.publish("/a", &json!({ "number": PUBLISHED })).unwrap();
        let _ = tokio::time::timeout(Duration::from_secs(1), listener.listen(site.address)).await;
    }
    assert!(proxy.cuts() > 5, "{} cuts", proxy.cuts());
    let stats = site.server.stats();
    assert_eq!(
        (stats.lost_messages, stats.dropped_messages.total()),
        (0, 0),
        "{stats:?}"
    );
    let received = listener.numbers.len() as u64;
    assert!(stats.delivered_messages >= received, "{stats:?}");
    let mut last = open(site.address).await.unwrap();
    let disconnect = json!({ "channel": "/meta/disconnect", "clientId": listener.id });
    tell(&mut last, disconnect).await.unwrap();
    assert_eq!(next(&mut last).await.unwrap()[0]["successful"], true);
    drop(last);
    until(&site.server, |stats| stats.open_sockets == 0).await;
    nothing_left(&site.server).await;
    listener.numbers.retain(|number| *number < PUBLISHED);
    listener.numbers
}

/// A socket may break between events and the reply that tells the number of their batch: then they come again.
#[tokio::test]
async fn with_acknowledgement_nothing_is_lost_wherever_a_socket_breaks() {
    for seed in 0..3 {
        let numbers = soon(sockets_cut_at_random(seed, true)).await;
        let mut highest = 0;
        for number in numbers {
            assert!(number <= highest + 1, "seed {seed}: {number} after {highest}");
            highest = highest.max(number);
        }
        assert_eq!(highest, PUBLISHED - 1, "seed {seed}");
    }
}

#[tokio::test]
async fn without_acknowledgement_nothing_comes_twice_or_out_of_order_wherever_a_socket_breaks() {
    for seed in 10..13 {
        let numbers = soon(sockets_cut_at_random(seed, false)).await;
        assert!(numbers.is_sorted_by(|one, next| one < next), "seed {seed}: {numbers:?}");
    }
}
