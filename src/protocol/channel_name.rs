//! Channel names and the patterns that match them.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

/// A valid channel name or pattern, such as `/stock/ACME`, `/stock/*` or `/**`. Cheap to clone.
///
/// A name starts with `/`, has no empty segment, at most [`MAX_LEN`](Self::MAX_LEN) bytes, and is written in ASCII
/// letters, digits and ``!#$()*+-./@_{}~?=&`` or a space. `*` (one segment) and `**` (one or more) stand for whole
/// segments and only in last place. One trailing slash is dropped.
///
/// ```
/// use tower_bayeux::ChannelName;
///
/// let pattern: ChannelName = "/stock/*".parse()?;
/// assert!(pattern.is_wild());
/// assert!(pattern.matches("/stock/ACME"));
/// assert!(!pattern.matches("/stock/ACME/history"));
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChannelName(Arc<str>);

impl ChannelName {
    /// The longest name accepted, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Parses a name or pattern.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`] says which rule is broken.
    pub fn parse(name: &str) -> Result<Self, InvalidChannel> {
        normalise(name).map(|name| Self(name.into()))
    }

    /// The name as text, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a pattern that ends in `*` or `**`.
    #[must_use]
    pub fn is_wild(&self) -> bool {
        self.0.ends_with('*')
    }

    /// Whether this is a `/meta/…` channel, which belongs to the protocol itself.
    #[must_use]
    pub fn is_meta(&self) -> bool {
        is_below(&self.0, "/meta")
    }

    /// Whether this is a `/service/…` channel: heard by the server only, never passed on to other clients.
    #[must_use]
    pub fn is_service(&self) -> bool {
        is_below(&self.0, "/service")
    }

    /// Whether messages on this channel go to every subscriber.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        !self.is_meta() && !self.is_service()
    }

    /// Whether a message on `channel` reaches a subscriber of this name or pattern.
    #[must_use]
    pub fn matches(&self, channel: &str) -> bool {
        if let Some(parent) = self.0.strip_suffix("/**") {
            return is_below(channel, parent) && channel.len() > parent.len() + 1;
        }
        if let Some(parent) = self.0.strip_suffix("/*") {
            let Some(last) = channel.strip_prefix(parent).and_then(|rest| rest.strip_prefix('/')) else {
                return false;
            };
            return !last.is_empty() && !last.contains('/');
        }
        *self.0 == *channel
    }

    /// Sorts patterns that match the same channel from the root down: `/**`, `/a/**`, `/a/*`, `/a/b`. Between the last two
    /// is room for templates.
    pub(crate) fn breadth(&self) -> (u8, usize) {
        let kind = if self.0.ends_with("/**") {
            0
        } else if self.0.ends_with("/*") {
            1
        } else {
            3
        };
        (kind, self.0.len())
    }
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

/// Checks a name against the rules and drops one trailing slash.
pub(crate) fn normalise(name: &str) -> Result<&str, InvalidChannel> {
    if name.len() > ChannelName::MAX_LEN {
        return Err(InvalidChannel::TooLong);
    }
    let name = name.strip_suffix('/').unwrap_or(name);
    let Some(path) = name.strip_prefix('/') else {
        return Err(InvalidChannel::NoLeadingSlash);
    };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if segment.is_empty() {
            return Err(InvalidChannel::EmptySegment);
        }
        if !segment.bytes().all(is_allowed) {
            return Err(InvalidChannel::ForbiddenCharacter);
        }
        if segment.contains('*') && !(last && matches!(segment, "*" | "**")) {
            return Err(InvalidChannel::MisplacedWildcard);
        }
    }
    Ok(name)
}

/// CometD's alphabet, and `?`, `=`, `&`, which Salesforce topics use. None of these needs escaping in JSON.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" !#$()*+-.@_{}~?=&".contains(&byte)
}

/// The ancestors of a valid channel, nearest first: `/a/b/c` gives `/a/b`, `/a` and the empty root.
pub(crate) fn prefixes(channel: &str) -> impl Iterator<Item = &str> {
    channel
        .rmatch_indices('/')
        .map(|(slash, _)| channel.get(..slash).unwrap_or_default())
}

impl FromStr for ChannelName {
    type Err = InvalidChannel;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

impl TryFrom<&str> for ChannelName {
    type Error = InvalidChannel;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::parse(name)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ChannelName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// From text, by the rules of [`parse`](ChannelName::parse).
impl<'de> Deserialize<'de> for ChannelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, "a channel name")
    }
}

