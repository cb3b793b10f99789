//! The `callback-polling` transport: JSONP. Messages come in the query of a GET; the answer is a script that calls a
//! function of the page with them.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::request::Parts;
use memchr::memmem;

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
    /// for another kind of file.
    pub(super) fn script(&self, json: &[u8]) -> Bytes {
        let mut script = Vec::with_capacity(json.len() + self.0.len() + 8);
        script.extend_from_slice(b"/**/");
        script.extend_from_slice(self.0.as_bytes());
        if may_name_prototype(json) {
            script.extend_from_slice(b"(JSON.parse(\"");
            push_quoted(&mut script, json);
            script.extend_from_slice(b"\"));");
        } else {
            script.push(b'(');
            push_literal(&mut script, json);
            script.extend_from_slice(b");");
        }
        script.into()
    }
}

/// Whether JSON may mean something else as part of a script. There a field `__proto__` sets the object's prototype, with
/// escapes in its name or without, and two of them are a syntax error: the page would lose the whole answer.
fn may_name_prototype(json: &[u8]) -> bool {
    let has = |text: &[u8]| memmem::find(json, text).is_some();
    has(b"__proto__") || has(br"\u")
}

/// Appends JSON as a value. The separators are line ends to old script engines, though not to JSON.
fn push_literal(script: &mut Vec<u8>, json: &[u8]) {
    let mut rest = json;
    while let Some((before, separator, after)) = split_at_separator(rest) {
        script.extend_from_slice(before);
        script.extend_from_slice(separator);
        rest = after;
    }
    script.extend_from_slice(rest);
}

/// Appends JSON as what stands between the quotes of a string, which may not have the white space that is between tokens.
fn push_quoted(script: &mut Vec<u8>, json: &[u8]) {
    let mut literal = Vec::with_capacity(json.len());
    push_literal(&mut literal, json);
    for byte in literal {
        match byte {
            b'"' | b'\\' => script.extend_from_slice(&[b'\\', byte]),
            b'\n' => script.extend_from_slice(br"\n"),
            b'\r' => script.extend_from_slice(br"\r"),
            b'\t' => script.extend_from_slice(br"\t"),
            _ => script.push(byte),
        }
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

    fn script(json: &str) -> String {
        let script = Callback("f".into()).script(json.as_bytes());
        String::from_utf8(script.into()).unwrap()
    }

    #[test]
    fn line_separators_are_escaped() {
        assert_eq!(
            script("[\"a\u{2028}\u{2029}\u{2027}\"]"),
            "/**/f([\"a\\u2028\\u2029\u{2027}\"]);"
        );
    }

    #[test]
    fn what_may_name_the_prototype_is_a_string_to_be_parsed() {
        assert_eq!(
            script("{\"__proto__\":\r\n\t\"\\\"\u{2028}\"}"),
            r#"/**/f(JSON.parse("{\"__proto__\":\r\n\t\"\\\"\\u2028\"}"));"#
        );
        assert_eq!(script(r#"["\u005f"]"#), r#"/**/f(JSON.parse("[\"\\u005f\"]"));"#);
        assert_eq!(script(r#"["_proto_\n"]"#), r#"/**/f(["_proto_\n"]);"#);
    }
}
