//! Replies to clients.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{
    Advice, ClientId, Json, Transports,
    json::{Length, Sink, write_id, write_number, write_text},
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
    /// The reply as JSON, in a buffer of its size.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.json_len());
        self.write(&mut json);
        json
    }

    /// How long the reply is as JSON.
    pub(crate) fn json_len(&self) -> usize {
        let mut length = Length::default();
        self.write(&mut length);
        length.0
    }

    /// Writes the reply as JSON. By hand: every answer has one, and `serde_json` takes ten times as long for it.
    pub(crate) fn write(&self, out: &mut impl Sink) {
        out.put(b"{");
        if let Some(id) = self.id {
            out.put(br#""id":"#);
            out.put(id.get().as_bytes());
            out.put(b",");
        }
        if let Some(channel) = &self.channel {
            out.put(br#""channel":"#);
            write_text(out, channel);
            out.put(b",");
        }
        out.put(br#""successful":"#);
        out.put(if self.successful { b"true" } else { b"false" });
        if let Some(error) = &self.error {
            out.put(br#","error":"#);
            write_text(out, error);
        }
        self.write_session(out);
        if let Some(subscription) = self.subscription {
            out.put(br#","subscription":"#);
            out.put(subscription.get().as_bytes());
        }
        if !self.ext.is_empty() {
            out.put(br#","ext":"#);
            // Values can always be written.
            out.put(&serde_json::to_vec(&self.ext).unwrap_or_default());
        }
        if let Some(advice) = &self.advice {
            out.put(br#","advice":"#);
            write_advice(out, advice);
        }
        out.put(b"}");
    }

    /// What the reply to a handshake says about the new session.
    fn write_session(&self, out: &mut impl Sink) {
        if let Some(client_id) = &self.client_id {
            out.put(br#","clientId":"#);
            write_id(out, client_id);
        }
        if let Some(version) = self.version {
            out.put(br#","version":"#);
            write_text(out, version);
        }
        if let Some(version) = self.minimum_version {
            out.put(br#","minimumVersion":"#);
            write_text(out, version);
        }
        if let Some(transports) = self.supported_connection_types {
            out.put(br#","supportedConnectionTypes":["#);
            for (index, name) in transports.connection_types().enumerate() {
                if index > 0 {
                    out.put(b",");
                }
                write_text(out, name);
            }
            out.put(b"]");
        }
    }
}

fn write_advice(out: &mut impl Sink, advice: &Advice) {
    out.put(br#"{"reconnect":"#);
    write_text(out, advice.reconnect.as_str());
    out.put(br#","interval":"#);
    write_number(out, advice.interval);
    out.put(br#","timeout":"#);
    write_number(out, advice.timeout);
    if advice.multiple_clients {
        out.put(br#","multiple-clients":true"#);
    }
    out.put(b"}");
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
        assert_eq!((reply.json_len(), json.capacity()), (json.len(), json.len()));
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
        for reconnect in [Reconnect::Retry, Reconnect::Handshake, Reconnect::None] {
            assert_eq!(
                serde_json::to_string(&reconnect).unwrap(),
                format!("\"{}\"", reconnect.as_str())
            );
        }
    }
}
