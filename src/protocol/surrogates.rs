//! Half characters in JSON text.

use std::borrow::Cow;

/// Replaces each lone surrogate escape, such as `\ud800`, by `\ufffd`.
///
/// JavaScript makes them when a text is cut in the middle of an emoji, and reads them; strict parsers refuse the whole
/// answer, with everybody else's messages in it. `json` must be valid JSON.
pub(crate) fn replace_lone_surrogates(json: &str) -> Cow<'_, str> {
    let mut replaced: Option<String> = None;
    let mut rest = json;
    let mut position = 0;
    while let Some(offset) = rest.find('\\') {
        let escape = rest.get(offset..).unwrap_or_default();
        let length = match (code_unit(escape), escape.get(6..).and_then(code_unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                let start = position + offset;
                replaced
                    .get_or_insert_with(|| json.to_owned())
                    .replace_range(start..start + 6, "\\ufffd");
                6
            }
            (Some(_), _) => 6,
            (None, _) => 2,
        };
        position += offset + length;
        rest = json.get(position..).unwrap_or_default();
    }
    replaced.map_or(Cow::Borrowed(json), Cow::Owned)
}

/// The UTF-16 code unit of the `\uXXXX` that `escape` begins with.
fn code_unit(escape: &str) -> Option<u16> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_surrogates_are_replaced_and_nothing_else_is() {
        for (json, expected) in [
            (r#""plain ä \n \\ \" \u00e4""#, r#""plain ä \n \\ \" \u00e4""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\uD83D\uDE00\ud83d""#, r#""\uD83D\uDE00\ufffd""#),
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\udc00\ud800""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\u0041""#, r#""\ufffd\u0041""#),
            (r#""\\ud800""#, r#""\\ud800""#),
            (r#""\\\ud800""#, r#""\\\ufffd""#),
            (r#"["\ud800ä",{"\udfff":1}]"#, r#"["\ufffdä",{"\ufffd":1}]"#),
        ] {
            assert_eq!(replace_lone_surrogates(json), expected);
            assert!(
                serde_json::from_str::<serde_json::Value>(expected).is_ok(),
                "{expected}"
            );
        }
    }
}
