//! Services: async functions that clients call. What one returns answers the caller.
//!
//! A handler is set by [`BayeuxServer::service`](crate::BayeuxServer::service) for a channel, a pattern or a template. It is an async
//! function, or a closure, that takes what it needs of the call, in any order:
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use tower_bayeux::{
//!     BayeuxServer, ServerSession,
//!     call::{CallError, Data},
//! };
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     item: String,
//!     count: u32,
//! }
//!
//! #[derive(Serialize)]
//! struct Receipt {
//!     total: u32,
//! }
//!
//! async fn order(session: ServerSession, Data(order): Data<Order>) -> Result<Data<Receipt>, CallError> {
//!     if order.count == 0 {
//!         return Err(CallError::new("order at least one"));
//!     }
//!     println!("{} wants {} of {}", session.id(), order.count, order.item);
//!     Ok(Data(Receipt { total: 5 * order.count }))
//! }
//!
//! let bayeux = BayeuxServer::new();
//! bayeux.service("/service/order", order)?;
//! bayeux.service("/service/shout", |Data(text): Data<String>| async move { Data(text.to_uppercase()) })?;
//! # Ok::<(), tower_bayeux::InvalidChannel>(())
//! ```
//!
//! In the browser, by cometd.js:
//!
//! ```text
//! cometd.remoteCall("order", { item: "tea", count: 2 }, reply => {
//!     if (reply.successful) show(reply.data.total);  // 10
//!     else complain(reply.data.message);             // "order at least one"
//! });
//! ```
//!
//! # What a handler takes
//!
//! Up to eight arguments that implement [`FromCall`], in any order:
//!
//! | argument | what |
//! |---|---|
//! | [`Data<T>`] | the message's `data`, by serde |
//! | [`ServerSession`](crate::ServerSession) | who calls |
//! | [`Extension<T>`] | a value that a layer has put into the extensions of the HTTP request |
//! | [`Params<T>`] | what the segments in braces stand for, of a template such as `/game/{id}/move` |
//! | [`ChannelName`](crate::ChannelName) | the channel of the message, for handlers on patterns |
//! | [`Arc<Parts>`](http::request::Parts) | method, URI and headers of the HTTP request |
//! | [`BayeuxServer`](crate::BayeuxServer) | the server itself |
//! | `Option<A>` | one of these, or `None` where it can't be had |
//! | a type of yours | whatever your [`FromCall`] makes of the [`Call`] |
//!
//! # What it returns
//!
//! Anything that implements [`IntoAnswer`]:
//!
//! | returned | the caller gets |
//! |---|---|
//! | [`Data<T>`] | success, with this data |
//! | `()` | nothing; cometd.js reports a remote call that nobody answers as `406::timeout` |
//! | [`Result<A, E>`] | what `A` says, or a failure. `E` is [`CallError`], or one of yours that [`CallError`] is `From` |
//! | [`Answer`] | whatever it is made to be |
//!
//! The answer is a message to the calling session alone, on the channel of the call, with its `id`, `data` and
//! `successful`. It waits in the session's queue as every message does, and leaves with its connect. The reply to the
//! publish, by which a call comes, says that the message has been taken, and is sent when the handlers have returned.
//!
//! What can't be extracted, such as data that is not a `T`, is answered as a failure; the handler is not called then.
//!
//! # When it is called
//!
//! For each message from a client on a channel that matches, once the policy has granted it. Server-side subscriptions
//! and, unless the channel is a `/service/…` one, its subscribers have got the message by then. What the application
//! publishes itself calls no service.
//!
//! Where several handlers match, all are called, one after the other, from the root down to the channel itself: `/**`,
//! `/service/**`, `/service/*`, `/service/{what}`, `/service/order`; and on one pattern in the order in which they were set. Each answers for
//! itself, and cometd.js takes the first answer.
//!
//! A handler runs as part of its request, under no lock. It may take its time: only that request waits, and the messages
//! that follow in it. A panic answers the caller with a failure that does not say more, and the next handler is called. If
//! the client goes away, the handler is dropped where it stands, or, where the client has closed its WebSocket in good order,
//! when that would have been idle; what has to be finished belongs on a task of its own.

mod answer;
mod extract;
mod handler;
mod params;
mod services;
mod template;

pub use answer::{Answer, CallError, IntoAnswer};
pub use extract::{Call, Data, Extension, FromCall};
pub use handler::CallHandler;
pub use params::Params;

pub(crate) use services::Services;
