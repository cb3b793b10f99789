//! The index of all subscriptions.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use super::subscribers::{Seen, Subscriber, Subscribers};
use crate::{
    channel::Message,
    protocol::{ChannelName, prefixes},
    session::Delivery,
    sync::{read, write},
};

/// Subscriber lists by channel. A wildcard stands last in a pattern or nowhere, so a channel with d segments can match
/// d + 2 patterns only: the name itself, `*` under its parent, and `**` under each ancestor. They are found by slices
/// of the name, with no allocation and no cache that a hostile publisher could grow.
///
/// One lock for the whole index: a publish takes it once, shared, for as long as d + 1 look-ups last. Shards would not
/// part publishers, because all of them look at the root.
#[derive(Debug, Default)]
pub(crate) struct ChannelIndex {
    nodes: RwLock<HashMap<Box<str>, Node>>,
}

/// The lists that hang on one prefix. None of them is ever empty, nor is a node without any kept.
#[derive(Debug, Default)]
struct Node {
    /// Subscribers of the prefix itself.
    exact: Option<Arc<Subscribers>>,
    /// Subscribers of `<prefix>/*`.
    one: Option<Arc<Subscribers>>,
    /// Subscribers of `<prefix>/**`.
    deep: Option<Arc<Subscribers>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Exact,
    One,
    Deep,
}

fn key_of(name: &str) -> (&str, Kind) {
    if let Some(prefix) = name.strip_suffix("/**") {
        (prefix, Kind::Deep)
    } else if let Some(prefix) = name.strip_suffix("/*") {
        (prefix, Kind::One)
    } else {
        (name, Kind::Exact)
    }
}

impl Node {
    const fn list(&self, kind: Kind) -> Option<&Arc<Subscribers>> {
        match kind {
            Kind::Exact => self.exact.as_ref(),
            Kind::One => self.one.as_ref(),
            Kind::Deep => self.deep.as_ref(),
        }
    }

    const fn list_mut(&mut self, kind: Kind) -> &mut Option<Arc<Subscribers>> {
        match kind {
            Kind::Exact => &mut self.exact,
            Kind::One => &mut self.one,
            Kind::Deep => &mut self.deep,
        }
    }

    const fn is_empty(&self) -> bool {
        self.exact.is_none() && self.one.is_none() && self.deep.is_none()
    }
}

impl ChannelIndex {
    /// Adds a subscriber and returns its number, to be handed back to [`unsubscribe`](Self::unsubscribe).
    pub(crate) fn subscribe(&self, name: &ChannelName, subscriber: Subscriber) -> u64 {
        let (prefix, kind) = key_of(name.as_str());
        // A list is removed under the write lock only, so one that is found here stays while the read lock is held.
        if let Some(list) = read(&self.nodes).get(prefix).and_then(|node| node.list(kind)) {
            return list.insert(subscriber);
        }
        write(&self.nodes)
            .entry(prefix.into())
            .or_default()
            .list_mut(kind)
            .get_or_insert_default()
            .insert(subscriber)
    }

    /// Removes the subscriber of a number, and the list with its last one.
    pub(crate) fn unsubscribe(&self, name: &ChannelName, number: u64) {
        let (prefix, kind) = key_of(name.as_str());
        let removed = match read(&self.nodes).get(prefix).and_then(|node| node.list(kind)) {
            Some(list) => list.remove(number),
            None => return,
        };
        if removed.was_last {
            self.remove_if_empty(prefix, kind);
        }
        // The subscriber itself is dropped here, with no lock held.
    }

    fn remove_if_empty(&self, prefix: &str, kind: Kind) {
        let mut nodes = write(&self.nodes);
        let Some(node) = nodes.get_mut(prefix) else { return };
        if node.list(kind).is_some_and(|list| list.is_empty()) {
            *node.list_mut(kind) = None;
        }
        if node.is_empty() {
            nodes.remove(prefix);
        }
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
        let nodes = read(&self.nodes);
        let mut lists = Vec::new();
        lists.extend(nodes.get(channel).and_then(|node| node.exact.clone()));
        for (depth, prefix) in prefixes(channel).enumerate() {
            if let Some(node) = nodes.get(prefix) {
                if depth == 0 {
                    lists.extend(node.one.clone());
                }
                lists.extend(node.deep.clone());
            }
        }
        lists
    }

    /// Whether anybody has subscribed to exactly this name or pattern.
    pub(crate) fn contains(&self, name: &str) -> bool {
        let (prefix, kind) = key_of(name);
        read(&self.nodes)
            .get(prefix)
            .is_some_and(|node| node.list(kind).is_some())
    }

    /// All names and patterns with at least one subscriber, in no particular order.
    pub(crate) fn names(&self) -> Vec<ChannelName> {
        let nodes = read(&self.nodes);
        nodes
            .iter()
            .flat_map(|(prefix, node)| {
                let kinds = [("", &node.exact), ("/*", &node.one), ("/**", &node.deep)];
                kinds
                    .into_iter()
                    .filter(|(_, list)| list.is_some())
                    .filter_map(move |(wildcard, _)| ChannelName::parse(&format!("{prefix}{wildcard}")).ok())
            })
            .collect()
    }

    /// How many names and patterns have subscribers.
    pub(crate) fn len(&self) -> usize {
        read(&self.nodes)
            .values()
            .map(|node| [&node.exact, &node.one, &node.deep].into_iter().flatten().count())
            .sum()
    }

    /// How many sessions have subscribed to exactly this name or pattern.
    pub(crate) fn session_count(&self, name: &ChannelName) -> usize {
        let (prefix, kind) = key_of(name.as_str());
        read(&self.nodes)
            .get(prefix)
            .and_then(|node| node.list(kind))
            .map_or(0, |list| list.session_count())
    }
}
