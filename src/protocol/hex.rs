//! Hex digits, eight at a time: all of them in one word, a byte each.

/// A one in each byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// The bytes that eight digits of either case say; `None` if one of them is no digit.
pub(super) const fn decode(digits: [u8; 8]) -> Option<[u8; 4]> {
    let digits = u64::from_be_bytes(digits);
    let letters = (digits >> 6) & ONES;
    let values = (digits & (ONES * 0x0f)) + letters * 9;
    // What is no digit has a value that is written otherwise, or none at all.
    let lower_case = digits | (letters << 5);
    if values & (ONES * 0xf0) != 0 || written(values) != lower_case {
        return None;
    }
    let pairs = (values | (values >> 4)) & 0x00ff_00ff_00ff_00ff;
    let quads = (pairs | (pairs >> 8)) & 0x0000_ffff_0000_ffff;
    let [.., a, b, c, d] = (quads | (quads >> 16)).to_be_bytes();
    Some([a, b, c, d])
}

/// Eight digits, in lower case.
pub(super) const fn encode(bytes: [u8; 4]) -> [u8; 8] {
    let quads = u32::from_be_bytes(bytes) as u64;
    let quads = (quads | (quads << 16)) & 0x0000_ffff_0000_ffff;
    let pairs = (quads | (quads << 8)) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | (pairs << 4)) & (ONES * 0x0f);
    written(values).to_be_bytes()
}

/// The digits of these values. From ten on they are letters.
const fn written(values: u64) -> u64 {
    const TO_LETTERS: u64 = (b'a' - b'0' - 10) as u64;
    let letters = ((values + ONES * 6) >> 4) & ONES;
    values + ONES * b'0' as u64 + letters * TO_LETTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_the_digit_that_it_is_to_everybody() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"0a9Ff07c";
                digits[place] = byte;
                let text: String = digits.iter().map(|digit| char::from(*digit)).collect();
                let is_hex = text.chars().all(|digit| digit.is_ascii_hexdigit());
                let expected = is_hex.then(|| u32::from_str_radix(&text, 16).unwrap().to_be_bytes());
                assert_eq!(decode(digits), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn every_byte_at_every_place_is_written_as_everybody_writes_it() {
        for place in 0..4 {
            for byte in 0..=u8::MAX {
                let mut bytes = [0x0f, 0xa0, 0x99, 0xff];
                bytes[place] = byte;
                let expected = format!("{:08x}", u32::from_be_bytes(bytes));
                assert_eq!(encode(bytes), expected.as_bytes(), "{bytes:?}");
            }
        }
    }
}
