//! The application's handle on the server, its configuration, and the shared state under it.

mod builder;
mod config;
mod handle;
mod state;
mod websocket;

pub use builder::BayeuxBuilder;
pub use config::{BrowserBinding, BrowserCookie, Config};
pub use handle::{BayeuxServer, PublishError, SubscribeError};
pub use websocket::WebSocketConfig;

pub(crate) use state::{NotSubscribed, State};
