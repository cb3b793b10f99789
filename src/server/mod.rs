//! The application's handle on the server, its configuration, and the shared state under it.

mod address;
mod builder;
mod channel;
mod config;
mod handle;
mod limits;
mod operation;
mod origins;
mod publishing;
mod sessions;
mod state;
mod subscriptions;
mod weak;
mod websocket;

pub use address::ClientAddress;
pub use builder::BayeuxBuilder;
pub use channel::ServerChannel;
pub use config::{BrowserBinding, BrowserCookie, Config};
pub use handle::{BayeuxServer, SubscribeError};
pub use origins::Origins;
pub use weak::WeakBayeuxServer;
pub use websocket::WebSocketConfig;

pub(crate) use state::State;
pub(crate) use subscriptions::NotSubscribed;
use websocket::Upgrades;
