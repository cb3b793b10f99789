//! An event as it goes over the wire, serialised once for all of its receivers.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Json, MutableMessage};

/// The message that tells a client that the server ended its session. It has no `id`: nobody asked for it.
pub(crate) const FAREWELL: Bytes = Bytes::from_static(br#"{"channel":"/meta/disconnect","successful":true}"#);

/// `{"channel":"…","data":…}`, ready to be sent, and where its parts lie.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    json: Bytes,
    channel: Range<usize>,
    data: Range<usize>,
}

const HEAD: &[u8] = br#"{"channel":""#;
const MIDDLE: &[u8] = br#"","data":"#;

impl Frame {
    /// Serialises `data` into an event on `channel`, which must have passed [`normalise`](super::normalise): its
    /// alphabet needs no escaping.
    pub(crate) fn new<T>(channel: &str, data: &T) -> Result<Self, serde_json::Error>
    where
        T: Serialize + ?Sized,
    {
        let mut json = start(channel, 64);
        let from = json.len();
        serde_json::to_writer(&mut json, data)?;
        Ok(Self::finish(json, channel, from, None))
    }

    /// Wraps `data` and, if it is to be passed on, the publisher's `ext`: both JSON as received.
    pub(crate) fn from_json(channel: &str, data: &str, ext: Option<&str>) -> Self {
        let mut json = start(channel, data.len() + ext.map_or(0, |ext| ext.len() + 8));
        let from = json.len();
        json.extend_from_slice(data.as_bytes());
        Self::finish(json, channel, from, ext)
    }

    /// The answer to a call, for the caller alone: an event with the call's `id`, which says whether all went well.
    pub(crate) fn answer(channel: &str, id: Option<Json<'_>>, successful: bool, data: &RawValue) -> Bytes {
        let id = id.map(Json::get);
        let mut json = start(channel, data.get().len() + id.map_or(0, |id| id.len() + 6) + 20);
        json.extend_from_slice(data.get().as_bytes());
        if let Some(id) = id {
            json.extend_from_slice(br#","id":"#);
            json.extend_from_slice(id.as_bytes());
        }
        let outcome: &[u8] = if successful {
            br#","successful":true}"#
        } else {
            br#","successful":false}"#
        };
        json.extend_from_slice(outcome);
        json.into()
    }

    /// An event on `channel` with whatever fields the message has besides.
    pub(crate) fn of(channel: &str, message: &MutableMessage) -> Self {
        let data = message.raw_field("data").unwrap_or("null");
        let mut json = start(channel, data.len() + 64);
        json.extend_from_slice(data.as_bytes());
        let data = json.len() - data.len()..json.len();
        let others = message
            .fields()
            .filter(|(name, _)| !matches!(*name, "channel" | "data"));
        for (name, value) in others {
            json.push(b',');
            // A string can always be written.
            let _ = serde_json::to_writer(&mut json, name);
            json.push(b':');
            json.extend_from_slice(value.get().as_bytes());
        }
        json.push(b'}');
        Self {
            json: json.into(),
            channel: HEAD.len()..HEAD.len() + channel.len(),
            data,
        }
    }

    /// The event, taken apart.
    pub(crate) fn open(&self) -> MutableMessage {
        MutableMessage::parse(&self.json).unwrap_or_default()
    }

    fn finish(mut json: Vec<u8>, channel: &str, from: usize, ext: Option<&str>) -> Self {
        let data = from..json.len();
        if let Some(ext) = ext {
            json.extend_from_slice(br#","ext":"#);
            json.extend_from_slice(ext.as_bytes());
        }
        json.push(b'}');
        Self {
            json: json.into(),
            channel: HEAD.len()..HEAD.len() + channel.len(),
            data,
        }
    }

    /// The whole message.
    pub(crate) const fn json(&self) -> &Bytes {
        &self.json
    }

    /// The channel, as it was published on.
    pub(crate) fn channel(&self) -> &str {
        self.part(&self.channel)
    }

    /// The JSON of the `data` field.
    pub(crate) fn data(&self) -> &str {
        self.part(&self.data)
    }

    fn part(&self, range: &Range<usize>) -> &str {
        // Both parts were text when they were put in.
        let bytes = self.json.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

fn start(channel: &str, room: usize) -> Vec<u8> {
    let mut json = Vec::with_capacity(HEAD.len() + channel.len() + MIDDLE.len() + room + 1);
    json.extend_from_slice(HEAD);
    json.extend_from_slice(channel.as_bytes());
    json.extend_from_slice(MIDDLE);
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_write_the_same_event() {
        let typed = Frame::new("/a b/c", &serde_json::json!({"x": [1, "\u{2028}\""]})).unwrap();
        let raw = Frame::from_json("/a b/c", "{\"x\":[1,\"\u{2028}\\\"\"]}", None);
        assert_eq!(typed.json(), raw.json());
        assert_eq!(typed.data(), raw.data());
        let value: serde_json::Value = serde_json::from_slice(typed.json()).unwrap();
        assert_eq!(value["channel"], "/a b/c");
        assert_eq!(typed.channel(), "/a b/c");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(typed.data()).unwrap(),
            value["data"]
        );
    }

    #[test]
    fn ext_follows_the_data_when_it_is_passed_on() {
        let frame = Frame::from_json("/a", "null", Some(r#"{"k":1}"#));
        assert_eq!(frame.json(), &br#"{"channel":"/a","data":null,"ext":{"k":1}}"#[..]);
        assert_eq!(frame.data(), "null");
    }

    #[test]
    fn an_event_that_was_changed_keeps_its_channel_and_what_it_got() {
        let mut message = Frame::from_json("/a/", r#"{"x":1}"#, Some("{}")).open();
        message.set_field("channel", "/b").unwrap();
        message.set_field("t\"", &1).unwrap();
        message.set_data(&2).unwrap();
        let frame = Frame::of("/a/", &message);
        assert_eq!(frame.json(), &br#"{"channel":"/a/","data":2,"ext":{},"t\"":1}"#[..]);
        assert_eq!((frame.channel(), frame.data()), ("/a/", "2"));
    }

    #[test]
    fn an_answer_has_the_id_of_its_call_and_an_outcome() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let answer = Frame::answer("/a", Some(Json::new("\"7\"")), true, &raw("[1]"));
        assert_eq!(
            answer,
            &br#"{"channel":"/a","data":[1],"id":"7","successful":true}"#[..]
        );
        let answer = Frame::answer("/a", None, false, RawValue::NULL);
        assert_eq!(answer, &br#"{"channel":"/a","data":null,"successful":false}"#[..]);
    }
}
