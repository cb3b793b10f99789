//! Routing by channel: who has subscribed to what, and how a message finds them.

mod index;
mod message;
mod subscribers;
mod subscription;

pub use message::Message;
pub use subscription::Subscription;

pub(crate) use index::ChannelIndex;
pub(crate) use subscribers::Subscriber;
pub(crate) use subscription::{Feed, Unsubscribe};
