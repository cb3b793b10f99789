//! The application's handle on the server, its configuration, and the shared state under it.

mod builder;
mod channel;
mod config;
mod handle;
mod state;
mod websocket;

pub use builder::BayeuxBuilder;
pub use channel::ServerChannel;
pub use config::{BrowserBinding, BrowserCookie, Config};
pub use handle::{BayeuxServer, SubscribeError};
pub use websocket::WebSocketConfig;

pub(crate) use state::{NotSubscribed, State};
