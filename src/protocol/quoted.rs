//! What others have sent, as it is put into errors and logs.

use std::fmt;

use super::InvalidChannel;

/// The most characters that are quoted. A name may be as long as a request.
const LONGEST: usize = 64;

/// A text in quotes, as far as it can be shown: the rest is left out, and nothing in it can end the line or the quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(LONGEST).map_or(self.0.len(), |(at, _)| at);
        let (shown, rest) = self.0.split_at(end);
        let ellipsis = if rest.is_empty() { "" } else { "…" };
        write!(f, "{shown:?}{ellipsis}")
    }
}

/// A channel that can't be used for something, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfit<'a>(pub(crate) &'a str, pub(crate) InvalidChannel);

impl fmt::Display for Unfit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(channel, rule) = *self;
        let quoted = Quoted(channel);
        match rule {
            InvalidChannel::NotAllowedHere if channel.starts_with("/meta/") => write!(f, "{quoted}, a meta channel"),
            InvalidChannel::NotAllowedHere => write!(f, "{quoted}, a pattern"),
            rule => write!(f, "{quoted}: {rule}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_and_on_one_line() {
        assert_eq!(Quoted("/a").to_string(), r#""/a""#);
        assert_eq!(Quoted("").to_string(), r#""""#);
        assert_eq!(Quoted("/a\n\"b").to_string(), r#""/a\n\"b""#);
        let longest = "ä".repeat(LONGEST);
        assert_eq!(Quoted(&longest).to_string(), format!("\"{longest}\""));
        let longer = longest.clone() + "ä";
        assert_eq!(Quoted(&longer).to_string(), format!("\"{longest}\"…"));
    }
}
