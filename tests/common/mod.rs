//! A Bayeux client that talks to a service in-process: no socket, no real time.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part of this module"
)]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_bayeux::{AnswerInfo, BayeuxServer, BayeuxService, Reason};

/// Where the tests serve Bayeux.
pub const BASE: &str = "/cometd";

/// The answer to one request.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub info: Option<AnswerInfo>,
    /// What the HTTP server is told of the body's length, to write it down.
    pub length: Option<u64>,
    pub body: Bytes,
}

impl Answer {
    /// All messages of the answer.
    pub fn messages(&self) -> Vec<Value> {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The only message of the answer.
    #[track_caller]
    pub fn only(&self) -> Value {
        let messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.into_iter().next().unwrap()
    }

    /// `(channel, data)` of each event.
    pub fn events(&self) -> Vec<(String, Value)> {
        let is_event = |message: &Value| message.get("data").is_some();
        let pair = |message: Value| (message["channel"].as_str().unwrap().to_owned(), message["data"].clone());
        self.messages().into_iter().filter(is_event).map(pair).collect()
    }

    /// The connect reply, which is the last message.
    #[track_caller]
    pub fn connect_reply(&self) -> Value {
        let reply = self.messages().pop().unwrap();
        assert_eq!(reply["channel"], "/meta/connect", "{reply}");
        reply
    }

    /// The value of the cookie that the answer sets.
    pub fn new_cookie(&self) -> Option<String> {
        let header = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        Some(header.split(';').next().unwrap().to_owned())
    }
}

/// A POST to the Bayeux path.
pub fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(BASE)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

/// Sends one request through a fresh service, as hyper's per-connection clones are.
pub async fn send(server: &BayeuxServer, request: Request<Full<Bytes>>) -> Answer {
    let service = BayeuxService::new(BASE, server.clone());
    read(service.oneshot(request).await.unwrap()).await
}

/// Sends JSON.
pub async fn send_json(server: &BayeuxServer, json: Value) -> Answer {
    send(server, post(json.to_string())).await
}

/// Reads a response to its end.
pub async fn read<B>(response: Response<B>) -> Answer
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        info: parts.extensions.get().copied(),
        length: body.size_hint().exact(),
        body: body.collect().await.unwrap().to_bytes(),
    }
}

/// A client with a session. Clones share the session, so that one can poll while another sends.
#[derive(Clone, Debug)]
pub struct Client {
    pub server: BayeuxServer,
    pub id: String,
    /// Sent with every request if set, as `name=value`.
    pub cookie: Option<String>,
}

impl Client {
    /// Handshakes, without keeping the cookie.
    pub async fn handshake(server: &BayeuxServer) -> Self {
        let answer = send_json(
            server,
            json!([{ "channel": "/meta/handshake", "id": "hs", "version": "1.0" }]),
        )
        .await;
        let reply = answer.only();
        assert_eq!(reply["successful"], true, "{reply}");
        Self {
            server: server.clone(),
            id: reply["clientId"].as_str().unwrap().to_owned(),
            cookie: None,
        }
    }

    /// Handshakes and makes the first connect, which is never held.
    pub async fn connected(server: &BayeuxServer) -> Self {
        let client = Self::handshake(server).await;
        client.connect().await;
        client
    }

    /// Handshakes, connects and subscribes.
    pub async fn subscribed(server: &BayeuxServer, channel: &str) -> Self {
        let client = Self::connected(server).await;
        client.subscribe(channel).await;
        client
    }

    /// Sends messages, putting in the `clientId` where there is none.
    pub async fn send(&self, mut messages: Value) -> Answer {
        for message in messages.as_array_mut().unwrap() {
            let fields = message.as_object_mut().unwrap();
            fields.entry("clientId").or_insert_with(|| self.id.clone().into());
        }
        let mut request = post(messages.to_string());
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        send(&self.server, request).await
    }

    pub async fn connect(&self) -> Answer {
        self.send(json!([{ "channel": "/meta/connect", "id": "c", "connectionType": "long-polling" }]))
            .await
    }

    /// A connect that is not to be held.
    pub async fn poll(&self) -> Answer {
        self.send(json!([{ "channel": "/meta/connect", "id": "c", "advice": { "timeout": 0 } }]))
            .await
    }

    pub async fn subscribe(&self, channel: &str) -> Value {
        let reply = self
            .send(json!([{ "channel": "/meta/subscribe", "id": "s", "subscription": channel }]))
            .await
            .only();
        assert_eq!(reply["successful"], true, "{reply}");
        reply
    }

