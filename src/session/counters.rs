//! What the server counts, and the snapshot that [`BayeuxServer::stats`](crate::BayeuxServer::stats) takes of it.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use super::refused::{ErrorCounts, PerError};
use crate::{Reason, striped::Striped, trouble::TroubleCounts};

const REASONS: usize = Reason::ALL.len();

/// A snapshot of the server's counters. Gauges say what is now; all others count since the server was built.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Live sessions (gauge).
    pub sessions: u64,
    /// Connects held right now (gauge).
    pub held_connects: u64,
    /// Open WebSockets, whether or not a session uses them (gauge).
    pub open_sockets: u64,
    /// Open event streams (gauge).
    pub open_streams: u64,
    /// Messages waiting in the queues of all sessions (gauge).
    pub queued_messages: u64,
    /// Bytes of those messages (gauge).
    pub queued_bytes: u64,
    /// Sessions ever added.
    pub sessions_added: u64,
    /// Messages published, by clients and by the application.
    pub published_messages: u64,
    /// Messages from clients that were refused because a session sent too many.
    pub rate_limited_messages: u64,
    /// Messages from clients that were answered with an error, by the error: whatever the policy, a limit or the protocol
    /// has against them. What an [extension](crate::extension) answers with an error of its own counts as
    /// [`MessageDeleted`](crate::BayeuxError::MessageDeleted).
    pub refused_messages: ErrorCounts,
    /// Requests, and texts on WebSockets, that were refused as a whole because they are no Bayeux: they are no JSON, for
    /// instance, or have broken off. What meets a limit is counted in [`limited`](Self::limited) instead.
    pub malformed_requests: u64,
    /// Messages whose answer the HTTP server began to send. Without the acknowledgement extension nobody knows
    /// whether they arrived.
    pub delivered_messages: u64,
    /// Answers to connects that the HTTP server began to send.
    pub delivered_answers: u64,
    /// Messages whose answer was dropped unsent and which went back to the front of their queue.
    pub given_back_messages: u64,
    /// Messages whose answer was dropped unsent, too late to go back: the session had ended, or a newer answer had
    /// overtaken it.
    pub lost_messages: u64,
    /// Messages that never went out, by reason.
    pub dropped_messages: ReasonCounts,
    /// Sessions that ended, by reason.
    pub sessions_removed: ReasonCounts,
    /// Connects that were answered or abandoned, by reason.
    pub connects_ended: ReasonCounts,
    /// What met a limit, by the limit.
    pub limited: ReasonCounts,
    /// Signs of trouble, by the trouble.
    pub troubles: TroubleCounts,
}

/// A count for each [`Reason`].
#[derive(Clone, Eq, PartialEq)]
pub struct ReasonCounts([u64; REASONS]);

impl Default for ReasonCounts {
    fn default() -> Self {
        Self([0; REASONS])
    }
}

impl ReasonCounts {
    /// The count for one reason.
    #[must_use]
    pub fn count(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// The sum over all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that were counted at least once.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().copied().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Debug for ReasonCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The live counters. A gauge may be read in the middle of a change, so it is signed inside and never negative outside.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    busy: Striped<BusyCounters>,
    pub(crate) sessions: AtomicI64,
    pub(crate) open_sockets: AtomicI64,
    pub(crate) open_streams: AtomicI64,
    pub(crate) sessions_added: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) refused: PerError,
    pub(crate) malformed: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) dropped: PerReason,
    pub(crate) removed: PerReason,
    pub(crate) limited: PerReason,
}

/// Those that each message and each answer changes.
#[derive(Debug, Default)]
pub(crate) struct BusyCounters {
    pub(crate) held_connects: AtomicI64,
    queued_messages: AtomicI64,
    queued_bytes: AtomicI64,
    pub(crate) published: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) answers: AtomicU64,
    pub(crate) connects_ended: PerReason,
}

#[derive(Debug)]
pub(crate) struct PerReason([AtomicU64; REASONS]);

impl Default for PerReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

impl PerReason {
    pub(crate) fn add(&self, reason: Reason, count: usize) {
        if let Some(counter) = self.0.get(reason as usize) {
            counter.fetch_add(count as u64, Relaxed);
        }
    }

    fn snapshot(&self) -> ReasonCounts {
        let mut counts = ReasonCounts::default();
        self.add_to(&mut counts);
        counts
    }

    fn add_to(&self, counts: &mut ReasonCounts) {
        for (count, counter) in counts.0.iter_mut().zip(&self.0) {
            *count += counter.load(Relaxed);
        }
    }
}

impl Counters {
    /// Where this thread counts what happens all the time.
    pub(crate) fn busy(&self) -> &BusyCounters {
        self.busy.mine()
    }

    /// How many connects are held.
    pub(crate) fn held_connects(&self) -> u64 {
        self.gauge(|busy| &busy.held_connects)
    }

    fn gauge(&self, counter: impl Fn(&BusyCounters) -> &AtomicI64) -> u64 {
        let sum: i64 = self.busy.iter().map(|busy| counter(busy).load(Relaxed)).sum();
        sum.max(0).unsigned_abs()
    }

    fn sum(&self, counter: impl Fn(&BusyCounters) -> &AtomicU64) -> u64 {
        self.busy.iter().map(|busy| counter(busy).load(Relaxed)).sum()
    }

    fn connects_ended(&self) -> ReasonCounts {
        let mut ended = ReasonCounts::default();
        self.busy.iter().for_each(|busy| busy.connects_ended.add_to(&mut ended));
        ended
    }

    /// Books messages into (positive) or out of (negative) the queues.
    pub(crate) fn queued(&self, messages: i64, bytes: i64) {
        let busy = self.busy();
        busy.queued_messages.fetch_add(messages, Relaxed);
        busy.queued_bytes.fetch_add(bytes, Relaxed);
    }

    /// Counts what has met a limit.
    #[cold]
    pub(crate) fn limited(&self, reason: Reason) {
        self.limited.add(reason, 1);
    }

    pub(crate) fn snapshot(&self, troubles: TroubleCounts) -> Stats {
        let gauge = |counter: &AtomicI64| counter.load(Relaxed).max(0).unsigned_abs();
        Stats {
            sessions: gauge(&self.sessions),
            held_connects: self.held_connects(),
            open_sockets: gauge(&self.open_sockets),
            open_streams: gauge(&self.open_streams),
            queued_messages: self.gauge(|busy| &busy.queued_messages),
            queued_bytes: self.gauge(|busy| &busy.queued_bytes),
            sessions_added: self.sessions_added.load(Relaxed),
            published_messages: self.sum(|busy| &busy.published),
            rate_limited_messages: self.rate_limited.load(Relaxed),
            refused_messages: self.refused.snapshot(),
            malformed_requests: self.malformed.load(Relaxed),
            delivered_messages: self.sum(|busy| &busy.delivered),
            delivered_answers: self.sum(|busy| &busy.answers),
            given_back_messages: self.given_back.load(Relaxed),
            lost_messages: self.lost.load(Relaxed),
            dropped_messages: self.dropped.snapshot(),
            sessions_removed: self.removed.snapshot(),
            connects_ended: self.connects_ended(),
            limited: self.limited.snapshot(),
            troubles,
        }
    }
}
