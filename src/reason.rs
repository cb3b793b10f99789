//! The one vocabulary for "why": shared by events, errors, counters and answers.

use std::fmt;

/// Why a session left, a message was dropped or a held connect ended.
///
/// One type serves [events](crate::Event), [counters](crate::Stats) and [answers](crate::AnswerInfo), so that what is
/// logged, counted and measured can be compared word for word.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// The client sent `/meta/disconnect`.
    ClientDisconnect,
    /// The application called [`ServerSession::disconnect`](crate::ServerSession::disconnect).
    ServerDisconnect,
    /// The client stayed away for longer than `interval + max_interval`.
    Expired,
    /// The session's queue was full under [`OverflowPolicy::Disconnect`](crate::OverflowPolicy::Disconnect).
    QueueOverflow,
    /// An older message made room for a newer one under
    /// [`OverflowPolicy::DropOldest`](crate::OverflowPolicy::DropOldest).
    OldestDropped,
    /// A message found the queue full under [`OverflowPolicy::DropNewest`](crate::OverflowPolicy::DropNewest).
    NewestDropped,
    /// A server-side [`Subscription`](crate::Subscription) was not read fast enough.
    SubscriptionFull,
    /// An [`EventStream`](crate::EventStream) was not read fast enough.
    EventsFull,
    /// The connect was answered because there was something to deliver.
    Delivered,
    /// The connect was held for its whole timeout and nothing came.
    Timeout,
    /// The connect was answered at once by rule: the first of its session, one that asked for `timeout: 0`, or one
    /// that shared its request with other messages.
    NotHeld,
    /// A newer connect of the same session took its place.
    Superseded,
    /// The connection went away while the connect was held.
    ClientGone,
    /// [`BayeuxServer::shutdown`](crate::BayeuxServer::shutdown) released it.
    Shutdown,
    /// An [extension](crate::extension) or a [listener](crate::listener) has deleted the message.
    Deleted,
    /// The message named no session that exists, or came with another browser's cookie.
    UnknownSession,
}

impl Reason {
    /// Every reason, in declaration order.
    pub const ALL: &'static [Self] = &[
        Self::ClientDisconnect,
        Self::ServerDisconnect,
        Self::Expired,
        Self::QueueOverflow,
        Self::OldestDropped,
        Self::NewestDropped,
        Self::SubscriptionFull,
        Self::EventsFull,
        Self::Delivered,
        Self::Timeout,
        Self::NotHeld,
        Self::Superseded,
        Self::ClientGone,
        Self::Shutdown,
        Self::Deleted,
        Self::UnknownSession,
    ];

    /// A stable lower-case name, fit for a log field or a metrics label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientDisconnect => "client_disconnect",
            Self::ServerDisconnect => "server_disconnect",
            Self::Expired => "expired",
            Self::QueueOverflow => "queue_overflow",
            Self::OldestDropped => "oldest_dropped",
            Self::NewestDropped => "newest_dropped",
            Self::SubscriptionFull => "subscription_full",
            Self::EventsFull => "events_full",
            Self::Delivered => "delivered",
            Self::Timeout => "timeout",
            Self::NotHeld => "not_held",
            Self::Superseded => "superseded",
            Self::ClientGone => "client_gone",
            Self::Shutdown => "shutdown",
            Self::Deleted => "deleted",
            Self::UnknownSession => "unknown_session",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_reason_at_its_own_index() {
        for (index, reason) in Reason::ALL.iter().copied().enumerate() {
            assert_eq!(reason as usize, index, "{reason}");
        }
    }
}
