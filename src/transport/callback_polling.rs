//! The `callback-polling` transport: JSONP. Messages come in the query of a GET; the answer is a script that calls a
//! function of the page with them.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::request::Parts;

use super::{
    answer::{Form, refuse},
    polling::{self, Processed},
    request::Refusal,
};
use crate::{Transport, server::State, striped::Share};

/// The longest name of a function, in bytes.
const MAX_NAME: usize = 64;

/// What Faye calls the function of a request that names none.
const DEFAULT_NAME: &str = "jsonpcallback";

/// Whether a query is that of a JSONP request.
pub(super) fn has_messages(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "message")
}

/// Serves one request, held as one of long-polling is.
pub(super) async fn serve(state: Share<State>, request: Arc<Parts>) -> Processed {
    let query = request.uri.query().unwrap_or_default();
    let form = match form(query, state.config.max_body_bytes) {
        Ok(form) => form,
        Err(refusal) => return Processed::Answered(refuse(refusal, Transport::CallbackPolling, &state)),
    };
    let texts: Vec<Cow<'_, str>> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "message")
        .map(|(_, text)| text)
        .collect();
    polling::process(&state, &request, &texts, form).await
}

/// How the answer to a query is to be put, if it has one.
fn form(query: &str, longest: usize) -> Result<Form, Refusal> {
    let callback = Callback::of(query)?;
    if query.len() > longest {
        return Err(Refusal::BodyTooLarge);
    }
    Ok(Form::Script(callback))
}

/// The name of a function that a page has defined: identifiers with dots in between, and nothing that could be a
/// script of its own.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Callback(Box<str>);

impl Callback {
    /// The one that a query names, once at most.
    fn of(query: &str) -> Result<Self, Refusal> {
        let mut names = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "jsonp");
        let name = names.next().map_or(Cow::Borrowed(DEFAULT_NAME), |(_, name)| name);
        if names.next().is_some() || name.len() > MAX_NAME || !name.split('.').all(is_identifier) {
            return Err(Refusal::Callback);
        }
        Ok(Self(name.into()))
    }

    /// The script that calls it. The comment in front keeps the first bytes, which a client chooses, from being taken
    /// for another kind of file; the separators are line ends to old script engines, though not to JSON.
    pub(super) fn script(&self, json: &[u8]) -> Bytes {
        let mut script = Vec::with_capacity(json.len() + self.0.len() + 8);
        script.extend_from_slice(b"/**/");
        script.extend_from_slice(self.0.as_bytes());
        script.push(b'(');
        let mut rest = json;
        while let Some((before, separator, after)) = split_at_separator(rest) {
            script.extend_from_slice(before);
            script.extend_from_slice(separator);
            rest = after;
        }
        script.extend_from_slice(rest);
        script.extend_from_slice(b");");
        script.into()
    }
}

fn is_identifier(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_letter) && bytes.all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// What stands before the first U+2028 or U+2029, its escape, and what comes after it.
fn split_at_separator(json: &[u8]) -> Option<(&[u8], &'static [u8], &[u8])> {
    let at = json
        .windows(3)
        .position(|bytes| matches!(bytes, [0xe2, 0x80, 0xa8 | 0xa9]))?;
    let (before, rest) = json.split_at_checked(at)?;
    let (separator, after) = rest.split_at_checked(3)?;
    let escaped: &[u8] = if separator.ends_with(&[0xa8]) {
        br"\u2028"
    } else {
        br"\u2029"
    };
    Some((before, escaped, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_a_dotted_identifier_and_short() {
        for good in ["f", "_cometd_jsonp_1", "__jsonp1__", "$", "a.b.$c9"] {
            assert_eq!(
                Callback::of(&format!("message=[]&jsonp={good}")),
                Ok(Callback(good.into()))
            );
        }
        let long = "a".repeat(65);
        for bad in [
            "",
            "1",
            "a..b",
            ".a",
            "a-b",
            "a(",
            "a;b",
            "alert(1)//",
            "a%20b",
            "%C3%A4",
            "a[0]",
            &long,
        ] {
            assert_eq!(Callback::of(&format!("jsonp={bad}")), Err(Refusal::Callback), "{bad}");
        }
        assert_eq!(Callback::of("jsonp=a&jsonp=b"), Err(Refusal::Callback));
        assert_eq!(Callback::of("message=[]"), Ok(Callback(DEFAULT_NAME.into())));
    }

    #[test]
    fn line_separators_are_escaped() {
        let script = Callback("f".into()).script("[\"a\u{2028}\u{2029}\u{2027}\"]".as_bytes());
        assert_eq!(script, "/**/f([\"a\\u2028\\u2029\u{2027}\"]);".as_bytes());
    }
}
