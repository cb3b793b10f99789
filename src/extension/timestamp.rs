//! The timestamp extension.

use std::fmt;

use cookie::time::OffsetDateTime;

use super::{Extension, Fate, OutgoingContext};
use crate::protocol::MutableMessage;

/// Puts a `timestamp` into every message that goes out: when it was published, or the reply was made, in UTC and in the
/// form of the Bayeux specification, `2026-11-24T17:06:07.00`. CometD's `TimestampExtension`, which writes the form of
/// Java's `Date` instead.
///
/// ```
/// use tower_bayeux::{BayeuxServer, extension::Timestamp};
///
/// let bayeux = BayeuxServer::new();
/// bayeux.add_extension(Timestamp);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timestamp;

impl Extension for Timestamp {
    fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
        let now = Iso(OffsetDateTime::now_utc()).to_string();
        // A string can always be written.
        let _ = message.set_field("timestamp", &now);
        Fate::Pass
    }
}

struct Iso(OffsetDateTime);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(time) = self;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:02}",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond() / 10,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_the_specification() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_795_539_967_089_999_999).unwrap();
        assert_eq!(Iso(time).to_string(), "2026-11-24T17:06:07.08");
    }
}
