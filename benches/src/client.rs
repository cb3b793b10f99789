//! A client that talks to the service in-process.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower_bayeux::{BayeuxBuilder, BayeuxServer, BayeuxService, EmptyBody, NotFound, ResponseBody};
use tower_service::Service;

use crate::now;

/// A request on its way.
pub type InFlight = Pin<Box<dyn Future<Output = Response<ResponseBody<EmptyBody>>> + Send>>;

/// A server with the service that its clients use.
#[derive(Clone, Debug)]
pub struct Server {
    /// The application's handle.
    pub bayeux: BayeuxServer,
    service: BayeuxService<NotFound>,
}

/// What makes a server whose sessions stay, as many as there may be.
pub fn lasting() -> BayeuxBuilder {
    let hour = Duration::from_secs(3600);
    BayeuxServer::builder()
        .max_interval(hour)
        .timeout(hour)
        .max_sessions(usize::MAX)
}

/// A request with the headers that a browser's cometd.js sends, or as good as.
#[must_use]
pub fn post(body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static("/cometd");
    let headers: &mut HeaderMap = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

impl Server {
    /// A service of its own for this server.
    #[must_use]
    pub fn new(bayeux: BayeuxServer) -> Self {
        Self {
            service: BayeuxService::new("/cometd", bayeux.clone()),
            bayeux,
        }
    }

    /// A server whose sessions stay, as many as there may be.
    #[must_use]
    pub fn lasting() -> Self {
        Self::new(lasting().build())
    }

    /// Starts a request.
    #[must_use]
    pub fn start(&self, body: Bytes) -> InFlight {
        let response = self.service.clone().call(post(body));
        Box::pin(async move { response.await.unwrap_or_else(|never| match never {}) })
    }

    /// Sends a request that is answered at once, and returns the body of the answer.
    #[must_use]
    pub fn ask(&self, body: Bytes) -> Bytes {
        take_body(now(self.start(body)))
    }
}

fn take_body(response: Response<ResponseBody<EmptyBody>>) -> Bytes {
    now(response.into_body().collect()).map_or_else(|never| match never {}, http_body_util::Collected::to_bytes)
}

/// A session, with its requests ready-made.
#[derive(Debug)]
pub struct Client {
    server: Server,
    id: String,
    connect: Bytes,
    connect_at_once: Bytes,
}

impl Client {
    /// Handshakes.
    ///
    /// # Panics
    ///
    /// If that is refused.
    #[must_use]
    pub fn new(server: &Server) -> Self {
        let answer = server.ask(Bytes::from_static(
            br#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#,
        ));
        let reply: Value = serde_json::from_slice(&answer).expect("JSON");
        let id = reply[0]["clientId"].as_str().expect("a clientId").to_owned();
        let connect = |advice: &str| {
            let json = format!(
                r#"[{{"channel":"/meta/connect","clientId":"{id}","id":"3","connectionType":"long-polling"{advice}}}]"#
            );
            Bytes::from(json)
        };
        Self {
            connect: connect(""),
            connect_at_once: connect(r#","advice":{"timeout":0}"#),
            server: server.clone(),
            id,
        }
    }

    /// Bytes on the heap that are the client's own and not the server's.
    #[must_use]
    pub const fn own_memory(&self) -> usize {
        self.id.capacity() + self.connect.len() + self.connect_at_once.len()
    }

    /// Subscribes to channels, in one message.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn subscribe(&self, channels: &[String]) {
        self.change_subscriptions("/meta/subscribe", channels);
    }

    /// Unsubscribes from channels, in one message.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn unsubscribe(&self, channels: &[String]) {
        self.change_subscriptions("/meta/unsubscribe", channels);
    }

    fn change_subscriptions(&self, channel: &str, subscription: &[String]) {
        let json = serde_json::json!([
            { "channel": channel, "clientId": self.id, "id": "2", "subscription": subscription }
        ]);
        let answer = self.server.ask(json.to_string().into());
        let reply: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(reply[0]["successful"], true, "{reply}");
    }

    /// A connect that takes what there is.
    #[must_use]
    pub fn poll(&self) -> Bytes {
        self.server.ask(self.connect_at_once.clone())
    }

    /// A connect; held if there is nothing to deliver, and it is not the session's first.
    #[must_use]
    pub fn connect(&self) -> InFlight {
        self.server.start(self.connect.clone())
    }

    /// A connect that is held.
    ///
    /// # Panics
    ///
    /// If it is not: the first connect of a session is answered at once.
    #[must_use]
    pub fn hold(&self) -> InFlight {
        let mut held = self.connect();
        let poll = held.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending(), "the connect is not held");
        held
    }

    /// The answer to a connect that was held and is due.
    #[must_use]
    pub fn answer(held: InFlight) -> Bytes {
        take_body(now(held))
    }

    /// Ends the session.
    #[must_use]
    pub fn disconnect(&self) -> Bytes {
        let json = format!(
            r#"[{{"channel":"/meta/disconnect","clientId":"{}","id":"4"}}]"#,
            self.id
        );
        self.server.ask(json.into())
    }

    /// A batch of publishes of this client.
    #[must_use]
    pub fn batch(&self, channel: &str, size: usize) -> Bytes {
        let message = format!(
            r#"{{"channel":"{channel}","clientId":"{}","id":"5","data":{{"room":"a","user":"b","chat":"{}"}}}}"#,
            self.id,
            "x".repeat(50)
        );
        format!("[{}]", vec![message; size].join(",")).into()
    }
}
