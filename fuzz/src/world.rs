//! A server with two clients: one that the input speaks for, and one that listens.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{runtime::Builder, time::sleep};
use tower::ServiceExt;
use tower_bayeux::{
    BayeuxBuilder, BayeuxServer, BayeuxService, OverflowPolicy, Reason, Transports, WebSocketConfig,
    extension::Extension,
};

use crate::answer::Answer;

pub(crate) const BASE: &str = "/cometd";

/// Small limits, so that inputs reach them.
pub(crate) const MAX_BATCH: usize = 16;
pub(crate) const MAX_BODY: usize = 16 * 1024;
const MAX_SESSIONS: u64 = 6;
const MAX_QUEUE_MESSAGES: u64 = 8;
const MAX_QUEUE_BYTES: u64 = 2048;

/// No message is larger than the body that brought it and what the server writes around it.
const MAX_MESSAGE: u64 = 2 * MAX_BODY as u64;

const TIMEOUT: Duration = Duration::from_secs(2);
/// The server looks for sessions that have expired once a second then.
const MAX_INTERVAL: Duration = Duration::from_secs(8);

/// Longer than anything lives that nobody cares for: a hold, the longest pause that a client may announce, and the rest of
/// a sweep.
const LONG: Duration = Duration::from_secs(20);

/// Runs a body in paused time, on a runtime of its own.
pub(crate) fn in_paused_time<F: Future>(body: F) -> F::Output {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(body)
}

/// Lets everything pass; but while there is one, messages take the way through extensions.
struct Onlooker;

impl Extension for Onlooker {}

/// The limits that inputs are to reach.
pub(crate) fn builder() -> BayeuxBuilder {
    BayeuxServer::builder()
        .transports(Transports::all())
        .websocket(WebSocketConfig::new().max_message_bytes(MAX_BODY))
        .timeout(TIMEOUT)
        .max_interval(MAX_INTERVAL)
        .max_lazy_timeout(Duration::from_millis(500))
        .max_batch(MAX_BATCH)
        .max_body_bytes(MAX_BODY)
        .max_sessions(MAX_SESSIONS as usize)
        .max_subscriptions(8)
        .max_queue_messages(MAX_QUEUE_MESSAGES as usize)
        .max_queue_bytes(MAX_QUEUE_BYTES as usize)
        .overflow(OverflowPolicy::DropOldest)
        .duplicate_window(4)
        .forward_ext(true)
}

/// A server with an extension that does nothing, if it is to be `extended`.
pub(crate) fn server(extended: bool) -> BayeuxServer {
    let server = builder().build();
    if extended {
        server.add_extension(Onlooker);
    }
    server
}

/// A POST to the Bayeux path.
pub(crate) fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = BASE.parse().expect("a path");
    request
}

/// Sends one request through a fresh service.
pub(crate) async fn send(server: &BayeuxServer, request: Request<Full<Bytes>>) -> Answer {
    let response = BayeuxService::new(BASE, server.clone()).oneshot(request).await;
    Answer::read(response.unwrap_or_else(|never| match never {})).await
}

/// Sends one message and returns its only reply, and the cookie that came with it.
pub(crate) async fn ask(server: &BayeuxServer, message: Value, cookie: Option<&str>) -> (Value, Option<String>) {
    let mut request = post(message.to_string());
    if let Some(cookie) = cookie {
        request
            .headers_mut()
            .insert(header::COOKIE, cookie.parse().expect("a cookie"));
    }
    let answer = send(server, request).await;
    let reply = answer.messages().pop().expect("a reply");
    assert_eq!(reply["successful"], true, "{reply}");
    (reply, answer.new_cookie())
}

/// A server with a session that inputs may use, and one that hears everything.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) server: BayeuxServer,
    /// The `clientId` of the session that `$1` stands for.
    pub(crate) speaker: String,
    listener: String,
}

impl World {
    pub(crate) async fn new(extended: bool) -> Self {
        let server = server(extended);
        let world = Self {
            speaker: connected(&server).await,
            listener: connected(&server).await,
            server,
        };
        let subscribe = json!({ "channel": "/meta/subscribe", "clientId": world.listener, "subscription": "/**" });
        ask(&world.server, subscribe, None).await;
        world
    }

    /// The input with the speaker's `clientId` where it stands for it.
    pub(crate) fn spoken(&self, input: &[u8]) -> Vec<u8> {
        replace(input, &self.speaker)
    }

    /// What the listener heard.
    pub(crate) async fn heard(&self) -> Vec<Value> {
        let connect = json!({ "channel": "/meta/connect", "clientId": self.listener, "advice": { "timeout": 0 } });
        let answer = send(&self.server, post(connect.to_string())).await;
        let mut messages = answer.messages();
        let reply = messages.pop().expect("a reply");
        assert!(reply["successful"].is_boolean(), "{reply}");
        messages
    }

    /// Sees to it that the listener can read what it got, and that nothing is left behind when all clients stay away.
    pub(crate) async fn end(self) {
        check_bounds(&self.server);
        self.heard().await;
        check_left_behind(&self.server).await;
    }
}

/// Handshakes and makes the first connect, which is never held.
async fn connected(server: &BayeuxServer) -> String {
    let (reply, _) = ask(server, json!({ "channel": "/meta/handshake", "version": "1.0" }), None).await;
    let id = reply["clientId"].as_str().expect("a clientId").to_owned();
    ask(server, json!({ "channel": "/meta/connect", "clientId": id }), None).await;
    id
}

/// The input with something else in place of each `$1`.
pub(crate) fn replace(input: &[u8], by: &str) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(input.len());
    let mut rest = input;
    while let [first, after @ ..] = rest {
        rest = match rest {
            [b'$', b'1', after @ ..] => {
                replaced.extend_from_slice(by.as_bytes());
                after
            }
            _ => {
                replaced.push(*first);
                after
            }
        };
    }
    replaced
}

/// Nothing has grown beyond its limit.
pub(crate) fn check_bounds(server: &BayeuxServer) {
    let stats = server.stats();
    assert!(stats.sessions <= MAX_SESSIONS, "{stats:?}");
    // A session that the server has disconnected keeps its queue for a last connect.
    let queues = stats.sessions + stats.sessions_removed.count(Reason::ServerDisconnect);
    // What is given back comes on top of what has come since; a farewell always fits.
    assert!(
        stats.queued_messages <= queues * (2 * MAX_QUEUE_MESSAGES + 1),
        "{stats:?}"
    );
    assert!(
        stats.queued_bytes <= queues * 2 * (MAX_QUEUE_BYTES + MAX_MESSAGE),
        "{stats:?}"
    );
}

/// Once all clients have stayed away for long enough, there is nothing left of them.
pub(crate) async fn check_left_behind(server: &BayeuxServer) {
    sleep(LONG).await;
    let stats = server.stats();
    let gauges = [
        stats.sessions,
        stats.held_connects,
        stats.open_sockets,
        stats.open_streams,
        stats.queued_messages,
        stats.queued_bytes,
    ];
    assert_eq!(gauges, [0; 6], "{stats:?}");
    assert_eq!(stats.sessions_added, stats.sessions_removed.total(), "{stats:?}");
    assert_eq!(server.session_count(), 0);
    assert_eq!(server.channel_count(), 0, "{:?}", server.channels());
}
