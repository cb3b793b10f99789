//! The index of all subscriptions.

use std::sync::{Arc, RwLock};

use super::{
    pattern_map::{Names, PatternMap},
    subscribers::{Seen, Subscriber, Subscribers},
};
use crate::{
    channel::Message,
    protocol::ChannelName,
    session::Delivery,
    sync::{read, write},
};

/// Subscriber lists by channel; none of them is ever empty.
///
/// One lock for the whole index: a publish takes it once, shared, for as long as d + 1 look-ups last. Shards would not
/// part publishers, because all of them look at the root.
#[derive(Debug, Default)]
pub(crate) struct ChannelIndex {
    nodes: RwLock<PatternMap<Arc<Subscribers>>>,
}

impl ChannelIndex {
    /// Adds a subscriber and returns its number, to be handed back to [`unsubscribe`](Self::unsubscribe).
    pub(crate) fn subscribe(&self, name: &ChannelName, subscriber: Subscriber) -> u64 {
        // A list is removed under the write lock only, so one that is found here stays while the read lock is held.
        if let Some(list) = read(&self.nodes).get(name.as_str()) {
            return list.insert(subscriber);
        }
        write(&self.nodes)
            .get_or_insert_default(name.as_str())
            .insert(subscriber)
    }

    /// Removes the subscriber of a number, and the list with its last one.
    pub(crate) fn unsubscribe(&self, name: &ChannelName, number: u64) {
        let removed = match read(&self.nodes).get(name.as_str()) {
            Some(list) => list.remove(number),
            None => return,
        };
        if removed.was_last {
            write(&self.nodes).remove_if(name.as_str(), |list| list.is_empty());
        }
        // The subscriber itself is dropped here, with no lock held.
    }

    /// Hands a message to every subscriber of a matching name or pattern, once each.
    pub(crate) fn publish(&self, message: &Message, delivery: &mut Delivery<'_>) {
        let lists = self.matching(message.channel());
        let mut seen = (lists.len() > 1).then(Seen::borrow);
        for list in lists {
            list.deliver(message, seen.as_mut(), delivery);
        }
    }

    /// The lists that a channel matches, the most specific first.
    fn matching(&self, channel: &str) -> Vec<Arc<Subscribers>> {
        let mut lists = Vec::new();
        read(&self.nodes).for_each_matching(channel, |list| lists.push(Arc::clone(list)));
        lists
    }

    /// Whether anybody has subscribed to exactly this name or pattern.
    pub(crate) fn contains(&self, name: &str) -> bool {
        read(&self.nodes).get(name).is_some()
    }

    /// All names and patterns with at least one subscriber, in no particular order.
    pub(crate) fn names(&self) -> Names {
        read(&self.nodes).names(|_| true)
    }

    /// How many names and patterns have subscribers.
    pub(crate) fn len(&self) -> usize {
        read(&self.nodes).len()
    }

    /// How many sessions have subscribed to exactly this name or pattern.
    pub(crate) fn session_count(&self, name: &str) -> usize {
        read(&self.nodes).get(name).map_or(0, |list| list.session_count())
    }
}
