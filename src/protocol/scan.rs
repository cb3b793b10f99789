//! The short way from text to messages, for what clients send all day.
//!
//! One pass finds the fields and proves that their values are JSON, shallow and with numbers that every parser can take:
//! what [`parse_text`](super::parse) needs several for. It never says that a text is wrong. Whatever it does not know
//! (escaped names, `\u` escapes, exponents, deep nesting, and all that is malformed) it leaves to that one to judge.

use super::{
    Json,
    json::plain_length,
    message::Inbound,
    parse::{Messages, ParseLimits},
};

/// How deep a value may nest here; what is published is seldom deeper.
const MAX_DEPTH: usize = 16;

/// The longest number that is certainly within the range of a double.
const MAX_DIGITS: usize = 300;

/// Appends the messages of one JSON text, an array or a single object, within the limits; `None` if it goes beyond or is
/// not as plain as that, and maybe after some of them.
pub(super) fn scan_messages<'a>(text: &'a str, limits: ParseLimits, messages: &mut Messages<'a>) -> Option<()> {
    let mut scanner = Scanner {
        // The array and the message itself are two.
        depth: MAX_DEPTH.min(limits.depth.checked_sub(2)?),
        ..Scanner::new(text)
    };
    let mut room = limits.messages;
    let mut message = |scanner: &mut Scanner<'a>| {
        room = room.checked_sub(1)?;
        messages.push(Inbound::default());
        scanner.message(messages.last_mut()?)
    };
    if scanner.takes(b'[') {
        message(&mut scanner)?;
        while scanner.takes(b',') {
            message(&mut scanner)?;
        }
        scanner.expects(b']')?;
    } else {
        message(&mut scanner)?;
    }
    scanner.is_at_end().then_some(())
}

/// Calls `field` for each field of the object that `json` is; `None` if it is not plain, and maybe after some fields.
pub(super) fn scan_fields<'a>(json: Json<'a>, field: impl FnMut(&'a str, Json<'a>)) -> Option<()> {
    Scanner::new(json.get()).fields(field)
}

/// The field that comes next, if it is one that most messages have and written as clients write it, and how long its name is
/// with all that belongs to it.
fn usual<'m, 'a>(message: &'m mut Inbound<'a>, text: &[u8]) -> Option<(&'m mut Option<Json<'a>>, usize)> {
    // Compared one by one, with lengths that the compiler knows, these are a few instructions each.
    let begins = |name: &[u8]| text.starts_with(name).then_some(name.len());
    if let Some(length) = begins(br#""channel":"#) {
        Some((&mut message.channel, length))
    } else if let Some(length) = begins(br#""clientId":"#) {
        Some((&mut message.client_id, length))
    } else if let Some(length) = begins(br#""id":"#) {
        Some((&mut message.id, length))
    } else if let Some(length) = begins(br#""connectionType":"#) {
        Some((&mut message.connection_type, length))
    } else if let Some(length) = begins(br#""data":"#) {
        Some((&mut message.data, length))
    } else {
        None
    }
}

/// Each method takes something from the text, or gives up with `None`.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// How deep the value of a field may nest.
    depth: usize,
}

impl<'a> Scanner<'a> {
    const fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: MAX_DEPTH,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// Takes a byte, and space before it, if it comes next.
    fn takes(&mut self, byte: u8) -> bool {
        if self.peek() != Some(byte) {
            self.skip_space();
        }
        let comes = self.peek() == Some(byte);
        self.at += usize::from(comes);
        comes
    }

    fn expects(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    fn message(&mut self, message: &mut Inbound<'a>) -> Option<()> {
        self.object(|scanner| {
            if let Some((field, length)) = usual(message, scanner.rest()) {
                scanner.at += length;
                *field = Some(scanner.json()?);
                return Some(());
            }
            let (name, value) = scanner.field()?;
            if let Some(field) = message.field(name) {
                *field = Some(value);
            }
            Some(())
        })
    }

    fn fields(&mut self, mut each: impl FnMut(&'a str, Json<'a>)) -> Option<()> {
        self.object(|scanner| {
            let (name, value) = scanner.field()?;
            each(name, value);
            Some(())
        })
    }

    /// An object that has fields.
    fn object(&mut self, mut field: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expects(b'{')?;
        loop {
            field(self)?;
            if !self.takes(b',') {
                return self.expects(b'}');
            }
        }
    }

    fn field(&mut self) -> Option<(&'a str, Json<'a>)> {
        let name = self.name()?;
        self.expects(b':')?;
        Some((name, self.json()?))
    }

    /// The value of a field.
    fn json(&mut self) -> Option<Json<'a>> {
        self.skip_space();
        let start = self.at;
        self.value(self.depth)?;
        Some(Json::new(self.text.get(start..self.at)?))
    }

