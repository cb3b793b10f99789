//! What is valid JSON but more than parsers in the field can take.

/// Whether `text` nests no deeper than `depth` and has no number beyond the range of a double.
///
/// Raw JSON is passed on unparsed, so this is looked at here: a subscriber whose parser gives up on one message loses
/// the whole answer, with everybody else's messages in it.
pub(super) fn is_digestible(text: &str, depth: usize) -> bool {
    let mut open = 0_usize;
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match first {
            b'"' => skip_string(after),
            b'-' | b'0'..=b'9' => {
                let (number, after) = split_number(rest);
                if is_out_of_range(number) {
                    return false;
                }
                after
            }
            b'[' | b'{' => {
                open += 1;
                if open > depth {
                    return false;
                }
                after
            }
            b']' | b'}' => {
                open = open.saturating_sub(1);
                after
            }
            _ => after,
        };
    }
    true
}

/// What follows the string whose opening quote was just read.
fn skip_string(mut rest: &[u8]) -> &[u8] {
    loop {
        rest = match rest {
            [] | [b'\\'] => return &[],
            [b'\\', _, after @ ..] => after,
            [b'"', after @ ..] => return after,
            [_, after @ ..] => after,
        };
    }
}

fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
    text.split_at(end.unwrap_or(text.len()))
}

/// Numbers of up to 300 digits without an exponent are in range, and need no closer look.
fn is_out_of_range(number: &[u8]) -> bool {
    let is_plain = number.len() <= 300 && !number.iter().any(|byte| matches!(byte, b'e' | b'E'));
    !is_plain
        && std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse::<f64>().ok())
            .is_some_and(f64::is_infinite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_outside_of_strings_only() {
        assert!(is_digestible("[[{}]]", 3));
        assert!(!is_digestible("[[{}]]", 2));
        assert!(is_digestible("[][][]", 1));
        assert!(is_digestible(r#"["[[[\"[[["]"#, 1));
        assert!(is_digestible(r#"["\\",{}]"#, 2));
        for broken in ["\"", "\"\\", "]]]", "[\"abc", "-", ""] {
            assert!(is_digestible(broken, 1), "left to the parser: {broken}");
        }
    }

    #[test]
    fn numbers_fit_into_a_double() {
        for fine in [
            "0",
            "-1.5e300",
            "1e308",
            "1e-400",
            &"9".repeat(300),
            "\"1e999\"",
            "[1E2,-0]",
        ] {
            assert!(is_digestible(fine, 9), "{fine}");
        }
        for beyond in ["1e309", "-1E400", "[{\"a\":1e999}]", &"9".repeat(400), "1e99999999999"] {
            assert!(!is_digestible(beyond, 9), "{beyond}");
        }
    }
}
