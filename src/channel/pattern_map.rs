//! A map by channel names and patterns, which finds all that a channel matches.

use std::collections::HashMap;

use crate::protocol::prefixes;

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

    /// All names and patterns whose value `fits`, in no particular order.
    pub(super) fn names(&self, fits: impl Fn(&T) -> bool) -> Names {
        let mut names = Names::default();
        for (prefix, node) in &self.nodes {
            for (wildcard, _) in node.iter().filter(|(_, value)| fits(value)) {
                names.push(prefix, wildcard);
            }
        }
        names
    }
}

/// Names and patterns, copied out of a map one behind the other: publishes wait for the lock that this is done under.
#[derive(Debug, Default)]
pub(crate) struct Names {
    text: String,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Names {
    fn push(&mut self, prefix: &str, wildcard: &str) {
        self.text.push_str(prefix);
        self.text.push_str(wildcard);
        self.ends.push(self.text.len());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let name = self.text.get(start..*end);
            start = *end;
            name.unwrap_or_default()
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_copied_out_as_they_were_put_in() {
        let mut map = PatternMap::<u32>::default();
        let all = ["/a", "/a/*", "/a/**", "/**", "/b/c", "/*"];
        for (number, name) in (0..).zip(all) {
            *map.get_or_insert_default(name) = number;
        }
        let sorted = |names: Names| {
            let mut names: Vec<String> = names.iter().map(str::to_owned).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(
            sorted(map.names(|_| true)),
            ["/*", "/**", "/a", "/a/*", "/a/**", "/b/c"]
        );
        assert_eq!(sorted(map.names(|number| *number == 1)), ["/a/*"]);
        assert!(sorted(map.names(|_| false)).is_empty());
    }
}