    pub async fn publish(&self, channel: &str, data: Value) -> Value {
        self.send(json!([{ "channel": channel, "id": "p", "data": data }]))
            .await
            .only()
    }

    pub async fn disconnect(&self) -> Value {
        self.send(json!([{ "channel": "/meta/disconnect", "id": "d" }]))
            .await
            .only()
    }

    /// Starts a connect on a task of its own and waits until it is held.
    pub async fn hold(&self) -> tokio::task::JoinHandle<Answer> {
        let held = self.server.stats().held_connects;
        let client = self.clone();
        let task = tokio::spawn(async move { client.connect().await });
        yield_until(|| self.server.stats().held_connects != held).await;
        task
    }
}

/// Lets other tasks run until something has come about; fails rather than wait for ever.
pub async fn yield_until(happened: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if happened() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it has not come about");
}

/// Lets paused time pass, and whatever is due happen.
pub async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// The three fields of a full advice.
pub fn advice(reconnect: &str, interval: u64, timeout: u64) -> Value {
    json!({ "reconnect": reconnect, "interval": interval, "timeout": timeout })
}

/// The names of an object's fields, sorted.
pub fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

impl Client {
    /// Sends one message and returns its only reply.
    pub async fn ask(&self, message: Value) -> Value {
        self.send(json!([message])).await.only()
    }

    /// Sends a body as it is, with the client's cookie.
    pub async fn send_text(&self, body: impl Into<Bytes>) -> Answer {
        let mut request = post(body);
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        send(&self.server, request).await
    }
}

/// A response as the service gives it, its body not yet asked for.
pub type RawResponse = Response<tower_bayeux::ResponseBody<tower_bayeux::EmptyBody>>;

/// A request on its way, to be polled or dropped by hand.
pub type InFlight = std::pin::Pin<Box<dyn Future<Output = RawResponse> + Send>>;

/// Starts a request without polling it. It is pending only where the server makes it wait, never because the test's task
/// has used up its turn.
pub fn start(server: &BayeuxServer, request: Request<Full<Bytes>>) -> InFlight {
    let service = BayeuxService::new(BASE, server.clone());
    Box::pin(tokio::task::unconstrained(async move {
        service.oneshot(request).await.unwrap()
    }))
}

/// Polls once, with a waker that nobody listens to.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// Runs `body` on a thread of its own, so that a deadlock in it fails the test instead of hanging it.
#[track_caller]
pub fn finishes(what: &str, body: impl FnOnce() + Send + 'static) {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match is_done.recv_timeout(Duration::from_secs(20)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("deadlock: {what}"),
        _ => {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Client {
    /// A request of this client's, with the `clientId` put in where there is none.
    pub fn request(&self, mut messages: Value) -> Request<Full<Bytes>> {
        for message in messages.as_array_mut().unwrap() {
            let fields = message.as_object_mut().unwrap();
            fields.entry("clientId").or_insert_with(|| self.id.clone().into());
        }
        post(messages.to_string())
    }

    /// A connect that is not polled yet.
    pub fn start_connect(&self) -> InFlight {
        let connect = json!([{ "channel": "/meta/connect", "id": "c", "connectionType": "long-polling" }]);
        start(&self.server, self.request(connect))
    }

    /// A connect that is held, to be polled or dropped by hand.
    #[track_caller]
    pub fn start_held(&self) -> InFlight {
        let mut connect = self.start_connect();
        assert!(poll_once(&mut connect).is_pending(), "the connect is not held");
        connect
    }

    /// The server's side of this client.
    #[track_caller]
    pub fn session(&self) -> tower_bayeux::ServerSession {
        self.server.session(&self.client_id()).expect("no live session")
    }

    pub fn client_id(&self) -> tower_bayeux::ClientId {
        self.id.parse().unwrap()
    }
}

/// A fixed sequence of numbers that look random (`SplitMix64`), so that a failure can be repeated.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

impl Client {
    /// As [`hold`](Self::hold), where another connect of this session is held already and gives way.
    pub async fn hold_instead(&self) -> tokio::task::JoinHandle<Answer> {
        let overtaken = || self.server.stats().connects_ended.count(Reason::Superseded);
        let before = overtaken();
        let client = self.clone();
        let task = tokio::spawn(async move { client.connect().await });
        yield_until(|| overtaken() != before).await;
        task
    }
}
