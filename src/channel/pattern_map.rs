//! A map by channel names and patterns, which finds all that a channel matches.

use std::collections::HashMap;

use crate::protocol::{ChannelName, prefixes};

/// Values by name or pattern. A wildcard stands last in a pattern or nowhere, so a channel with d segments can match
/// d + 2 patterns only: the name itself, `*` under its parent, and `**` under each ancestor. They are found by slices
/// of the name, with no allocation and no cache that a hostile publisher could grow.
#[derive(Debug)]
pub(super) struct PatternMap<T> {
    nodes: HashMap<Box<str>, Node<T>>,
    /// How many values there are.
    len: usize,
}

/// What hangs on one prefix; a node without anything is not kept.
#[derive(Debug)]
struct Node<T> {
    /// For the prefix itself.
    exact: Option<T>,
    /// For `<prefix>/*`.
    one: Option<T>,
    /// For `<prefix>/**`.
    deep: Option<T>,
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

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            exact: None,
            one: None,
            deep: None,
        }
    }
}

impl<T> Node<T> {
    const fn get(&self, kind: Kind) -> Option<&T> {
        match kind {
            Kind::Exact => self.exact.as_ref(),
            Kind::One => self.one.as_ref(),
            Kind::Deep => self.deep.as_ref(),
        }
    }

    const fn get_mut(&mut self, kind: Kind) -> &mut Option<T> {
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

impl<T> Default for PatternMap<T> {
    fn default() -> Self {
        Self {
            nodes: HashMap::new(),
            len: 0,
        }
    }
}

impl<T> PatternMap<T> {
    /// The value of exactly this name or pattern.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        let (prefix, kind) = key_of(name);
        self.nodes.get(prefix).and_then(|node| node.get(kind))
    }

    /// The value of exactly this name or pattern, made if there is none.
    pub(super) fn get_or_insert_default(&mut self, name: &str) -> &mut T
    where
        T: Default,
    {
        let (prefix, kind) = key_of(name);
        let node = self.nodes.entry(prefix.into()).or_default();
        let value = node.get_mut(kind);
        self.len += usize::from(value.is_none());
        value.get_or_insert_default()
    }

    /// Takes a value out, if it is one that `fits`.
    pub(super) fn remove_if(&mut self, name: &str, fits: impl FnOnce(&T) -> bool) -> Option<T> {
        let (prefix, kind) = key_of(name);
        let node = self.nodes.get_mut(prefix)?;
        let removed = node.get_mut(kind).take_if(|value| fits(value));
        self.len -= usize::from(removed.is_some());
        if node.is_empty() {
            self.nodes.remove(prefix);
        }
        removed
    }

    /// Visits all that a channel matches, the most specific first.
    pub(super) fn for_each_matching<'a>(&'a self, channel: &str, mut visit: impl FnMut(&'a T)) {
        if let Some(value) = self.nodes.get(channel).and_then(|node| node.exact.as_ref()) {
            visit(value);
        }
        for (depth, prefix) in prefixes(channel).enumerate() {
            if let Some(node) = self.nodes.get(prefix) {
                let one = node.one.as_ref().filter(|_| depth == 0);
                one.into_iter().chain(&node.deep).for_each(&mut visit);
            }
        }
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// All values, in no particular order.
    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.nodes.values().flat_map(|node| node.iter().map(|(_, value)| value))
    }

    /// All names and patterns whose value `fits`, in no particular order.
    pub(super) fn names(&self, fits: impl Fn(&T) -> bool) -> Vec<ChannelName> {
        let mut names = Vec::new();
        for (prefix, node) in &self.nodes {
            let fitting = node.iter().filter(|(_, value)| fits(value));
            names.extend(fitting.filter_map(|(wildcard, _)| ChannelName::parse(&format!("{prefix}{wildcard}")).ok()));
        }
        names
    }
}

impl<T> Node<T> {
    /// The values, each with what follows the prefix.
    fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let kinds = [("", &self.exact), ("/*", &self.one), ("/**", &self.deep)];
        kinds
            .into_iter()
            .filter_map(|(wildcard, value)| Some((wildcard, value.as_ref()?)))
    }
}
