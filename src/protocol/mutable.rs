//! A message as its fields, for code that changes messages.

use std::{borrow::Cow, collections::HashMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, MapAccess, Visitor},
    ser::SerializeMap,
};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{DataError, Reply, message::Inbound};

/// A Bayeux message that may be changed: its fields by name, each as JSON, in the order in which they came.
///
/// [Extensions](crate::extension) and [listeners](crate::listener) get one. A field is parsed only when it is asked for,
/// and goes on letter by letter unless it is set.
///
/// ```
/// use serde_json::json;
/// use tower_bayeux::MutableMessage;
///
/// let mut message = MutableMessage::new("/stock/ACME");
/// message.set_data(&json!({ "price": 42 }))?;
/// message.set_ext("currency", "EUR")?;
/// assert_eq!(message.channel().as_deref(), Some("/stock/ACME"));
/// assert_eq!(message.ext::<String>("currency")?.as_deref(), Some("EUR"));
/// assert_eq!(message.to_json(), r#"{"channel":"/stock/ACME","data":{"price":42},"ext":{"currency":"EUR"}}"#);
/// # Ok::<(), tower_bayeux::DataError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MutableMessage {
    /// Few, so a list will do, and each name once.
    fields: Vec<(Cow<'static, str>, Box<RawValue>)>,
}

impl MutableMessage {
    /// A message that has nothing but a channel.
    #[must_use]
    pub fn new(channel: &str) -> Self {
        let mut message = Self::default();
        if let Ok(channel) = to_raw_value(channel) {
            message.set_raw("channel", channel);
        }
        message
    }

    /// The channel, if there is one and it is a string.
    #[must_use]
    pub fn channel(&self) -> Option<String> {
        self.field("channel").ok().flatten()
    }

    /// Whether this is a `/meta/…` message.
    #[must_use]
    pub fn is_meta(&self) -> bool {
        self.channel().is_some_and(|channel| channel.starts_with("/meta/"))
    }

    /// The `data`, parsed; none counts as `null`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        DataError::parse(self.raw_field("data").unwrap_or("null"))
    }

    /// Sets the `data`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it can't be written as JSON; the message is as it was then.
    pub fn set_data<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<(), DataError> {
        self.set_field("data", data)
    }

    /// One entry of `ext`, parsed; `None` if there is none, or if it is `null`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`.
    pub fn ext<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, DataError> {
        self.exts()
            .remove(name)
            .filter(|value| !value.is_null())
            .map(DataError::from_value)
            .transpose()
    }

    /// Whether `ext` has this entry.
    #[must_use]
    pub fn has_ext(&self, name: &str) -> bool {
        self.exts().contains_key(name)
    }

    /// Sets one entry of `ext`. An `ext` that is no object is replaced by one.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it can't be written as JSON; the message is as it was then.
    pub fn set_ext<T: Serialize + ?Sized>(&mut self, name: impl Into<String>, value: &T) -> Result<(), DataError> {
        let value = DataError::to_value(value)?;
        let mut exts = self.exts();
        exts.insert(name.into(), value);
        self.set_field("ext", &exts)
    }

    /// Removes one entry of `ext`, and `ext` itself with its last one. Says whether there was one.
    pub fn remove_ext(&mut self, name: &str) -> bool {
        let mut exts = self.exts();
        if exts.remove(name).is_none() {
            return false;
        }
        if exts.is_empty() {
            return self.remove_field("ext");
        }
        self.set_field("ext", &exts).is_ok()
    }

    fn exts(&self) -> Map<String, Value> {
        self.field("ext").ok().flatten().unwrap_or_default()
    }

    /// Any field, parsed; `None` if there is none, or if it is `null`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it is not a `T`.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, DataError> {
        self.raw_field(name)
            .filter(|json| *json != "null")
            .map(DataError::parse)
            .transpose()
    }

    /// Any field, as JSON.
    #[must_use]
    pub fn raw_field(&self, name: &str) -> Option<&str> {
        self.raw(name).map(RawValue::get)
    }

    /// Sets any field.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the value can't be written as JSON; the message is as it was then.
    pub fn set_field<T: Serialize + ?Sized>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: &T,
    ) -> Result<(), DataError> {
        self.set_raw(name, to_raw_value(value).map_err(DataError::unwritable)?);
        Ok(())
    }

    /// Removes any field, and says whether there was one.
    pub fn remove_field(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|(each, _)| each != name);
        self.fields.len() < before
    }

    /// The names of the fields, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| &**name)
    }

    /// The message as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn raw(&self, name: &str) -> Option<&RawValue> {
        self.fields
            .iter()
            .find(|(each, _)| each == name)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn set_raw(&mut self, name: impl Into<Cow<'static, str>>, value: Box<RawValue>) {
        let name = name.into();
        match self.fields.iter_mut().find(|(each, _)| *each == name) {
            Some((_, slot)) => *slot = value,
            None => self.fields.push((name, value)),
        }
    }

    /// All fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.fields.iter().map(|(name, value)| (&**name, &**value))
    }

    /// A reply, taken apart.
    pub(crate) fn of(reply: &Reply<'_>) -> Self {
        Self::parse(&reply.to_json()).unwrap_or_default()
    }

    /// One JSON object, taken apart.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The message as the dispatcher reads it.
    pub(crate) fn view(&self) -> Inbound<'_> {
        Inbound::of(self)
    }
}

