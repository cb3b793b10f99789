//! Messages from clients, and what their fields say.

use std::{borrow::Cow, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};

use super::{BayeuxError, ChannelName, Denied, MutableMessage};

/// The longest `id`, in bytes of JSON.
const MAX_ID_LEN: usize = 256;

/// One message of a client. Fields are kept as raw JSON until somebody asks for them, so that a wrong type fails its
/// own message and nothing else, and `data` is never parsed at all. Of a repeated key the last one counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inbound<'a> {
    pub(super) channel: Option<&'a RawValue>,
    pub(super) client_id: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) subscription: Option<&'a RawValue>,
    pub(super) connection_type: Option<&'a RawValue>,
    pub(super) advice: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) ext: Option<&'a RawValue>,
    /// All fields, if extensions have had a look at the message.
    pub(super) whole: Option<&'a MutableMessage>,
}

/// What a message says about its connect: both fields in milliseconds on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ClientAdvice {
    pub(crate) timeout: Option<Duration>,
    pub(crate) interval: Option<Duration>,
}

/// The channels that a message (un)subscribes.
#[derive(Debug)]
pub(crate) struct Subscriptions<'a> {
    pub(crate) channels: Vec<ChannelName>,
    /// The field as it came, to be echoed in the same shape.
    pub(crate) echo: &'a RawValue,
}

impl<'a> Inbound<'a> {
    pub(super) fn of(message: &'a MutableMessage) -> Self {
        Self {
            channel: message.raw("channel"),
            client_id: message.raw("clientId"),
            id: message.raw("id"),
            subscription: message.raw("subscription"),
            advice: message.raw("advice"),
            data: message.raw("data"),
            ext: message.raw("ext"),
            connection_type: message.raw("connectionType"),
            whole: Some(message),
        }
    }

    /// The message as extensions have left it; `None` where there are none.
    pub(crate) const fn whole(&self) -> Option<&'a MutableMessage> {
        self.whole
    }

    /// The channel as it came, or why there is none.
    pub(crate) fn channel(&self) -> Result<Cow<'a, str>, BayeuxError> {
        match self.channel.and_then(present) {
            None => Err(BayeuxError::ChannelMissing),
            Some(raw) => text(raw).ok_or(BayeuxError::ChannelInvalid),
        }
    }

    /// The `clientId`, if it is a string.
    pub(crate) fn client_id(&self) -> Option<Cow<'a, str>> {
        self.client_id.and_then(text)
    }

    /// The `connectionType`, if it is a string.
    pub(crate) fn connection_type(&self) -> Option<Cow<'a, str>> {
        self.connection_type.and_then(text)
    }

    /// Whether there is a `clientId`, of whatever type.
    pub(crate) fn has_client_id(&self) -> bool {
        self.client_id.and_then(present).is_some()
    }

    /// The `id` to echo, with its JSON type.
    pub(crate) fn id(&self) -> Result<Option<&'a RawValue>, BayeuxError> {
        match self.id.and_then(present) {
            None => Ok(None),
            Some(raw) if is_id(raw.get()) => Ok(Some(raw)),
            Some(_) => Err(BayeuxError::MessageIdInvalid),
        }
    }

    /// The `subscription` field: a name or an array of names, each of them valid.
    pub(crate) fn subscriptions(&self) -> Result<Subscriptions<'a>, Denied<'a>> {
        let echo = self.subscription_echo().ok_or(BayeuxError::SubscriptionMissing)?;
        let names: Vec<Cow<'a, str>> = match text(echo) {
            Some(name) => vec![name],
            None => serde_json::from_str::<Vec<Text<'a>>>(echo.get())
                .map_err(|_| BayeuxError::SubscriptionInvalid)?
                .into_iter()
                .map(|Text(name)| name)
                .collect(),
        };
        if names.is_empty() {
            return Err(BayeuxError::SubscriptionMissing.into());
        }
        let channels = names
            .into_iter()
            .map(|name| {
                ChannelName::parse(&name).map_err(|_| Denied::on_channel(BayeuxError::SubscriptionInvalid, name))
            })
            .collect::<Result<_, _>>()?;
        Ok(Subscriptions { channels, echo })
    }

    /// The `subscription` field as it came.
    pub(crate) fn subscription_echo(&self) -> Option<&'a RawValue> {
        self.subscription.and_then(present)
    }

    /// The client's advice; numbers below zero count as absent, as in CometD.
    pub(crate) fn advice(&self) -> Result<ClientAdvice, BayeuxError> {
        let Some(raw) = self.advice.and_then(present) else {
            return Ok(ClientAdvice::default());
        };
        let fields: Map<String, Value> = serde_json::from_str(raw.get()).map_err(|_| BayeuxError::AdviceInvalid)?;
        Ok(ClientAdvice {
            timeout: millis(&fields, "timeout")?,
            interval: millis(&fields, "interval")?,
        })
    }

    /// The `data` field; an event always carries one, or clients would take it for a reply.
    pub(crate) fn data(&self) -> &'a str {
        self.data.map_or("null", RawValue::get)
    }

    /// The `ext` field, if it is an object.
    pub(crate) fn ext(&self) -> Option<&'a str> {
        self.ext.map(RawValue::get).filter(|ext| ext.starts_with('{'))
    }
}

/// A string or a number, and short: a held connect owns a copy.
fn is_id(json: &str) -> bool {
    json.len() <= MAX_ID_LEN && json.starts_with(|first: char| matches!(first, '"' | '-' | '0'..='9'))
}

/// The part of `ext` that the acknowledgement extension reads.
#[derive(Default, Deserialize)]
struct AckExt {
    #[serde(default)]
    ack: Value,
}

impl Inbound<'_> {
    /// Whether a handshake asks for the acknowledgement extension. Only `true` does.
    pub(crate) fn wants_to_acknowledge(&self) -> bool {
        self.ack() == Value::Bool(true)
    }

    /// The batch that a connect acknowledges. Clients begin with 0 or -1, and some write it as a float.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        let batch = self.ack().as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates, as it should"
        )]
        let batch = batch as u64;
        Some(batch)
    }

    fn ack(&self) -> Value {
        let ext = self.ext().map(serde_json::from_str::<AckExt>);
        ext.and_then(Result::ok).unwrap_or_default().ack
    }
}

fn present(raw: &RawValue) -> Option<&RawValue> {
    (raw.get() != "null").then_some(raw)
}

fn millis(fields: &Map<String, Value>, name: &str) -> Result<Option<Duration>, BayeuxError> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let millis = value.as_f64().ok_or(BayeuxError::AdviceInvalid)?;
            Ok(Duration::try_from_secs_f64(millis / 1000.0).ok())
        }
    }
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|Text(text)| text)
}

/// A string that borrows where it can (serde's own `Cow` never does inside a `Vec`).
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
