//! Routing by channel: who has subscribed to what, and how a message finds them.

mod index;
mod message;
mod pattern_map;
mod settings;
mod subscribers;
mod subscription;

pub use message::Message;
pub use settings::ChannelSettings;
pub use subscription::Subscription;

pub(crate) use index::ChannelIndex;
pub(crate) use pattern_map::Names;
pub(crate) use settings::{Configured, Manner};
pub(crate) use subscribers::Subscriber;
pub(crate) use subscription::{Feed, Unsubscribe};
