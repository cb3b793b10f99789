//! From JSON text to messages.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::{Json, digest::is_digestible, message::Inbound, scan::scan_messages};

/// How deep a message may nest, the array around it included. A text that is deeper is refused as a whole: parsers at
/// the subscribers, serde_json among them, stop at 128 and would lose the whole answer.
pub(crate) const MAX_DEPTH: usize = 127;

/// How much a text may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParseLimits {
    pub(crate) messages: usize,
    /// The array around a message included.
    pub(crate) depth: usize,
}

/// Why a text is no Bayeux request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ParseError {
    /// Not one JSON object or an array of objects.
    Malformed,
    /// More messages than the server takes in one request.
    TooMany,
    /// A message that nests too deep.
    TooDeep,
}

/// The messages of a request; nearly always one.
pub(crate) type Messages<'a> = SmallVec<[Inbound<'a>; 1]>;

/// Appends the messages of one JSON text: an array, or a single object. `messages` never grows past the limit. What
/// clients send all day takes the short way.
pub(crate) fn parse_messages<'a>(
    text: &'a str,
    limits: ParseLimits,
    messages: &mut Messages<'a>,
) -> Result<(), ParseError> {
    let before = messages.len();
    let room = ParseLimits {
        messages: limits.messages.saturating_sub(before),
        ..limits
    };
    if scan_messages(text, room, messages).is_some() {
        return Ok(());
    }
    messages.truncate(before);
    let mut parsed = Vec::new();
    parse_text(text, room, &mut parsed)?;
    messages.extend(parsed);
    Ok(())
}

/// As [`parse_messages`], into messages of any kind.
pub(crate) fn parse_text<'a, M>(text: &'a str, limits: ParseLimits, messages: &mut Vec<M>) -> Result<(), ParseError>
where
    M: Deserialize<'a>,
{
    // A single message comes without the array that it will go out in.
    let is_single = text.trim_ascii_start().starts_with('{');
    let depth = limits.depth.min(MAX_DEPTH).saturating_sub(usize::from(is_single));
    if !is_digestible(text, depth) {
        return Err(why_indigestible(text));
    }
    let mut batch = Batch {
        messages,
        max: limits.messages,
        full: false,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = (&mut batch)
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    match parsed {
        Ok(()) => Ok(()),
        Err(_) if batch.full => Err(ParseError::TooMany),
        Err(_) => Err(ParseError::Malformed),
    }
}

/// A text without numbers beyond the range is too deep.
#[cold]
fn why_indigestible(text: &str) -> ParseError {
    if is_digestible(text, usize::MAX) {
        ParseError::TooDeep
    } else {
        ParseError::Malformed
    }
}

/// Collects messages from an array or a single object, up to a limit.
struct Batch<'m, M> {
    messages: &'m mut Vec<M>,
    max: usize,
    full: bool,
}

impl<M> Batch<'_, M> {
    fn push<E: de::Error>(&mut self, message: M) -> Result<(), E> {
        self.full = self.messages.len() >= self.max;
        if self.full {
            return Err(E::custom("too many messages"));
        }
        self.messages.push(message);
        Ok(())
    }
}

impl<'a, M: Deserialize<'a>> DeserializeSeed<'a> for &mut Batch<'_, M> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a, M: Deserialize<'a>> Visitor<'a> for &mut Batch<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Bayeux message or an array of them")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(message) = seq.next_element()? {
            self.push(message)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error> {
        let message = M::deserialize(MapAccessDeserializer::new(map))?;
        self.push(message)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Inbound<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InboundVisitor)
    }
}

struct InboundVisitor;

impl<'de> Visitor<'de> for InboundVisitor {
    type Value = Inbound<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Bayeux message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut message = Inbound::default();
        while let Some(field) = map.next_key::<Field>()? {
            let value = map.next_value::<&RawValue>()?;
            let slot = match field {
                Field::Channel => &mut message.channel,
                Field::ClientId => &mut message.client_id,
                Field::Id => &mut message.id,
                Field::Subscription => &mut message.subscription,
                Field::ConnectionType => &mut message.connection_type,
                Field::Advice => &mut message.advice,
                Field::Data => &mut message.data,
                Field::Ext => &mut message.ext,
                Field::Other => continue,
            };
            *slot = Some(Json::from(value));
        }
        Ok(message)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Channel,
    ClientId,
    Id,
    Subscription,
    ConnectionType,
    Advice,
    Data,
    Ext,
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::{BayeuxError, message::ClientAdvice};

