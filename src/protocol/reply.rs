//! Replies to clients.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    Advice, ClientId, Json, OwnedJson, Transports,
    json::{write_id, write_number, write_text},
};

/// What an `ext` holds, by extension.
pub(crate) type Ext = Map<String, Value>;

/// The reply to one message. `channel` and `successful` are always there (`channel` unless the message had none);
/// `id` and `subscription` come back as they came.
#[derive(Debug, Default)]
pub(crate) struct Reply<'a> {
    pub(crate) id: Option<Json<'a>>,
    pub(crate) channel: Option<Cow<'a, str>>,
    pub(crate) successful: bool,
    pub(crate) error: Option<Cow<'a, str>>,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) version: Option<&'static str>,
    pub(crate) minimum_version: Option<&'static str>,
    pub(crate) supported_connection_types: Option<Transports>,
    pub(crate) subscription: Option<Json<'a>>,
    pub(crate) ext: Ext,
    pub(crate) advice: Option<Advice>,
}

impl Reply<'_> {
    /// The reply as JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.room());
        self.write(&mut json);
        json
    }

    /// As long as the reply may be as JSON, unless something in it has to be escaped.
    pub(crate) fn room(&self) -> usize {
        let raw = |json: Option<Json<'_>>| json.map_or(0, |json| json.get().len());
        let text = |text: &Option<Cow<'_, str>>| text.as_deref().map_or(0, str::len);
        let session = if self.client_id.is_some() { 240 } else { 0 };
        raw(self.id) + text(&self.channel) + text(&self.error) + raw(self.subscription) + session + 160
    }

    /// Writes the reply as JSON. By hand: every answer has one, and `serde_json` takes ten times as long for it.
    pub(crate) fn write(&self, json: &mut Vec<u8>) {
        json.push(b'{');
        if let Some(id) = self.id {
            json.extend_from_slice(br#""id":"#);
            json.extend_from_slice(id.get().as_bytes());
            json.push(b',');
        }
        if let Some(channel) = &self.channel {
            json.extend_from_slice(br#""channel":"#);
            write_text(json, channel);
            json.push(b',');
        }
        let successful: &[u8] = if self.successful {
            br#""successful":true"#
        } else {
            br#""successful":false"#
        };
        json.extend_from_slice(successful);
        if let Some(error) = &self.error {
            json.extend_from_slice(br#","error":"#);
            write_text(json, error);
        }
        self.write_session(json);
        if let Some(subscription) = self.subscription {
            json.extend_from_slice(br#","subscription":"#);
            json.extend_from_slice(subscription.get().as_bytes());
        }
        if !self.ext.is_empty() {
            json.extend_from_slice(br#","ext":"#);
            // Values can always be written.
            let _ = serde_json::to_writer(&mut *json, &self.ext);
        }
        if let Some(advice) = &self.advice {
            json.extend_from_slice(br#","advice":"#);
            write_advice(json, advice);
        }
        json.push(b'}');
    }

    /// What the reply to a handshake says about the new session.
    fn write_session(&self, json: &mut Vec<u8>) {
        if let Some(client_id) = &self.client_id {
            json.extend_from_slice(br#","clientId":"#);
            write_id(json, client_id);
        }
        if let Some(version) = self.version {
            json.extend_from_slice(br#","version":"#);
            write_text(json, version);
        }
        if let Some(version) = self.minimum_version {
            json.extend_from_slice(br#","minimumVersion":"#);
            write_text(json, version);
        }
        if let Some(transports) = self.supported_connection_types {
            json.extend_from_slice(br#","supportedConnectionTypes":["#);
            for (index, name) in transports.connection_types().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                write_text(json, name);
            }
            json.push(b']');
        }
    }
}

/// A reply that many messages get, written beforehand: all but the `id`.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// From the comma after the `id` to the end.
    rest: Vec<u8>,
}

impl Prepared {
    pub(crate) fn new(reply: &Reply<'_>) -> Self {
        let mut rest = reply.to_json();
        if let Some(bracket) = rest.first_mut() {
            *bracket = b',';
        }
        Self { rest }
    }

    /// The reply to the message of this `id`, in pieces.
    pub(crate) fn to<'a>(&'a self, id: Option<&'a OwnedJson>) -> [&'a [u8]; 3] {
        match id {
            Some(id) => [br#"{"id":"#, id.as_bytes(), &self.rest],
            None => [b"{", self.rest.get(1..).unwrap_or_default(), b""],
        }
    }
}

fn write_advice(json: &mut Vec<u8>, advice: &Advice) {
    json.extend_from_slice(br#"{"reconnect":""#);
    json.extend_from_slice(advice.reconnect.as_str().as_bytes());
    json.extend_from_slice(br#"","interval":"#);
    write_number(json, advice.interval);
    json.extend_from_slice(br#","timeout":"#);
    write_number(json, advice.timeout);
    if advice.multiple_clients {
        json.extend_from_slice(br#","multiple-clients":true"#);
    }
    json.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::Serialize;

    use super::*;
    use crate::protocol::Reconnect;

    /// The same reply, written by serde.
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Expected<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<&'a str>,
        successful: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<ClientId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        minimum_version: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        supported_connection_types: Option<Vec<&'static str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        subscription: Option<[&'a str; 2]>,
        #[serde(skip_serializing_if = "Map::is_empty")]
        ext: Ext,
        #[serde(skip_serializing_if = "Option::is_none")]
        advice: Option<Advice>,
    }

    fn check(reply: &Reply<'_>, expected: &Expected<'_>) {
        let json = reply.to_json();
        assert_eq!(
            std::str::from_utf8(&json).unwrap(),
            serde_json::to_string(expected).unwrap()
        );
    }

    #[test]
    fn a_reply_that_is_prepared_lacks_only_its_id() {
        let reply = |id| Reply {
            id,
            channel: Some("/a".into()),
            ..Reply::default()
        };
        let prepared = Prepared::new(&reply(None));
        assert_eq!(prepared.to(None).concat(), reply(None).to_json());
        for id in ["7", r#""\u0061b""#, "null"].map(Json::new) {
            assert_eq!(prepared.to(Some(&id.into())).concat(), reply(Some(id)).to_json());
        }
    }

    #[test]
    fn a_reply_has_what_serde_would_write() {
        let hard = "/a\"\\\n\u{0}\u{7f}\u{2028}ä\u{1f600}/b";
        let client_id: ClientId = "0f00000000000000000000000000000000abcdef".parse().unwrap();
        let ext: Ext = [("ack\"".to_owned(), Value::from("\n")), ("b".to_owned(), Value::Null)]
            .into_iter()
            .collect();
        let advice = Advice::new(Reconnect::Handshake, Duration::MAX, Duration::ZERO);
        for advice in [advice, advice.for_multiple_clients()] {
            check(
                &Reply {
                    id: Some(Json::new("7")),
                    channel: Some(hard.into()),
                    successful: true,
                    error: Some(hard.into()),
                    client_id: Some(client_id),
                    version: Some("1.0"),
                    minimum_version: Some("1.1"),
                    supported_connection_types: Some(Transports::all()),
                    subscription: Some(Json::new(r#"["/x","/y"]"#)),
                    ext: ext.clone(),
                    advice: Some(advice),
                },
                &Expected {
                    id: Some(7),
                    channel: Some(hard),
                    successful: true,
                    error: Some(hard),
                    client_id: Some(client_id),
                    version: Some("1.0"),
                    minimum_version: Some("1.1"),
                    supported_connection_types: Some(Transports::all().connection_types().collect()),
                    subscription: Some(["/x", "/y"]),
                    ext: ext.clone(),
                    advice: Some(advice),
                },
            );
        }
    }

    #[test]
    fn a_reply_leaves_out_what_it_does_not_have() {
        assert_eq!(Reply::default().to_json(), br#"{"successful":false}"#);
    }

    #[test]
    fn there_is_room_for_a_reply() {
        let reply = Reply {
            id: Some(Json::new("\"123456\"")),
            channel: Some("/meta/handshake".into()),
            client_id: "0f00000000000000000000000000000000abcdef".parse().ok(),
            version: Some("1.0"),
            minimum_version: Some("1.0"),
            supported_connection_types: Some(Transports::all()),
            advice: Some(Advice::new(Reconnect::Handshake, Duration::MAX, Duration::MAX).for_multiple_clients()),
            ..Reply::default()
        };
        assert!(reply.to_json().len() <= reply.room());
        let reply = Reply {
            client_id: None,
            version: None,
            minimum_version: None,
            supported_connection_types: None,
            ..reply
        };
        assert!(reply.to_json().len() <= reply.room());
    }

    #[test]
    fn the_words_of_an_advice_are_those_that_serde_reads() {
        for reconnect in [Reconnect::Retry, Reconnect::Handshake, Reconnect::None] {
            assert_eq!(
                serde_json::to_string(&reconnect).unwrap(),
                format!("\"{}\"", reconnect.as_str())
            );
        }
    }
}
