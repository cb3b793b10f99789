//! The `Content-Length` of an answer.

use http::HeaderValue;

/// The first length that is written out beforehand.
const FIRST: usize = 100;

/// All lengths of three digits: those of most answers, which need no memory of their own.
#[expect(clippy::indexing_slicing, reason = "happens while this is compiled")]
static LENGTHS: [[u8; 3]; 900] = {
    let mut lengths = [[b'0'; 3]; 900];
    let mut index = 0;
    while index < lengths.len() {
        let mut rest = FIRST + index;
        let mut digit = 3;
        while digit > 0 {
            digit -= 1;
            lengths[index][digit] += (rest % 10) as u8;
            rest /= 10;
        }
        index += 1;
    }
    lengths
};

pub(super) fn header(length: usize) -> HeaderValue {
    let digits = length
        .checked_sub(FIRST)
        .and_then(|index| LENGTHS.get(index))
        .and_then(|digits| std::str::from_utf8(digits).ok());
    digits.map_or_else(|| length.into(), HeaderValue::from_static)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_written_in_full() {
        for length in (0..1_200).chain([99_999, usize::MAX]) {
            assert_eq!(header(length), length.to_string());
        }
    }
}