impl Serialize for MutableMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, value) in &self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for MutableMessage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = MutableMessage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Bayeux message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MutableMessage, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            fields.push((Cow::Owned(name), value));
        }
        forget_repeated(&mut fields);
        Ok(MutableMessage { fields })
    }
}

/// Leaves the last of each name, in the place of its first. A client may send as many as a body holds, so each is looked
/// at once.
fn forget_repeated(fields: &mut Vec<(Cow<'static, str>, Box<RawValue>)>) {
    let mut places: HashMap<Cow<'static, str>, usize> = HashMap::with_capacity(fields.len());
    let mut kept: Vec<(Cow<'static, str>, Box<RawValue>)> = Vec::with_capacity(fields.len());
    for (name, value) in fields.drain(..) {
        match places.get(&name).and_then(|place| kept.get_mut(*place)) {
            Some((_, slot)) => *slot = value,
            None => {
                places.insert(name.clone(), kept.len());
                kept.push((name, value));
            }
        }
    }
    *fields = kept;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(json: &str) -> MutableMessage {
        MutableMessage::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_touched_goes_on_letter_by_letter() {
        let json = r#"{"channel":"\/a","x":1.0e0,"data":{"z":1, "a":"\u00e4"}}"#;
        let mut message = message(json);
        assert_eq!(message.to_json(), json);
        message.set_field("x", &2).unwrap();
        assert_eq!(message.to_json(), json.replace("1.0e0", "2"));
        assert_eq!(message.channel().as_deref(), Some("/a"));
    }

    #[test]
    fn the_last_of_a_repeated_field_counts() {
        let message = message(r#"{"a":1,"b":2,"a":3}"#);
        assert_eq!(message.to_json(), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn entries_of_ext_come_and_go_and_ext_with_them() {
        let mut message = message(r#"{"channel":"/a","ext":5}"#);
        assert!(!message.has_ext("a") && !message.remove_ext("a"));
        message.set_ext("a", &json!({ "b": 1 })).unwrap();
        message.set_ext("c", &2).unwrap();
        assert_eq!(message.to_json(), r#"{"channel":"/a","ext":{"a":{"b":1},"c":2}}"#);
        assert_eq!(message.ext::<u8>("c").unwrap(), Some(2));
        message.ext::<u8>("a").unwrap_err();
        assert!(message.remove_ext("a") && message.remove_ext("c"));
        assert_eq!(message.to_json(), r#"{"channel":"/a"}"#);
    }

    #[test]
    fn what_is_missing_or_null_is_nothing() {
        let message = message(r#"{"data":null}"#);
        assert_eq!(message.channel(), None);
        assert_eq!(message.field::<u8>("data").unwrap(), None);
        assert_eq!(message.data::<Option<u8>>().unwrap(), None);
        assert!(!message.is_meta());
    }
}
