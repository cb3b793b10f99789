//! How many messages may come in a time.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

const NANOS: u64 = 1_000_000_000;

/// How many messages of a kind may come in a time: those of a session for
/// [`message_rate`](crate::BayeuxBuilder::message_rate), handshakes of an address for
/// [`handshake_rate`](crate::BayeuxBuilder::handshake_rate), and more.
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

    /// Whether it limits anything.
    pub(crate) const fn is_limit(self) -> bool {
        self.period() > 0
    }

    /// Nanoseconds until one more message may be sent.
    const fn period(self) -> u64 {
        NANOS / self.per_second as u64
    }
}

/// The longest that one waits for a token, in nanoseconds; who would wait longer goes without.
const LONGEST_WAIT: u64 = NANOS;

/// A bucket of tokens as one number: the moment, in nanoseconds, at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FullAt(u64);

impl FullAt {
    /// Takes a token, if there is one left at `now`.
    pub(super) fn take(&mut self, rate: MessageRate, now: u64) -> bool {
        let (taken, missing) = self.without_one(rate, now);
        if missing == 0 {
            *self = taken;
        }
        missing == 0
    }

    /// With one token less, and the nanoseconds until that one is there.
    fn without_one(self, rate: MessageRate, now: u64) -> (Self, u64) {
        let period = rate.period();
        let capacity = period.saturating_mul(u64::from(rate.burst));
        let full_at = self.0.max(now).saturating_add(period);
        (Self(full_at), (full_at - now).saturating_sub(capacity))
    }

    pub(super) const fn is_full(self, now: u64) -> bool {
        self.0 <= now
    }
}

/// A bucket that several may take from.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes a token, if there is one left at `now`.
    pub(super) fn take(&self, rate: MessageRate, now: u64) -> bool {
        let taken = self.0.fetch_update(Relaxed, Relaxed, |full_at| {
            let (taken, missing) = FullAt(full_at).without_one(rate, now);
            (missing == 0).then_some(taken.0)
        });
        taken.is_ok()
    }

    /// Takes a token, if need be one that is yet to come: says how long to wait for it.
    pub(super) fn take_or_wait(&self, rate: MessageRate, now: u64) -> Option<Duration> {
        let mut wait = 0;
        let _ = self.0.fetch_update(Relaxed, Relaxed, |full_at| {
            let (taken, missing) = FullAt(full_at).without_one(rate, now);
            wait = missing.min(LONGEST_WAIT);
            (missing <= LONGEST_WAIT).then_some(taken.0)
        });
        (wait > 0).then(|| Duration::from_nanos(wait))
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
    fn an_empty_bucket_says_when_it_will_have_a_token() {
        let bucket = Bucket::default();
        let rate = MessageRate::per_second(2).burst(1);
        let wait = |now| bucket.take_or_wait(rate, now).map(|wait| wait.as_millis());
        assert_eq!(wait(0), None);
        assert_eq!(wait(0), Some(500));
        assert_eq!(wait(NANOS / 2), Some(500));
        // Nobody waits for longer than a second, however many there are.
        assert_eq!(wait(NANOS / 2), Some(1000));
        assert_eq!(wait(NANOS / 2), Some(1000));
        assert_eq!(wait(3 * NANOS), None);
    }

    #[test]
    fn no_rate_is_too_low_or_too_high() {
        for rate in [MessageRate::per_second(0).burst(0), MessageRate::per_second(u32::MAX)] {
            assert!(Bucket::default().take(rate, 0));
            assert!(Bucket::default().take(rate, u64::MAX));
        }
    }
}