    /// The name of a field that is written without escapes.
    fn name(&mut self) -> Option<&'a str> {
        self.expects(b'"')?;
        let start = self.at;
        self.at += plain_length(self.text.as_bytes().get(start..)?);
        self.expects_now(b'"')?;
        self.text.get(start..self.at - 1)
    }

    fn expects_now(&mut self, byte: u8) -> Option<()> {
        self.at += 1;
        (self.text.as_bytes().get(self.at - 1) == Some(&byte)).then_some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b'{' => self.nested(b'}', depth, |scanner, depth| {
                scanner.string()?;
                scanner.expects(b':')?;
                scanner.skip_space();
                scanner.value(depth)
            }),
            b'[' => self.nested(b']', depth, Self::value),
            _ => self.word(),
        }
    }

    /// An array or an object, from its opening bracket to the closing one.
    fn nested(&mut self, close: u8, depth: usize, element: impl Fn(&mut Self, usize) -> Option<()>) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.at += 1;
        if self.takes(close) {
            return Some(());
        }
        loop {
            self.skip_space();
            element(self, depth)?;
            if !self.takes(b',') {
                return self.expects(close);
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.expects_now(b'"')?;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let plain = plain_length(rest);
            match rest.get(plain..)? {
                [b'"', ..] => {
                    self.at += plain + 1;
                    return Some(());
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += plain + 2,
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        (!has_exponent && self.at - start <= MAX_DIGITS).then_some(())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn word(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let mut words = [&b"null"[..], b"true", b"false"].into_iter();
        self.at += words.find(|word| rest.starts_with(word))?.len();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::parse::parse_text;

    const LIMITS: ParseLimits = ParseLimits {
        messages: 3,
        depth: 127,
    };

    fn scanned(text: &str) -> Option<Vec<Inbound<'_>>> {
        let mut messages = Messages::new();
        scan_messages(text, LIMITS, &mut messages).map(|()| messages.into_vec())
    }

    fn parsed(text: &str) -> Option<Vec<Inbound<'_>>> {
        let mut messages = Vec::new();
        parse_text(text, LIMITS, &mut messages).ok().map(|()| messages)
    }

    /// What clients send, and what looks like it.
    const TEXTS: [&str; 18] = [
        r#"[{"channel":"/meta/connect","clientId":"0a1b","id":"3","connectionType":"long-polling"}]"#,
        r#"{"channel":"/a","data":{"x":[1,-2.50,true,false,null,"ä\n\"\\\/"],"y":{}},"id":7}"#,
        r#" [ { "channel" : "/a" , "ext" : { } , "other" : [ ] } , {"id":0} ] "#,
        r#"[{"channel":"/meta/subscribe","subscription":["/a","/b/*"],"advice":{"timeout":0}}]"#,
        r#"[{"channel":"/a","channel":"/b","successful":true}]"#,
        r#"{"id":-0,"data":-0.0}"#,
        r#"{"id":01}"#,
        r#"{"id":1.}"#,
        r#"{"id":.5}"#,
        r#"{"id":-}"#,
        r#"{"id":1e400,"data":1E5}"#,
        r#"{"data":"\ud800","\u0063hannel":"/a"}"#,
        r#"{"data":"\x","id":tru}"#,
        r#"{"data":[1,],"id":{"a"}}"#,
        r#"[{"a":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}]"#,
        "{\"data\":\"a\tb\"}",
        "{\"data\":\"a\u{0}bcdefghijkl\",\"\u{7f}\":\"\u{2028}\u{1f600}\"}",
        "[{},{},{},{}]",
    ];

    #[test]
    fn what_clients_send_is_read_in_one_pass() {
        for text in &TEXTS[..6] {
            assert!(scanned(text).is_some(), "{text}");
        }
    }

    #[test]
    fn one_pass_reads_what_the_parser_reads() {
        // Cut anywhere, and with any byte in any place: much of it is malformed, and some is something else.
        for text in TEXTS {
            for (at, _) in text.char_indices() {
                for put in ["", " ", "\"", "\\", "{", "]", "}", ",", ":", "0", "-", "e", "\n", "ä"] {
                    for cut in [0, 1, 2] {
                        let Some(rest) = text.get(at + cut..) else { continue };
                        check(&format!("{}{put}{rest}", &text[..at]));
                    }
                    check(&format!("{}{put}", &text[..at]));
                }
            }
        }
    }

    fn check(text: &str) {
        if let Some(scanned) = scanned(text) {
            let parsed = parsed(text);
            assert_eq!(format!("{parsed:?}"), format!("{:?}", Some(scanned)), "{text}");
        }
    }

    #[test]
    fn long_numbers_and_deep_values_are_left_to_the_parser() {
        for data in [&"9".repeat(301), &format!("{}{}", "[".repeat(17), "]".repeat(17))] {
            assert!(scanned(&format!(r#"{{"data":{data}}}"#)).is_none(), "{data}");
        }
        for data in [&"9".repeat(300), &format!("{}{}", "[".repeat(16), "]".repeat(16))] {
            assert!(scanned(&format!(r#"{{"data":{data}}}"#)).is_some(), "{data}");
        }
    }

    #[test]
    fn a_limit_that_is_reached_is_left_to_the_parser() {
        let message = r#"{"id":1}"#;
        assert_eq!(scanned(&format!("[{message},{message},{message}]")).unwrap().len(), 3);
        assert!(scanned(&format!("[{message},{message},{message},{message}]")).is_none());
    }
}
