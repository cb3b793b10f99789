//! Data filters: listeners that look at each text in the data of a message.

use std::borrow::Cow;

use serde_json::Value;

use super::{MessageContext, MessageListener};
use crate::{extension::Fate, protocol::MutableMessage};

/// A [`MessageListener`] that gives each text in the data to a function: strings at any depth of arrays and objects, but
/// not the names of fields. CometD's `JSONDataFilter`.
///
/// The function returns what the text becomes, or `None` to delete the message.
///
/// ```
/// use std::borrow::Cow;
///
/// use tower_bayeux::{BayeuxServer, listener::DataFilter};
///
/// let bayeux = BayeuxServer::new();
/// bayeux.on_message("/chat/**", DataFilter::no_markup())?;
/// bayeux.on_message("/chat/**", DataFilter::new(|text: &str| {
///     if text.len() > 10_000 {
///         return None;
///     }
///     Some(if text.contains("darn") { text.replace("darn", "****").into() } else { Cow::Borrowed(text) })
/// }))?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DataFilter<F>(F);

impl<F> DataFilter<F>
where
    F: Fn(&str) -> Option<Cow<'_, str>> + Send + Sync + 'static,
{
    /// A filter of your own.
    pub const fn new(filter: F) -> Self {
        Self(filter)
    }
}

impl DataFilter<fn(&str) -> Option<Cow<'_, str>>> {
    /// Makes markup harmless: `<` becomes `&lt;`, and so on. For clients that would put a text into a page as it is; better
    /// have them not do that.
    #[must_use]
    pub const fn no_markup() -> Self {
        Self(escape)
    }
}

impl<F> MessageListener for DataFilter<F>
where
    F: Fn(&str) -> Option<Cow<'_, str>> + Send + Sync + 'static,
{
    fn on_message(&self, message: &mut MutableMessage, _: &MessageContext<'_>) -> Fate {
        let Ok(mut data) = message.data::<Value>() else {
            return Fate::Delete;
        };
        match filter(&mut data, &self.0) {
            Some(false) => Fate::Pass,
            Some(true) if message.set_data(&data).is_ok() => Fate::Pass,
            _ => Fate::Delete,
        }
    }
}

/// Whether anything has changed; `None` if the message is to be deleted. The depth is bounded, as that of all JSON that
/// comes in.
fn filter<F>(value: &mut Value, apply: &F) -> Option<bool>
where
    F: Fn(&str) -> Option<Cow<'_, str>>,
{
    match value {
        Value::String(text) => {
            let Cow::Owned(filtered) = apply(text)? else {
                return Some(false);
            };
            *text = filtered;
            Some(true)
        }
        Value::Array(values) => filter_all(values.iter_mut(), apply),
        Value::Object(fields) => filter_all(fields.values_mut(), apply),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(false),
    }
}

fn filter_all<'a, F>(values: impl Iterator<Item = &'a mut Value>, apply: &F) -> Option<bool>
where
    F: Fn(&str) -> Option<Cow<'_, str>>,
{
    let mut changed = false;
    for value in values {
        changed |= filter(value, apply)?;
    }
    Some(changed)
}

fn escape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Some(Cow::Borrowed(text));
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Some(escaped.into())
}
