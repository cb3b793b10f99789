//! Z85 (ZeroMQ RFC 32): bytes as text that needs no escaping in JSON, but for the ampersand and angle brackets in HTML.
//!
//! As CometD does it, bytes need not come in fours: the last group is filled up, and as many characters are left off as
//! bytes were filled in.

const ALPHABET: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// Four bytes make five characters.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(4) * 5);
    for group in bytes.chunks(4) {
        let filled = group.iter().copied().chain([0; 3]).take(4);
        let mut value = filled.fold(0_u32, |value, byte| value << 8 | u32::from(byte));
        let mut characters = [b'0'; 5];
        for character in characters.iter_mut().rev() {
            let index = usize::try_from(value % 85).unwrap_or_default();
            *character = ALPHABET.get(index).copied().unwrap_or_default();
            value /= 85;
        }
        text.extend(
            characters
                .iter()
                .take(group.len() + 1)
                .map(|character| char::from(*character)),
        );
    }
    text
}

/// `None` if the text can't have been made by [`encode`].
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len().div_ceil(5) * 4);
    for group in text.as_bytes().chunks(5) {
        let filled = group.iter().copied().chain(*b"####").take(5);
        let mut value = 0_u64;
        for character in filled {
            let digit = ALPHABET.iter().position(|each| *each == character)?;
            value = value * 85 + u64::try_from(digit).ok()?;
        }
        let value = u32::try_from(value).ok()?;
        let length = group.len().checked_sub(1).filter(|length| *length > 0)?;
        bytes.extend_from_slice(value.to_be_bytes().get(..length)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example() {
        let bytes = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B];
        assert_eq!(encode(&bytes), "HelloWorld");
        assert_eq!(decode("HelloWorld").unwrap(), bytes);
    }

    #[test]
    fn any_length_comes_back() {
        for byte in [0, 1, 127, 255] {
            for length in 0..20 {
                let bytes = vec![byte; length];
                assert_eq!(decode(&encode(&bytes)).unwrap(), bytes, "{length} times {byte}");
            }
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }

    #[test]
    fn what_is_no_such_text_is_refused() {
        for text in ["a", "HelloW", "Hell ", "\"ello", "#####", "äää"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
