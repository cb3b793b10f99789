//! Messages from clients, and what their fields say.

use std::{borrow::Cow, collections::HashSet, fmt, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{BayeuxError, ChannelName, ClientId, Denied, Json, MutableMessage, json::Text, scan::scan_fields};

/// The longest `id`, in bytes of JSON.
const MAX_ID_LEN: usize = 256;

/// One message of a client. Fields are kept as raw JSON until somebody asks for them, so that a wrong type fails its
/// own message and nothing else, and `data` is never parsed at all. Of a repeated key the last one counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inbound<'a> {
    pub(super) channel: Option<Json<'a>>,
    pub(super) client_id: Option<Json<'a>>,
    pub(super) id: Option<Json<'a>>,
    pub(super) subscription: Option<Json<'a>>,
    pub(super) connection_type: Option<Json<'a>>,
    pub(super) advice: Option<Json<'a>>,
    pub(super) data: Option<Json<'a>>,
    pub(super) ext: Option<Json<'a>>,
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
    /// Each once, however often it is named.
    pub(crate) channels: Vec<ChannelName>,
    /// The field as it came, to be echoed in the same shape.
    pub(crate) echo: Json<'a>,
}

impl<'a> Inbound<'a> {
    pub(super) fn of(message: &'a MutableMessage) -> Self {
        let raw = |name| message.raw(name).map(Json::from);
        Self {
            channel: raw("channel"),
            client_id: raw("clientId"),
            id: raw("id"),
            subscription: raw("subscription"),
            advice: raw("advice"),
            data: raw("data"),
            ext: raw("ext"),
            connection_type: raw("connectionType"),
            whole: Some(message),
        }
    }

    /// The field of a name, if it is one that is looked at.
    pub(super) fn field(&mut self, name: &str) -> Option<&mut Option<Json<'a>>> {
        Some(match name {
            "channel" => &mut self.channel,
            "clientId" => &mut self.client_id,
            "id" => &mut self.id,
            "subscription" => &mut self.subscription,
            "connectionType" => &mut self.connection_type,
            "advice" => &mut self.advice,
            "data" => &mut self.data,
            "ext" => &mut self.ext,
            _ => return None,
        })
    }

    /// The message as extensions have left it; `None` where there are none.
    pub(crate) const fn whole(&self) -> Option<&'a MutableMessage> {
        self.whole
    }

    /// The channel as it came, or why there is none.
    pub(crate) fn channel(&self) -> Result<Cow<'a, str>, BayeuxError> {
        match self.channel.and_then(present) {
            None => Err(BayeuxError::ChannelMissing),
            Some(json) => json.text().ok_or(BayeuxError::ChannelInvalid),
        }
    }

    /// The `clientId`, if it is a string.
    pub(crate) fn client_id(&self) -> Option<Cow<'a, str>> {
        self.client_id.and_then(Json::text)
    }

    /// The session that the `clientId` may be of.
    pub(crate) fn session_id(&self) -> Option<ClientId> {
        let json = self.client_id?;
        match json.get().as_bytes() {
            [b'"', digits @ .., b'"'] => ClientId::from_hex(digits),
            _ => None,
        }
        // It may be written with escapes.
        .or_else(|| json.text()?.parse().ok())
    }

    /// The `connectionType`, if it is a string.
    pub(crate) fn connection_type(&self) -> Option<Cow<'a, str>> {
        self.connection_type.and_then(Json::text)
    }

    /// Whether there is a `clientId`, of whatever type.
    pub(crate) fn has_client_id(&self) -> bool {
        self.client_id.and_then(present).is_some()
    }

    /// The `id` to echo, with its JSON type.
    pub(crate) fn id(&self) -> Result<Option<Json<'a>>, BayeuxError> {
        match self.id.and_then(present) {
            None => Ok(None),
            Some(json) if is_id(json.get()) => Ok(Some(json)),
            Some(_) => Err(BayeuxError::MessageIdInvalid),
        }
    }

    /// The `subscription` field: a name or an array of names, each of them valid.
    pub(crate) fn subscriptions(&self) -> Result<Subscriptions<'a>, Denied<'a>> {
        let echo = self.subscription_echo().ok_or(BayeuxError::SubscriptionMissing)?;
        let names: Vec<Cow<'a, str>> = match echo.text() {
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
        let mut channels = names
            .into_iter()
            .map(|name| {
                ChannelName::parse(&name).map_err(|_| Denied::on_channel(BayeuxError::SubscriptionInvalid, name))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if channels.len() > 1 {
            let mut seen = HashSet::new();
            channels.retain(|channel| seen.insert(channel.clone()));
        }
        Ok(Subscriptions { channels, echo })
    }

    /// The `subscription` field as it came.
    pub(crate) fn subscription_echo(&self) -> Option<Json<'a>> {
        self.subscription.and_then(present)
    }

    /// The client's advice; numbers below zero count as absent, as in CometD.
    pub(crate) fn advice(&self) -> Result<ClientAdvice, BayeuxError> {
        let Some(json) = self.advice.and_then(present) else {
            return Ok(ClientAdvice::default());
        };
        if let Some(advice) = plain_advice(json) {
            return Ok(advice);
        }
        let fields: AdviceFields = serde_json::from_str(json.get()).map_err(|_| BayeuxError::AdviceInvalid)?;
        Ok(ClientAdvice {
            timeout: millis(&fields.timeout)?,
            interval: millis(&fields.interval)?,
        })
    }

    /// The `data` field; an event always carries one, or clients would take it for a reply.
    pub(crate) fn data(&self) -> &'a str {
        self.data.map_or("null", Json::get)
    }

    /// The `ext` field, if it is an object.
    pub(crate) fn ext(&self) -> Option<&'a str> {
        self.ext.map(Json::get).filter(|ext| ext.starts_with('{'))
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

fn present(json: Json<'_>) -> Option<Json<'_>> {
    (json.get() != "null").then_some(json)
}

/// An advice as clients write it, in whole milliseconds; `None` if it takes a parser to tell.
fn plain_advice(json: Json<'_>) -> Option<ClientAdvice> {
    let mut advice = ClientAdvice::default();
    let mut is_plain = true;
    scan_fields(json, |name, value| {
        let field = match name {
            "timeout" => &mut advice.timeout,
            "interval" => &mut advice.interval,
            _ => return,
        };
        *field = value
            .get()
            .parse::<u32>()
            .ok()
            .map(|millis| Duration::from_millis(millis.into()));
        is_plain &= field.is_some();
    })?;
    is_plain.then_some(advice)
}

/// The fields of an advice that are looked at. Of a repeated one the last counts.
#[derive(Default)]
struct AdviceFields {
    timeout: Value,
    interval: Value,
}

impl<'de> Deserialize<'de> for AdviceFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for AdviceFields {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an advice")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            let value = map.next_value()?;
            match &*name {
                "timeout" => self.timeout = value,
                "interval" => self.interval = value,
                _ => {}
            }
        }
        Ok(self)
    }
}

fn millis(value: &Value) -> Result<Option<Duration>, BayeuxError> {
    if value.is_null() {
        return Ok(None);
    }
    let millis = value.as_f64().ok_or(BayeuxError::AdviceInvalid)?;
    Ok(Duration::try_from_secs_f64(millis / 1000.0).ok())
}
