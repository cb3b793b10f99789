//! Bayeux messages, out and in. Requests are written the way cometd.js writes them, field by field in its order.

use std::{borrow::Cow, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::Error;

pub(crate) const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["long-polling"],"advice":{"timeout":60000,"interval":0}}]"#;

/// The `data` of every message that is sent.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Payload<'a> {
    /// The publisher.
    pub(crate) p: u32,
    /// The channel, by its number.
    pub(crate) c: u32,
    /// The number in the sequence of this publisher and channel.
    pub(crate) s: u64,
    /// When it was to be sent: microseconds since the run began.
    pub(crate) t: u64,
    pub(crate) chat: &'a str,
}

/// A message that came in: an event if it has `data`, otherwise a reply.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming<'a> {
    #[serde(borrow, default)]
    pub(crate) channel: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) data: Option<Payload<'a>>,
    pub(crate) successful: Option<bool>,
    #[serde(rename = "clientId", borrow)]
    pub(crate) client_id: Option<Cow<'a, str>>,
    pub(crate) error: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) advice: Advice,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Advice {
    /// Milliseconds to wait before the next connect.
    #[serde(default)]
    pub(crate) interval: u64,
}

impl Incoming<'_> {
    pub(crate) fn is_refusal(&self) -> bool {
        self.successful == Some(false)
    }

    /// The refusal as an error.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_refusal() {
            return Err(format!("{} refused: {}", self.channel, self.error.as_deref().unwrap_or("-")).into());
        }
        Ok(())
    }
}

pub(crate) fn parse(body: &[u8]) -> Result<Vec<Incoming<'_>>, Error> {
    serde_json::from_slice(body).map_err(|error| {
        let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        format!("not a Bayeux answer: {error}: {text}").into()
    })
}

pub(crate) fn connect(client_id: &str, id: u64) -> String {
    format!(r#"[{{"channel":"/meta/connect","clientId":"{client_id}","id":"{id}","connectionType":"long-polling"}}]"#)
}

pub(crate) fn connect_at_once(client_id: &str, id: u64) -> String {
    format!(
        r#"[{{"channel":"/meta/connect","clientId":"{client_id}","id":"{id}","connectionType":"long-polling","advice":{{"timeout":0}}}}]"#
    )
}

pub(crate) fn disconnect(client_id: &str) -> String {
    format!(r#"[{{"channel":"/meta/disconnect","clientId":"{client_id}","id":"2"}}]"#)
}

pub(crate) fn subscribe(client_id: &str, channel: &str) -> String {
    format!(r#"[{{"channel":"/meta/subscribe","clientId":"{client_id}","id":"2","subscription":"{channel}"}}]"#)
}

/// A batch of publishes: channel and payload of each.
pub(crate) fn publish<'a>(
    client_id: &str,
    first_id: u64,
    messages: impl Iterator<Item = (&'a str, Payload<'a>)>,
) -> String {
    let mut json = String::from("[");
    for (index, (channel, payload)) in (0..).zip(messages) {
        let comma = if index > 0 { "," } else { "" };
        let id = first_id + index;
        let Payload { p, c, s, t, chat } = payload;
        // Writing to a string can't fail.
        let _ = write!(
            json,
            r#"{comma}{{"channel":"{channel}","clientId":"{client_id}","id":"{id}","data":{{"p":{p},"c":{c},"s":{s},"t":{t},"chat":"{chat}"}}}}"#
        );
    }
    json.push(']');
    json
}
