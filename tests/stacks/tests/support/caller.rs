//! A client that knows HTTP byte by byte, and comes back whatever happens to its connections.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A request with these messages.
pub fn post(messages: &Value) -> Vec<u8> {
    let body = messages.to_string();
    let length = body.len();
    format!("POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A connect.
pub fn connect(id: &Value) -> Value {
    json!([{ "channel": "/meta/connect", "clientId": id }])
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    pub stream: TcpStream,
    received: Vec<u8>,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The status and the body of the next answer; `None` if the connection ends instead.
    pub async fn answer(&mut self) -> Option<(u16, Value)> {
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.received[..end]).to_lowercase();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                let all = end + 4 + length.parse::<usize>().unwrap();
                if self.received.len() >= all {
                    // hyper's own answers have no body.
                    let body = serde_json::from_slice(&self.received[end + 4..all]).unwrap_or_default();
                    self.received.drain(..all);
                    return Some((status, body));
                }
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The answer to these messages; `None` if the connection ends, or the server got half of them only.
    pub async fn ask(&mut self, messages: &Value) -> Option<Value> {
        self.send(&post(messages)).await.ok()?;
        let (status, body) = self.answer().await?;
        (status == 200).then_some(body)
    }
}

/// A client with a session that has subscribed to `/a`, on which numbers are published.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    pub id: Value,
    /// The numbers that came, in their order.
    pub numbers: Vec<u64>,
    /// How many sessions it has had.
    pub sessions: u32,
    /// How long it waits for an answer before it tries again.
    pub patience: Duration,
    acknowledges: bool,
    keeps_alive: bool,
    batch: u64,
    wire: Option<Wire>,
}

impl Caller {
    /// Makes a session at an address where nothing goes wrong.
    pub async fn start(address: SocketAddr, acknowledges: bool) -> Self {
        Self::begin(address, acknowledges, true).await
    }

    /// As [`start`](Self::start), with a connection of its own for each request.
    pub async fn start_fresh(address: SocketAddr) -> Self {
        Self::begin(address, false, false).await
    }

    async fn begin(address: SocketAddr, acknowledges: bool, keeps_alive: bool) -> Self {
        let mut caller = Self {
            keeps_alive,
            address,
            id: Value::Null,
            numbers: Vec::new(),
            sessions: 0,
            patience: Duration::from_secs(30),
            acknowledges,
            batch: 0,
            wire: None,
        };
        assert!(caller.handshake().await);
        assert!(caller.poll().await, "the first connect is answered at once");
        caller
    }

    /// Makes a new session and subscribes; `false` if the connection breaks.
    pub async fn handshake(&mut self) -> bool {
        let handshake =
            json!([{ "channel": "/meta/handshake", "version": "1.0", "ext": { "ack": self.acknowledges } }]);
        let Some(reply) = self.ask(&handshake).await else {
            return false;
        };
        self.id = reply[0]["clientId"].clone();
        self.sessions += 1;
        self.batch = 0;
        let subscribe = json!([{ "channel": "/meta/subscribe", "clientId": self.id, "subscription": "/a" }]);
        self.ask(&subscribe)
            .await
            .is_some_and(|reply| reply[0]["successful"] == true)
    }

    /// The next connect, as a request.
    pub fn connect(&self) -> Value {
        let mut connect = connect(&self.id);
        if self.acknowledges {
            connect[0]["ext"]["ack"] = self.batch.into();
        }
        connect
    }

    /// Connects once, and takes what comes; makes a new session where it is told to. `false` if the connection breaks.
    pub async fn poll(&mut self) -> bool {
        let Some(answer) = self.ask(&self.connect()).await else {
            return false;
        };
        let messages = answer.as_array().unwrap();
        self.numbers
            .extend(messages.iter().filter_map(|message| message["data"].as_u64()));
        let reply = messages.last().unwrap();
        if reply["successful"] == true {
            // The reply to a superseded connect is no batch.
            self.batch = reply["ext"]["ack"].as_u64().unwrap_or(self.batch);
            return true;
        }
        assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
        self.handshake().await
    }

    /// Says goodbye.
    pub async fn leave(&mut self) {
        let disconnect = json!([{ "channel": "/meta/disconnect", "clientId": self.id }]);
        assert!(self.ask(&disconnect).await.is_some());
    }

    /// As a client that gives up waiting does: closes its connection.
    pub fn hang_up(&mut self) {
        self.wire = None;
    }

    /// Goes another way from now on, on a new connection.
    pub fn go_by(&mut self, address: SocketAddr) {
        self.hang_up();
        self.address = address;
    }

    /// Sends on the connection that there is, or on a new one, and waits for the answer.
    pub async fn ask(&mut self, messages: &Value) -> Option<Value> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::open(self.address).await.ok()?,
        };
        let answer = timeout(self.patience, wire.ask(messages)).await.ok().flatten()?;
        self.wire = self.keeps_alive.then_some(wire);
        Some(answer)
    }
}
