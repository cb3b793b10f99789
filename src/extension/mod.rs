//! Extensions: code that sees every message, and may change, answer or delete it.
//!
//! An extension is added to a server by [`BayeuxServer::add_extension`](crate::BayeuxServer::add_extension), or to one
//! session by [`ServerSession::add_extension`](crate::ServerSession::add_extension). Both are lists:
//!
//! | | of the server | of a session |
//! |---|---|---|
//! | a message from a client | first to last, before anything else looks at it | then, first to last |
//! | a reply to a client | last to first | then, last to first |
//! | a published message | last to first, once for all subscribers: [`session`](OutgoingContext::session) is `None` | last to first, for this one subscriber, when it is sent |
//! | a message delivered to one session | last to first | last to first, when it is sent |
//!
//! [`incoming`](Extension::incoming) may take its time: only the request that brought the message waits.
//! [`outgoing`](Extension::outgoing) may not, because a publish never waits for anything. Neither runs under a lock. An
//! extension that panics deletes the message that it was given.
//!
//! An event stream is opened without a message: `incoming` is shown the connect that it stands for, with a `connectionType` of
//! `eventsource`, and the stream is refused unless that passes.
//!
//! ```
//! use tower_bayeux::{
//!     BayeuxServer, MutableMessage,
//!     extension::{Extension, Fate, Incoming, IncomingContext, OutgoingContext},
//! };
//!
//! /// Only clients that show the key of the day may publish, and nobody gets to see it.
//! struct KeyOfTheDay;
//!
//! impl Extension for KeyOfTheDay {
//!     async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
//!         let key = message.ext::<String>("key").ok().flatten();
//!         if message.is_meta() || key.as_deref() == Some("tuesday") {
//!             message.remove_ext("key");
//!             return Incoming::Pass;
//!         }
//!         Incoming::error("403::wrong_key")
//!     }
//!
//!     fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
//!         message.remove_ext("debug");
//!         Fate::Pass
//!     }
//! }
//!
//! let bayeux = BayeuxServer::new();
//! bayeux.add_extension(KeyOfTheDay);
//! ```
//!
//! # Those that come with the crate
//!
//! | CometD's name | here |
//! |---|---|
//! | acknowledgement | built in, for clients that ask for it: [`acknowledgement`](crate::BayeuxBuilder::acknowledgement) |
//! | timesync | [`Timesync`] |
//! | timestamp | [`Timestamp`] |
//! | activity | [`Activity`] |
//! | binary | [`Binary`] |
//! | reload | needs nothing from a server |

mod activity;
mod binary;
mod hooks;
mod lists;
mod timestamp;
mod timesync;

pub use activity::Activity;
pub use binary::{Binary, BinaryData};
pub use hooks::{Extension, Fate, Incoming, IncomingContext, OutgoingContext};
pub use timestamp::Timestamp;
pub use timesync::{Lag, Timesync};

pub(crate) use lists::Extensions;
