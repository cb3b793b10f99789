#![doc = "A [tower](https://docs.rs/tower) layer that makes any HTTP stack a Bayeux / CometD server."]
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

mod channel;
mod dispatch;
mod event;
mod layer;
mod protocol;
mod reason;
mod server;
mod service;
mod session;
mod sync;
mod trace;
mod transport;

pub use cookie;

pub use channel::{DataError, Message, Subscription};
pub use event::{CustomEvent, Event, EventStream};
pub use layer::BayeuxLayer;
pub use protocol::{
    Advice, BayeuxError, ChannelName, ClientId, ErrorTexts, InvalidChannel, InvalidClientId, Reconnect,
};
pub use reason::Reason;
pub use server::{BayeuxBuilder, BayeuxServer, BrowserBinding, BrowserCookie, Config, PublishError, SubscribeError};
pub use service::{BayeuxService, EmptyBody, EndpointPaths, NotFound, Paths, ResponseFuture};
pub use session::{DeliverError, OverflowPolicy, ReasonCounts, ServerSession, Stats};
pub use transport::{AnswerInfo, Outcome, ResponseBody, Transport};
