//! How many messages a session may send.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const NANOS: u64 = 1_000_000_000;

/// A limit of the messages that a session may send, for
/// [`message_rate`](crate::BayeuxBuilder::message_rate).
///
/// ```
/// use tower_bayeux::{BayeuxServer, MessageRate};
///
/// // Ten in a second in the long run, and up to fifty at once after a pause.
/// let bayeux = BayeuxServer::builder().message_rate(MessageRate::per_second(10).burst(50)).build();
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub struct MessageRate {
    per_second: u32,
    burst: u32,
}

impl MessageRate {
    /// So many messages in a second, at least one, and as many at once.
    pub const fn per_second(messages: u32) -> Self {
        let messages = if messages == 0 { 1 } else { messages };
        Self {
            per_second: messages,
            burst: messages,
        }
    }

    /// So many at once, at least one, after a pause. Default: as many as in a second.
    pub const fn burst(mut self, messages: u32) -> Self {
        self.burst = if messages == 0 { 1 } else { messages };
        self
    }

    /// Nanoseconds until one more message may be sent.
    const fn period(self) -> u64 {
        NANOS / self.per_second as u64
    }
}

/// A bucket of tokens as one number: the moment, in nanoseconds, at which it will be full again.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes a token, if there is one left at `now`.
    pub(super) fn take(&self, rate: MessageRate, now: u64) -> bool {
        let period = rate.period();
        let capacity = period.saturating_mul(u64::from(rate.burst));
        let taken = self.0.fetch_update(Relaxed, Relaxed, |full_at| {
            let full_at = full_at.max(now).saturating_add(period);
            (full_at - now <= capacity).then_some(full_at)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_burst_and_fills_at_its_rate() {
        let bucket = Bucket::default();
        let rate = MessageRate::per_second(2).burst(3);
        let taken = |now| (0..10).filter(|_| bucket.take(rate, now)).count();
        assert_eq!(taken(0), 3);
        assert_eq!(taken(NANOS / 2 - 1), 0);
        assert_eq!(taken(NANOS / 2), 1);
        assert_eq!(taken(2 * NANOS), 3);
        assert_eq!(taken(60 * NANOS), 3);
    }

    #[test]
    fn no_rate_is_too_low_or_too_high() {
        for rate in [MessageRate::per_second(0).burst(0), MessageRate::per_second(u32::MAX)] {
            assert!(Bucket::default().take(rate, 0));
            assert!(Bucket::default().take(rate, u64::MAX));
        }
    }
}
