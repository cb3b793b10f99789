//! A [tower](https://docs.rs/tower) layer that makes any HTTP stack a Bayeux / CometD server.
//!
//! Requests on its paths are handled inside; every other request goes to the inner service untouched. Unmodified CometD
//! and Faye clients handshake, subscribe, publish and receive: by long-polling and, as far as they are switched on, by
//! WebSocket, JSONP and event streams ([`Transports`]). For Salesforce-Streaming clients there are [`ErrorTexts::salesforce`],
//! and no replay yet.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_bayeux::{BayeuxLayer, BayeuxServer, Event};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bayeux = BayeuxServer::new();
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(BayeuxLayer::new("/cometd", bayeux.clone()));
//!
//! // From anywhere: sync, never blocks.
//! bayeux.publish("/stock/ACME", &serde_json::json!({ "price": 42 }))?;
//!
//! // Who came, who subscribed, who left and why.
//! let mut events = bayeux.events();
//! tokio::spawn(async move {
//!     while let Some(event) = events.recv().await {
//!         if let Event::SessionRemoved { session, reason, .. } = event {
//!             println!("{} left: {reason}", session.id());
//!         }
//!     }
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # Where to find what
//!
//! | | |
//! |---|---|
//! | [`BayeuxLayer`], [`BayeuxService`], [`Paths`] | the tower face: which requests are ours |
//! | [`BayeuxServer`], [`WeakBayeuxServer`], [`BayeuxBuilder`], [`Config`] | the application's handle, and what can be configured |
//! | [`ServerChannel`], [`ChannelSettings`], [`Publication`] | channels and how messages go out |
//! | [`ServerSession`], [`Event`], [`Subscription`], [`Message`] | sessions, what happens to them, what is published |
//! | [`LocalSession`] | the application as a client of its own server |
//! | [`call`] | services: async functions that clients call |
//! | [`extension`], [`listener`] | code that sees messages, and may change, answer or delete them |
//! | [`SecurityPolicy`], [`Authorizer`], [`Grant`] | who may do what |
//! | [`Reason`], [`Stats`], [`AnswerInfo`] | why things ended, how many, how long |
//! | [`Health`], [`Trouble`] | how the server is, and what it sees to be wrong |
//! | [`guide::limits`] | every limit, and what happens at it |
//! | [`guide::protocol`] | what exactly goes over the wire |
//! | [`guide::delivery`] | what is delivered, what can be lost, and which counters tell |
//! | [`guide::conformance`] | CometD 8.0 and clients in the field, row by row |
//!
//! The [README](https://docs.rs/crate/tower-bayeux/latest/source/README.md) has recipes for the neighbours of the layer
//! (CORS, timeouts, limits, …), for axum, hyper and tonic, and a table for those who come from axum-cometd.
//!
//! # Delivery
//!
//! A message that was accepted waits in the queue of each subscriber until a connect fetches it. It leaves the queue only
//! in the very poll that completes the response; if that response is dropped before its body is asked for, it goes back
//! to the front of the queue. From then on delivery is *at most once*: what HTTP server and kernel have taken may be lost
//! with the connection. A frame on a WebSocket counts as sent when the whole of it is with the operating system; the rest
//! goes back. To clients that ask for the acknowledgement extension in their handshake it is *at least once*:
//! what they do not acknowledge is sent again ([`BayeuxBuilder::acknowledgement`]). [`guide::delivery`] says it all.
//!
//! # Cancel safety
//!
//! A request may be dropped at any point, as hyper does when its connection goes away. A held connect that is dropped
//! leaves everything queued and starts the session's expiry. [`EventStream::recv`] and [`Subscription::recv`] are cancel
//! safe.
//!
//! # Runtime
//!
//! Requests must be served on a tokio runtime with time enabled. One task, started with the first session and ended with
//! the last handle, expires sessions; there is none per session. Each WebSocket has one. Handles can be used anywhere, also outside a runtime.
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `websocket` | no | serves WebSockets, on stacks that let connections be upgraded (axum's and hyper's do) |
//! | `tracing` | no | emits [`tracing`](https://docs.rs/tracing) events for sessions and refused requests |
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

/// The guide: longer texts than fit to any one item.
#[cfg(any(doc, doctest))]
pub mod guide {
    #[doc = include_str!("../docs/conformance.md")]
    pub mod conformance {}

    #[doc = include_str!("../docs/delivery.md")]
    pub mod delivery {}

    #[doc = include_str!("../docs/limits.md")]
    pub mod limits {}

    #[doc = include_str!("../docs/protocol.md")]
    pub mod protocol {}

    #[doc = include_str!("../docs/transports.md")]
    pub mod transports {}
}

/// The README's snippets, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

/// The snippets of `SECURITY.md`, compiled.
#[cfg(doctest)]
#[doc = include_str!("../SECURITY.md")]
mod security {}

mod attributes;
pub mod call;
mod channel;
mod dispatch;
mod event;
pub mod extension;
mod layer;
pub mod listener;
mod mailbox;
mod panics;
mod policy;
mod protocol;
mod random;
mod reason;
mod registry;
mod server;
mod service;
mod session;
mod striped;
mod sync;
mod trace;
mod transport;
mod trouble;

pub use cookie;

pub use channel::{ChannelSettings, Message, Subscription};
pub use event::{CustomEvent, Event, EventStream};
pub use layer::BayeuxLayer;
pub use policy::{Authorization, Authorizer, AuthorizerId, Grant, Operation, PolicyRequest, SecurityPolicy, Verdict};
pub use protocol::{
    Advice, BayeuxError, ChannelName, ClientId, DataError, ErrorTexts, InvalidChannel, InvalidClientId, MutableMessage,
    Publication, PublishError, Reconnect, Transport, Transports,
};
pub use reason::Reason;
pub use server::{
    BayeuxBuilder, BayeuxServer, BrowserBinding, BrowserCookie, ClientAddress, Config, Origins, ServerChannel,
    SubscribeError, WeakBayeuxServer, WebSocketConfig,
};
pub use service::{BayeuxService, EmptyBody, EndpointPaths, NotFound, Paths, ResponseFuture};
pub use session::{DeliverError, ErrorCounts, MessageRate, OverflowPolicy, ReasonCounts, ServerSession, Stats};
pub use transport::{AnswerInfo, LocalError, LocalHandshake, LocalSession, Outcome, ResponseBody};
pub use trouble::{Health, Trouble, TroubleCounts};