impl PartialEq<str> for ChannelName {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for ChannelName {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

/// The rule that a text breaks, so that it is no channel name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidChannel {
    /// It does not start with `/`, or is nothing but `/`.
    NoLeadingSlash,
    /// Two slashes follow each other.
    EmptySegment,
    /// A character outside the alphabet.
    ForbiddenCharacter,
    /// `*` or `**` that is not the whole last segment.
    MisplacedWildcard,
    /// More than [`ChannelName::MAX_LEN`] bytes.
    TooLong,
    /// A pattern, or a `/meta` channel, where a message or subscription can't go to one.
    NotAllowedHere,
    /// A template with two parameters of one name, or with a wildcard.
    BadTemplate,
}

impl fmt::Display for InvalidChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLeadingSlash => "a channel name starts with a slash and has at least one segment",
            Self::EmptySegment => "a channel name has no empty segment",
            Self::ForbiddenCharacter => "a channel name has a character outside the channel alphabet",
            Self::MisplacedWildcard => "a wildcard is the whole last segment of a channel name",
            Self::TooLong => "a channel name is longer than 1024 bytes",
            Self::NotAllowedHere => "a pattern or a meta channel can't be used here",
            Self::BadTemplate => "a template's parameters have names of their own, and no wildcard beside them",
        })
    }
}

impl std::error::Error for InvalidChannel {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in [
            "/a",
            "/a/b",
            "/a/",
            "/*",
            "/**",
            "/a/**",
            "/ !#$()+-.@_{}~?=&",
            "/topic/Contact__e?x=1",
        ] {
            assert!(ChannelName::parse(good).is_ok(), "{good}");
        }
        for (bad, rule) in [
            ("", InvalidChannel::NoLeadingSlash),
            ("/", InvalidChannel::NoLeadingSlash),
            ("a/b", InvalidChannel::NoLeadingSlash),
            ("//", InvalidChannel::EmptySegment),
            ("/a//b", InvalidChannel::EmptySegment),
            ("/a//", InvalidChannel::EmptySegment),
            ("/a/*/b", InvalidChannel::MisplacedWildcard),
            ("/a*", InvalidChannel::MisplacedWildcard),
            ("/***", InvalidChannel::MisplacedWildcard),
            ("/a\"b", InvalidChannel::ForbiddenCharacter),
            ("/a\\b", InvalidChannel::ForbiddenCharacter),
            ("/ä", InvalidChannel::ForbiddenCharacter),
            ("/a\n", InvalidChannel::ForbiddenCharacter),
        ] {
            assert_eq!(ChannelName::parse(bad), Err(rule), "{bad}");
        }
        let long = format!("/{}", "a".repeat(ChannelName::MAX_LEN));
        assert_eq!(ChannelName::parse(&long), Err(InvalidChannel::TooLong));
    }

    #[test]
    fn a_name_is_text_to_serde_both_ways() {
        let name: ChannelName = serde_json::from_str(r#""/a/b/""#).unwrap();
        assert_eq!(name, "/a/b");
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""/a/b""#);
        // From a text that is not borrowed, and as a key.
        assert_eq!(serde_json::from_value::<ChannelName>(json!("/a/b")).unwrap(), name);
        assert_eq!(serde_json::from_str::<ChannelName>(r#""\u002fa/b""#).unwrap(), name);
        let keyed: HashMap<ChannelName, u8> = serde_json::from_value(json!({ "/a/b": 1 })).unwrap();
        assert_eq!(keyed, HashMap::from([(name, 1)]));
    }

    #[test]
    fn serde_takes_no_name_that_breaks_a_rule_and_says_which() {
        let error = |json: &str| serde_json::from_str::<ChannelName>(json).unwrap_err().to_string();
        for bad in ["", "a/b", "/a//b", "/a*", "/ä"] {
            let rule = ChannelName::parse(bad).unwrap_err().to_string();
            assert!(error(&json!(bad).to_string()).starts_with(&rule), "{bad}");
        }
        assert!(error("5").contains("expected a channel name"));
    }

    #[test]
    fn a_name_is_made_of_text_that_follows_the_rules() {
        assert_eq!(ChannelName::try_from("/a").unwrap(), "/a");
        assert_eq!(ChannelName::try_from("a"), Err(InvalidChannel::NoLeadingSlash));
    }

    #[test]
    fn one_trailing_slash_is_dropped() {
        assert_eq!(ChannelName::parse("/a/b/").unwrap(), "/a/b");
    }

    #[test]
    fn wildcards_match_whole_segments() {
        let cases = [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*", "/a", false),
            ("/a/*", "/ab/c", false),
            ("/a/**", "/a/b", true),
            ("/a/**", "/a/b/c", true),
            ("/a/**", "/a", false),
            ("/a/**", "/ab/c", false),
            ("/*", "/a", true),
            ("/*", "/a/b", false),
            ("/**", "/a/b/c", true),
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/c", false),
        ];
        for (pattern, channel, expected) in cases {
            assert_eq!(
                ChannelName::parse(pattern).unwrap().matches(channel),
                expected,
                "{pattern} {channel}"
            );
        }
    }

    #[test]
    fn kinds_are_told_by_whole_segments() {
        assert!(ChannelName::parse("/meta/connect").unwrap().is_meta());
        assert!(ChannelName::parse("/metallica").unwrap().is_broadcast());
        assert!(ChannelName::parse("/service/x").unwrap().is_service());
        assert!(ChannelName::parse("/services/x").unwrap().is_broadcast());
    }

    #[test]
    fn prefixes_go_from_the_parent_to_the_root() {
        assert_eq!(prefixes("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", ""]);
        assert_eq!(prefixes("/a").collect::<Vec<_>>(), [""]);
    }
}
