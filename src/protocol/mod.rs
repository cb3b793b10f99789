//! The Bayeux protocol as pure data: names, ids, messages, advice, errors. No I/O, no clock, no locks.
//!
//! Parse, don't validate: what leaves this module is known to be well formed.

mod advice;
mod channel_name;
mod client_id;
mod data;
mod digest;
mod error;
mod frame;
mod hex;
mod json;
mod message;
pub(crate) mod meta;
mod mutable;
mod parse;
mod publication;
mod quoted;
mod reply;
mod scan;
mod surrogates;
mod text;
mod transports;
pub(crate) mod z85;

pub use advice::{Advice, Reconnect};
pub use channel_name::{ChannelName, InvalidChannel};
pub use client_id::{ClientId, InvalidClientId};
pub use data::DataError;
pub use error::{BayeuxError, ErrorTexts};
pub use mutable::MutableMessage;
pub use publication::{Publication, PublishError};
pub use transports::{Transport, Transports};

pub(crate) use channel_name::{normalise, prefixes};
pub(crate) use client_id::BrowserId;
#[cfg(feature = "websocket")]
pub(crate) use client_id::unix_nanos;
pub(crate) use error::{Denied, Told};
pub(crate) use frame::{FAREWELL, Frame};
pub(crate) use json::{Json, OwnedJson};
pub(crate) use message::{ClientAdvice, Inbound};
pub(crate) use parse::{MAX_DEPTH, Messages, ParseError, ParseLimits, parse_messages, parse_text};
#[cfg(feature = "tracing")]
pub(crate) use quoted::Quoted;
pub(crate) use quoted::Unfit;
pub(crate) use reply::{Ext, Prepared, Reply};
pub(crate) use surrogates::replace_lone_surrogates;

/// The protocol version spoken, and the lowest one accepted.
pub(crate) const VERSION: &str = "1.0";
