//! How many replies a request must get, worked out anew and in another way.

use serde_json::{Map, Value};

use crate::world::MAX_BATCH;

/// What must come of a request.
#[derive(Debug)]
pub(crate) enum Expected {
    /// A reply to each of these messages.
    Replies(Vec<Map<String, Value>>),
    /// A reply to the handshake among them, alone.
    Handshake,
    /// It is refused.
    Refused,
    /// That is not for serde_json to say: it reads no lone surrogates, which are no reason to refuse a message.
    Anything,
}

/// What must come of a request with these texts.
pub(crate) fn expected(texts: &[&str]) -> Expected {
    let mut messages = Vec::new();
    for text in texts {
        match serde_json::from_str(text) {
            Ok(Value::Array(values)) => {
                if !values.iter().all(Value::is_object) {
                    return Expected::Refused;
                }
                messages.extend(values);
            }
            Ok(message @ Value::Object(_)) => messages.push(message),
            Ok(_) => return Expected::Refused,
            Err(error) if is_about_strings(&error) => return Expected::Anything,
            Err(_) => return Expected::Refused,
        }
    }
    if messages.len() > MAX_BATCH {
        return Expected::Refused;
    }
    // What goes out has an array around it.
    if messages.iter().any(|message| depth(message) > 126) {
        return Expected::Refused;
    }
    if messages.iter().any(|message| message["channel"] == "/meta/handshake") {
        return Expected::Handshake;
    }
    Expected::Replies(messages.into_iter().filter_map(into_fields).collect())
}

fn is_about_strings(error: &serde_json::Error) -> bool {
    let error = error.to_string();
    ["surrogate", "hex escape", "unicode code point"]
        .iter()
        .any(|text| error.contains(text))
}

fn into_fields(message: Value) -> Option<Map<String, Value>> {
    match message {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

impl Expected {
    /// Compares it with the messages of an answer; nothing if it was refused.
    pub(crate) fn check(&self, status: http::StatusCode, messages: &[Value]) {
        let is_refused = status != http::StatusCode::OK;
        let replies: Vec<_> = messages
            .iter()
            .filter(|message| message.get("successful").is_some())
            .collect();
        match self {
            Self::Anything => {}
            Self::Refused => assert!(is_refused, "{messages:?}"),
            Self::Handshake => {
                assert!(!is_refused);
                assert_eq!(replies.len(), 1, "{replies:?}");
                assert_eq!(replies[0]["channel"], "/meta/handshake");
            }
            Self::Replies(asked) => {
                assert!(!is_refused, "{asked:?}");
                check_replies(asked, &replies);
            }
        }
    }
}

/// Every message has its reply, in order; only the replies to connects come after all others.
fn check_replies(asked: &[Map<String, Value>], replies: &[&Value]) {
    assert_eq!(asked.len(), replies.len(), "{asked:?} {replies:?}");
    let is_connect = |reply: &&&Value| reply["channel"] == "/meta/connect";
    let asks_to_connect =
        |message: &&Map<String, Value>| message.get("channel").is_some_and(|name| name == "/meta/connect");
    let others = asked.iter().filter(|message| !asks_to_connect(message));
    let replies = replies.iter().filter(|reply| !is_connect(reply));
    assert_eq!(others.clone().count(), replies.clone().count(), "{asked:?} {replies:?}");
    for (message, reply) in others.zip(replies) {
        let channel = message.get("channel").filter(|channel| channel.is_string());
        assert_eq!(channel, reply.get("channel"), "{message:?} {reply:?}");
        let id = message.get("id").filter(|id| id.is_string() || id.is_number());
        match reply.get("id") {
            Some(echo) => assert_eq!(Some(echo), id, "{message:?} {reply}"),
            // A long one is not echoed, and its message fails.
            None => assert!(id.is_none() || reply["successful"] == false, "{message:?} {reply}"),
        }
    }
}
