//! The 40-hex-digit ids: of a session, and of the browser behind it.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

const LEN: usize = 20;

/// The id of one session: 40 lower-case hex digits, unguessable.
///
/// Eight bytes of Unix time (nanoseconds) and twelve from a cryptographically secure generator. Whoever knows it can
/// act as that client, so treat it as a credential.
///
/// ```
/// use tower_bayeux::ClientId;
///
/// let id: ClientId = "00000000000000000000000000000000000000ff".parse()?;
/// assert_eq!(id.to_string(), "00000000000000000000000000000000000000ff");
/// # Ok::<(), tower_bayeux::InvalidClientId>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId([u8; LEN]);

impl ClientId {
    pub(crate) fn generate() -> Self {
        let time = now().to_be_bytes();
        let random: [u8; 12] = rand::random();
        let mut id = [0; LEN];
        let (head, tail) = id.split_at_mut(time.len());
        head.copy_from_slice(&time);
        tail.copy_from_slice(&random);
        Self(id)
    }

    /// How far it is from now that the id was made, by the clock of whoever made it.
    pub(crate) fn distance(&self) -> Duration {
        let time = self.0.first_chunk().map_or(0, |time| u64::from_be_bytes(*time));
        Duration::from_nanos(now().abs_diff(time))
    }

    /// A random byte of the id: spreads sessions over shards.
    pub(crate) const fn spread(&self) -> usize {
        self.0[LEN - 1] as usize
    }
}

/// Unix time in nanoseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "64 bits of nanoseconds last until the year 2554"
)]
fn now() -> u64 {
    let age = SystemTime::now().duration_since(UNIX_EPOCH);
    age.unwrap_or_default().as_nanos() as u64
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut id = [0; LEN];
        hex::decode_to_slice(text, &mut id).map_err(|_| InvalidClientId(()))?;
        Ok(Self(id))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; LEN * 2];
        hex::encode_to_slice(self.0, &mut text).map_err(|_| fmt::Error)?;
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is not 40 hex digits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidClientId(());

impl fmt::Display for InvalidClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a client id is 40 hex digits")
    }
}

impl std::error::Error for InvalidClientId {}

/// The value of the browser cookie: the same shape as a [`ClientId`], but another thing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct BrowserId(ClientId);

impl BrowserId {
    pub(crate) fn generate() -> Self {
        Self(ClientId::generate())
    }
}

impl FromStr for BrowserId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl fmt::Display for BrowserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_the_round_trip_with_its_leading_zeroes() {
        let text = "0fffffffffffffffffffffffffffffffffffffff";
        assert_eq!(text.parse::<ClientId>().unwrap().to_string(), text);
    }

    #[test]
    fn anything_but_forty_hex_digits_is_refused() {
        for bad in [
            "",
            "0fff",
            "gfffffffffffffffffffffffffffffffffffffff",
            "0ffffffffffffffffffffffffffffffffffffffff",
            // 40 bytes, but multibyte characters.
            "ääääääääääääääääääää",
        ] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        assert!(ClientId::generate().distance() < Duration::from_secs(60));
        for other in ["0", "f"] {
            let id: ClientId = other.repeat(40).parse().unwrap();
            assert!(id.distance() > Duration::from_secs(60), "{id}");
        }
    }

    #[test]
    fn generated_ids_differ() {
        assert_ne!(ClientId::generate(), ClientId::generate());
        assert_eq!(ClientId::generate().to_string().len(), 40);
    }
}
