//! Answers, and what holds for each of them.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    /// What the HTTP server is told of the body's length, to write it down.
    length: Option<u64>,
    pub(crate) body: Bytes,
}

/// What a request is refused with that is no Bayeux request.
const REFUSALS: [u16; 3] = [400, 408, 413];

impl Answer {
    pub(crate) async fn read<B>(response: Response<B>) -> Self
    where
        B: BodyExt<Data = Bytes, Error = std::convert::Infallible>,
    {
        let (parts, body) = response.into_parts();
        let length = body.size_hint().exact();
        let Ok(body) = body.collect().await;
        Self {
            status: parts.status,
            headers: parts.headers,
            length,
            body: body.to_bytes(),
        }
    }

    /// The headers are those of an answer in JSON, or in another form of it.
    pub(crate) fn check_headers(&self, content_type: &str) {
        let header = |name| self.headers.get(name).expect("a header");
        assert_eq!(self.length, Some(self.body.len() as u64));
        assert_eq!(header(header::CONTENT_TYPE), content_type);
        assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(header(header::CACHE_CONTROL), "no-store");
    }

    /// Its messages; or none, if the request was refused as it may be.
    pub(crate) fn messages(&self) -> Vec<Value> {
        self.check_headers("application/json");
        messages(self.status, &self.body)
    }

    /// The value of the cookie that it sets, with its name.
    pub(crate) fn new_cookie(&self) -> Option<String> {
        let header = self.headers.get(header::SET_COOKIE)?;
        let cookie = header.to_str().expect("a cookie in ASCII");
        cookie.split(';').next().map(ToOwned::to_owned)
    }
}

/// The messages of an answer, each of them sound; or none, if the request was refused as it may be.
pub(crate) fn messages(status: StatusCode, json: &[u8]) -> Vec<Value> {
    let parsed = serde_json::from_slice(json);
    let messages: Vec<Value> = parsed.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)));
    if status == StatusCode::OK {
        messages.iter().for_each(check_message);
        check_order(&messages);
        return messages;
    }
    assert!(REFUSALS.contains(&status.as_u16()), "{status}");
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0]["successful"], false);
    Vec::new()
}

/// A reply says how it went, and an event what happened.
pub(crate) fn check_message(message: &Value) {
    assert!(message.is_object(), "{message}");
    let error = message.get("error").map(|error| error.as_str().expect("a text"));
    match message.get("successful") {
        Some(Value::Bool(true)) => {
            assert!(message["channel"].is_string(), "{message}");
            assert_eq!(error, None, "{message}");
        }
        Some(Value::Bool(false)) => {
            assert!(error.is_some_and(|error| !error.is_empty()), "{message}");
            assert!(message.get("channel").is_none_or(Value::is_string), "{message}");
        }
        Some(_) => panic!("{message}"),
        None => {
            assert!(message["channel"].is_string(), "{message}");
            assert!(
                message.get("data").is_some() || message["channel"] == "/meta/disconnect",
                "{message}"
            );
        }
    }
}

/// Events come first, replies to connects last.
fn check_order(messages: &[Value]) {
    let rank = |message: &Value| match message.get("successful") {
        None => 0,
        Some(_) if message["channel"] != "/meta/connect" => 1,
        // One that is refused is a reply like any other.
        Some(Value::Bool(false)) => 1,
        Some(_) => 2,
    };
    assert!(messages.is_sorted_by_key(rank), "{messages:?}");
}
