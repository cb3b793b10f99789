//! Request bodies: JSON, and forms with JSON in them.

use http::StatusCode;
use serde_json::Value;

use crate::{
    answer::Answer,
    expected::{Expected, expected},
    world::{MAX_BODY, World, in_paused_time, post, send},
};

/// The body of a POST that is to be JSON.
pub fn messages(input: &[u8]) {
    both_ways(input, |body| match std::str::from_utf8(body) {
        Ok(text) if text.trim_start().starts_with(['[', '{']) => expected(&[text]),
        Err(_) if body.trim_ascii_start().starts_with(b"[") => Expected::Refused,
        // A form, or something with a byte order mark.
        _ => Expected::Anything,
    });
}

/// The body of a POST that is to be a form.
pub fn forms(input: &[u8]) {
    // A byte in front that is no bracket, so that it is not taken for JSON.
    let body = [b"&", input].concat();
    both_ways(&body, |body| {
        let fields: Vec<_> = form_urlencoded::parse(body)
            .filter(|(name, _)| name == "message")
            .collect();
        let texts: Vec<&str> = fields.iter().map(|(_, text)| &**text).collect();
        if texts.is_empty() {
            Expected::Refused
        } else {
            expected(&texts)
        }
    });
}

/// Sends the same to a server without and one with an extension: messages take different ways there, and must come to the
/// same.
fn both_ways(input: &[u8], expected: impl Fn(&[u8]) -> Expected) {
    in_paused_time(async {
        let plain = one_way(input, false, &expected).await;
        let extended = one_way(input, true, &expected).await;
        assert_eq!(plain, extended);
    });
}

async fn one_way(input: &[u8], extended: bool, expected: &impl Fn(&[u8]) -> Expected) -> Came {
    let world = World::new(extended).await;
    let body = world.spoken(input);
    let expected = if body.len() > MAX_BODY {
        Expected::Refused
    } else {
        expected(&body)
    };
    let answer = send(&world.server, post(body)).await;
    let messages = answer.messages();
    expected.check(answer.status, &messages);
    let came = Came::of(&answer, messages, &world.speaker, world.heard().await);
    world.end().await;
    came
}

/// What came of a request, without what differs from server to server.
#[derive(Debug, PartialEq)]
struct Came {
    status: StatusCode,
    messages: Vec<Value>,
    heard: Vec<Value>,
}

impl Came {
    fn of(answer: &Answer, mut messages: Vec<Value>, speaker: &str, mut heard: Vec<Value>) -> Self {
        for message in &mut messages {
            if let Some(id) = message.get_mut("clientId") {
                *id = Value::Null;
            }
        }
        messages
            .iter_mut()
            .chain(&mut heard)
            .for_each(|message| without(message, speaker));
        Self {
            status: answer.status,
            messages,
            heard,
        }
    }
}

/// Writes something that is the same everywhere in place of a `clientId`.
fn without(value: &mut Value, id: &str) {
    match value {
        Value::String(text) => *text = text.replace(id, "$1"),
        Value::Array(values) => values.iter_mut().for_each(|value| without(value, id)),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(name, mut value)| {
                    without(&mut value, id);
                    (name.replace(id, "$1"), value)
                })
                .collect();
        }
        _ => {}
    }
}
