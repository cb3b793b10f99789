//! Channel names and patterns.

use futures_util::FutureExt;
use tower_bayeux::{BayeuxServer, ChannelName};

use crate::world::in_paused_time;

/// A pattern, and on the next line a channel that it may match.
pub fn channel_names(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (pattern, channel) = text.split_once('\n').unwrap_or((text, text));
    let (pattern, channel) = (parse(pattern), parse(channel));
    if let (Some(pattern), Some(channel)) = (pattern, channel)
        && !channel.is_wild()
    {
        let matches = is_match(pattern.as_str(), channel.as_str());
        assert_eq!(pattern.matches(channel.as_str()), matches, "{pattern:?} {channel:?}");
        in_paused_time(async { check_routing(&pattern, &channel, matches) });
    }
}

/// A name is accepted exactly if it keeps the rules, and stays what it is.
fn parse(name: &str) -> Option<ChannelName> {
    let parsed = name.parse::<ChannelName>().ok();
    assert_eq!(parsed.is_some(), keeps_the_rules(name), "{name:?}");
    let parsed = parsed?;
    assert_eq!(parsed.as_str(), name.strip_suffix('/').unwrap_or(name));
    assert_eq!(parsed.as_str().parse().as_ref(), Ok(&parsed));
    Some(parsed)
}

fn keeps_the_rules(name: &str) -> bool {
    const SIGNS: &str = " !#$()*+-.@_{}~?=&";
    let is_allowed = |sign: char| sign.is_ascii_alphanumeric() || SIGNS.contains(sign);
    let mut segments: Vec<&str> = name.split('/').collect();
    if segments.len() > 2 && segments.last() == Some(&"") {
        segments.pop();
    }
    let count = segments.len();
    name.len() <= ChannelName::MAX_LEN
        && count > 1
        && segments.iter().enumerate().all(|(index, segment)| match index {
            0 => segment.is_empty(),
            _ if segment.contains('*') => index + 1 == count && matches!(*segment, "*" | "**"),
            _ => !segment.is_empty() && segment.chars().all(is_allowed),
        })
}

/// Segment by segment.
fn is_match(pattern: &str, channel: &str) -> bool {
    let (pattern, channel): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), channel.split('/').collect());
    let Some((last, parents)) = pattern.split_last() else {
        return false;
    };
    let below = |count: usize| channel.len() > count && channel[..count] == *parents;
    match *last {
        "**" => below(parents.len()),
        "*" => below(parents.len()) && channel.len() == pattern.len(),
        _ => pattern == channel,
    }
}

/// A message on the channel reaches who has subscribed to the pattern if they match, and is the only one.
fn check_routing(pattern: &ChannelName, channel: &ChannelName, matches: bool) {
    let server = BayeuxServer::new();
    let (Ok(mut subscription), true) = (server.subscribe(pattern), channel.is_broadcast()) else {
        return;
    };
    let published = server.publish(channel, &1);
    published.expect("a channel that is no pattern");
    let heard = subscription.recv().now_or_never().flatten();
    assert_eq!(heard.is_some(), matches, "{pattern:?} {channel:?}");
    assert!(subscription.recv().now_or_never().is_none());
    drop(subscription);
    assert_eq!(server.channel_count(), 0);
}