    fn parse(text: &str) -> Result<Vec<Inbound<'_>>, ParseError> {
        let mut messages = Vec::new();
        let limits = ParseLimits {
            messages: 3,
            depth: MAX_DEPTH,
        };
        parse_text(text, limits, &mut messages).map(|()| messages)
    }

    #[test]
    fn an_object_and_an_array_are_both_requests() {
        assert_eq!(parse(r#" {"channel":"/a"} "#).unwrap().len(), 1);
        assert_eq!(parse(r#"[{"channel":"/a"},{}]"#).unwrap().len(), 2);
        assert_eq!(parse("[]").unwrap().len(), 0);
    }

    #[test]
    fn anything_else_is_malformed() {
        for bad in [
            "", " ", "{", "[{]", "null", "5", "\"x\"", "[5]", "[null]", "[[]]", "{} x", "[{},]", "{\"a\":}",
        ] {
            assert_eq!(parse(bad).unwrap_err(), ParseError::Malformed, "{bad}");
        }
    }

    #[test]
    fn the_batch_limit_counts_messages() {
        assert_eq!(parse("[{},{},{},{}]").unwrap_err(), ParseError::TooMany);
    }

    #[test]
    fn depth_is_limited_outside_of_strings_only() {
        let deep = |depth: usize| format!(r#"{{"data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&deep(MAX_DEPTH - 2)).is_ok());
        assert!(parse(&format!("[{}]", deep(MAX_DEPTH - 2))).is_ok());
        assert_eq!(parse(&deep(MAX_DEPTH - 1)).unwrap_err(), ParseError::TooDeep);
        assert_eq!(
            parse(&format!("[{}]", deep(MAX_DEPTH - 1))).unwrap_err(),
            ParseError::TooDeep
        );
        assert_eq!(
            parse(r#"{"data":1e999}"#).unwrap_err(),
            ParseError::Malformed,
            "a number, not the depth"
        );
        let text = format!(r#"{{"data":"\"{}"}}"#, "[".repeat(1000));
        assert!(parse(&text).is_ok());
    }

    #[test]
    fn a_wrong_type_fails_only_where_it_is_asked_for() {
        let messages = parse(r#"{"channel":5,"id":{},"clientId":[],"advice":[1,2],"subscription":7}"#).unwrap();
        let message = messages[0];
        assert_eq!(message.channel(), Err(BayeuxError::ChannelInvalid));
        assert_eq!(message.id().unwrap_err(), BayeuxError::MessageIdInvalid);
        assert_eq!(message.client_id(), None);
        assert_eq!(message.advice(), Err(BayeuxError::AdviceInvalid));
        assert_eq!(
            message.subscriptions().unwrap_err().error,
            BayeuxError::SubscriptionInvalid
        );
    }

    #[test]
    fn ids_keep_their_json_type_and_null_counts_as_absent() {
        for (json, echoed) in [
            (r#""0""#, r#""0""#),
            ("0", "0"),
            (r#""""#, r#""""#),
            ("-1.5e3", "-1.5e3"),
        ] {
            let text = format!(r#"{{"id":{json}}}"#);
            assert_eq!(parse(&text).unwrap()[0].id().unwrap().unwrap().get(), echoed);
        }
        assert!(parse(r#"{"id":null}"#).unwrap()[0].id().unwrap().is_none());
        assert!(parse("{}").unwrap()[0].id().unwrap().is_none());
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        assert_eq!(
            parse(r#"{"channel":"/a","channel":"/b"}"#).unwrap()[0]
                .channel()
                .unwrap(),
            "/b"
        );
    }

    #[test]
    fn escaped_keys_and_names_are_understood() {
        let messages = parse(r#"{"\u0063hannel":"\/a","subscription":["\/x","/y"]}"#).unwrap();
        assert_eq!(messages[0].channel().unwrap(), "/a");
        assert_eq!(messages[0].subscriptions().unwrap().channels, ["/x", "/y"]);
    }

    #[test]
    fn a_channel_that_is_named_again_counts_once() {
        let messages = parse(r#"{"subscription":["/b","/a","/b/","/a","/b"]}"#).unwrap();
        let subscriptions = messages[0].subscriptions().unwrap();
        assert_eq!(subscriptions.channels, ["/b", "/a"]);
        assert_eq!(subscriptions.echo.get(), r#"["/b","/a","/b/","/a","/b"]"#);
    }

    #[test]
    fn advice_takes_any_number_that_is_not_negative() {
        let advice = |json: &str| {
            let text = format!(r#"{{"advice":{json}}}"#);
            parse(&text).unwrap()[0].advice()
        };
        assert_eq!(advice(r#"{"timeout":0}"#).unwrap().timeout, Some(Duration::ZERO));
        assert_eq!(
            advice(r#"{"timeout":1500.0}"#).unwrap().timeout,
            Some(Duration::from_millis(1500))
        );
        assert_eq!(advice(r#"{"timeout":-1}"#).unwrap().timeout, None);
        assert_eq!(advice(r#"{"timeout":1e300}"#).unwrap().timeout, None);
        assert_eq!(advice("null").unwrap(), ClientAdvice::default());
        assert!(advice(r#"{"timeout":"1"}"#).is_err());
    }
}
