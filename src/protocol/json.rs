//! JSON as text: values that go on letter by letter, and the writing of what needs no serialiser.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::ClientId;

/// One JSON value as it came: valid, with nothing around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// A piece of valid JSON that is one value.
    pub(super) const fn new(json: &'a str) -> Self {
        Self(json)
    }

    pub(crate) const fn get(self) -> &'a str {
        self.0
    }

    /// What it says, if it is a string.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        let rest = self.0.strip_prefix('"')?;
        let plain = plain_length(rest.as_bytes());
        if plain + 1 == rest.len() {
            return rest.get(..plain).map(Cow::Borrowed);
        }
        serde_json::from_str(self.0).ok().map(|Text(text)| text)
    }
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }
}

impl<'a> From<&'a OwnedJson> for Json<'a> {
    fn from(owned: &'a OwnedJson) -> Self {
        // It was text when it was put in.
        Self(std::str::from_utf8(&owned.0).unwrap_or_default())
    }
}

/// A value that outlives the text that it came in. Short ones, as the `id`s of most clients are, need no memory of their
/// own.
#[derive(Debug)]
pub(crate) struct OwnedJson(SmallVec<[u8; 16]>);

impl OwnedJson {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Json<'_>> for OwnedJson {
    fn from(json: Json<'_>) -> Self {
        Self(SmallVec::from_slice(json.0.as_bytes()))
    }
}

/// A string that borrows where it can (serde's own `Cow` never does inside a `Vec`).
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Writes a string. Most need no escaping; the others are left to `serde_json`.
pub(super) fn write_text(json: &mut Vec<u8>, text: &str) {
    if plain_length(text.as_bytes()) < text.len() {
        // A string can always be written.
        let _ = serde_json::to_writer(json, text);
        return;
    }
    json.push(b'\"');
    json.extend_from_slice(text.as_bytes());
    json.push(b'\"');
}

pub(super) fn write_id(json: &mut Vec<u8>, id: &ClientId) {
    json.push(b'\"');
    json.extend_from_slice(&id.to_hex());
    json.push(b'\"');
}

pub(super) fn write_number(json: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut length = 0;
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        length += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    json.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}

/// How many bytes at the beginning need no escaping in a JSON string: up to the first quote, backslash or control
/// character. Looks at eight of them at a time.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return length + special.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    match bytes.last_chunk::<8>() {
        // Of the last eight the first are known to be plain.
        Some(word) => match special(u64::from_le_bytes(*word)) {
            0 => bytes.len(),
            special => bytes.len() - word.len() + special.trailing_zeros() as usize / 8,
        },
        None => {
            let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
            rest.iter().position(is_special).unwrap_or(rest.len())
        }
    }
}

/// Sets the highest bit of the first byte that needs escaping, if there is one; and maybe bits of later bytes.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let quotes = word ^ (ONES * u64::from(b'"'));
    let backslashes = word ^ (ONES * u64::from(b'\\'));
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    (below(word, 0x20) | below(quotes, 1) | below(backslashes, 1)) & HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts with each byte that is special to somebody, at each place of a word.
    fn hard_texts() -> Vec<String> {
        let hard = [
            "",
            "\"",
            "\\",
            "/",
            "\0",
            "\u{1f}",
            "\u{7f}",
            "\u{80}",
            "\u{2028}",
            "ä",
            "\u{1f600}",
            "\n\t\r",
        ];
        let mut texts = Vec::new();
        for before in 0..20 {
            for hard in hard {
                for after in ["", "b", "cccccccccccccccccc", "!\"!"] {
                    texts.push(format!("{}{hard}{after}", "a".repeat(before)));
                }
            }
        }
        texts
    }

    #[test]
    fn strings_are_written_as_serde_writes_them() {
        for text in hard_texts() {
            let mut json = Vec::new();
            write_text(&mut json, &text);
            assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn strings_are_read_as_serde_reads_them() {
        for text in hard_texts() {
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(Json::new(&json).text().unwrap(), text);
        }
        for (json, text) in [
            (r#""\u00e4\/""#, Some("ä/")),
            (r#""\ud83d\ude00""#, Some("\u{1f600}")),
            (r#""\ud83d""#, None),
            ("5", None),
            ("null", None),
            (r#"["a"]"#, None),
        ] {
            assert_eq!(Json::new(json).text().as_deref(), text, "{json}");
        }
    }

    #[test]
    fn the_plain_part_of_a_text_ends_at_the_first_byte_to_be_escaped() {
        for text in hard_texts() {
            let first = text
                .bytes()
                .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\');
            assert_eq!(plain_length(text.as_bytes()), first.unwrap_or(text.len()), "{text:?}");
        }
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 1, 9, 10, 60_000, 2_147_483_647, u64::MAX] {
            let mut json = Vec::new();
            write_number(&mut json, number);
            assert_eq!(String::from_utf8(json).unwrap(), number.to_string());
        }
    }
}
