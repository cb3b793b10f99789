//! Message listeners: code that sees what is published, and may change or delete it before anybody gets it.
//!
//! A listener is added by [`BayeuxServer::on_message`](crate::BayeuxServer::on_message) for a channel or pattern. It is
//! called for what clients publish, once the policy has granted it, and for what the application publishes; `/service/…`
//! channels included. Where several match, the root's come first: `/**`, `/chat/**`, `/chat/*`, `/chat/room`; and on one
//! pattern in the order in which they were added. Each sees what those before it have left.
//!
//! ```
//! use tower_bayeux::{
//!     BayeuxServer, MutableMessage,
//!     extension::Fate,
//!     listener::MessageContext,
//! };
//!
//! let bayeux = BayeuxServer::new();
//! bayeux.on_message("/chat/**", |message: &mut MutableMessage, context: &MessageContext<'_>| {
//!     let Ok(mut text) = message.data::<String>() else { return Fate::Delete };
//!     if context.sender().is_some() {
//!         text.truncate(text.floor_char_boundary(500));
//!     }
//!     match message.set_data(&text) {
//!         Ok(()) => Fate::Pass,
//!         Err(_) => Fate::Delete,
//!     }
//! })?;
//! # Ok::<(), tower_bayeux::InvalidChannel>(())
//! ```
//!
//! A client whose message is deleted is told `404::message_deleted`; the application gets
//! [`PublishError::Deleted`](crate::PublishError::Deleted). A listener that panics deletes the message.
//!
//! A [`DataFilter`] is a listener that looks at each text in the data.

mod filter;
mod listeners;

pub use filter::DataFilter;
pub use listeners::{MessageContext, MessageListener};

pub(crate) use listeners::Listeners;
