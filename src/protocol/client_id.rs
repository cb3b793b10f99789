//! The 40-hex-digit ids: of a session, and of the browser behind it.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{hex, text};
use crate::random::Random;

const LEN: usize = 20;

/// The id of one session: 40 lower-case hex digits, unguessable.
///
/// Eight bytes of Unix time (nanoseconds) and twelve from a cryptographically secure generator that the operating system
/// seeds. Whoever knows it can act as that client, so treat it as a credential.
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
    pub(crate) fn generate(random: &Random) -> Self {
        let time = unix_nanos().to_be_bytes();
        let mut id = [0; LEN];
        let (head, tail) = id.split_at_mut(time.len());
        head.copy_from_slice(&time);
        random.fill(tail);
        Self(id)
    }

    /// The id that is written in these digits, of either case.
    pub(super) fn from_hex(digits: &[u8]) -> Option<Self> {
        let digits: &[u8; LEN * 2] = digits.try_into().ok()?;
        let (digits, _) = digits.as_chunks::<8>();
        let mut id = [0; LEN];
        let (bytes, _) = id.as_chunks_mut::<4>();
        for (bytes, digits) in bytes.iter_mut().zip(digits) {
            *bytes = hex::decode(*digits)?;
        }
        Some(Self(id))
    }

    /// The id as it is written.
    pub(super) fn to_hex(self) -> [u8; LEN * 2] {
        let (bytes, _) = self.0.as_chunks::<4>();
        let mut text = [0; LEN * 2];
        let (digits, _) = text.as_chunks_mut::<8>();
        for (digits, bytes) in digits.iter_mut().zip(bytes) {
            *digits = hex::encode(*bytes);
        }
        text
    }

    /// When it was generated, in nanoseconds of Unix time.
    pub(crate) fn generated_at(&self) -> u64 {
        self.0.first_chunk().map_or(0, |time| u64::from_be_bytes(*time))
    }

    /// How far it is from now that the id was made, by the clock of whoever made it.
    pub(crate) fn distance(&self) -> Duration {
        Duration::from_nanos(unix_nanos().abs_diff(self.generated_at()))
    }

    /// A random byte of the id: spreads sessions over shards.
    pub(crate) const fn spread(&self) -> usize {
        self.0[LEN - 1] as usize
    }
}

/// The time, in nanoseconds since 1970.
pub(crate) fn unix_nanos() -> u64 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    // 64 bits last until the year 2554.
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_hex(text.as_bytes()).ok_or(InvalidClientId(()))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_hex()).map_err(|_| fmt::Error)?)
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

/// From the text that it is written as.
impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(deserializer, "40 hex digits")
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
    pub(crate) fn generate(random: &Random) -> Self {
        Self(ClientId::generate(random))
    }

    /// The id that is written in these digits, of either case.
    pub(crate) fn from_hex(digits: &[u8]) -> Option<Self> {
        ClientId::from_hex(digits).map(Self)
    }

    /// The id as it is written.
    pub(crate) fn to_hex(self) -> [u8; LEN * 2] {
        self.0.to_hex()
    }

    /// When it was generated, in nanoseconds of Unix time.
    pub(crate) fn generated_at(self) -> u64 {
        self.0.generated_at()
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
    use std::collections::HashMap;

    use serde_json::json;

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
    fn an_id_is_text_to_serde_both_ways() {
        let id = ClientId::generate(&Random::new());
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<ClientId>(&json).unwrap(), id);
        // From a text that is not borrowed, and as a key.
        assert_eq!(serde_json::from_value::<ClientId>(json!(id)).unwrap(), id);
        let keyed: HashMap<ClientId, u8> = serde_json::from_value(json!({ id.to_string(): 1 })).unwrap();
        assert_eq!(keyed, HashMap::from([(id, 1)]));
    }

    #[test]
    fn serde_takes_nothing_else_for_an_id_and_says_what_is_wrong() {
        let error = |json: &str| serde_json::from_str::<ClientId>(json).unwrap_err().to_string();
        assert!(error(r#""0f""#).starts_with("a client id is 40 hex digits"));
        assert!(error("5").contains("expected 40 hex digits"));
    }

    #[test]
    fn an_id_tells_when_it_was_made() {
        assert!(ClientId::generate(&Random::new()).distance() < Duration::from_secs(60));
        for other in ["0", "f"] {
            let id: ClientId = other.repeat(40).parse().unwrap();
            assert!(id.distance() > Duration::from_secs(60), "{id}");
        }
    }

    #[test]
    fn generated_ids_differ() {
        let random = Random::new();
        assert_ne!(ClientId::generate(&random), ClientId::generate(&random));
        assert_eq!(ClientId::generate(&random).to_string().len(), 40);
    }
}
