//! The one vocabulary for "why": shared by events, errors, counters and answers.

use std::fmt;

/// Why a session left, a message was dropped, a held connect ended or something was refused.
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
    /// A message found the queue full under [`OverflowPolicy::DropNewest`](crate::OverflowPolicy::DropNewest), or full of what
    /// the client has not acknowledged under [`OverflowPolicy::DropOldest`](crate::OverflowPolicy::DropOldest).
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
    /// A request body, a query or a WebSocket message was larger than
    /// [`max_body_bytes`](crate::BayeuxBuilder::max_body_bytes) or
    /// [`max_message_bytes`](crate::WebSocketConfig::max_message_bytes).
    BodyTooLarge,
    /// A request body took longer than [`body_timeout`](crate::BayeuxBuilder::body_timeout).
    BodyTooSlow,
    /// A request had more messages than [`max_batch`](crate::BayeuxBuilder::max_batch).
    BatchTooLarge,
    /// A message nested deeper than [`max_depth`](crate::BayeuxBuilder::max_depth).
    JsonTooDeep,
    /// A page of another site made the request; see [`origins`](crate::BayeuxBuilder::origins).
    OriginDenied,
    /// There were [`max_sessions`](crate::BayeuxBuilder::max_sessions).
    SessionsFull,
    /// The client's address had
    /// [`max_sessions_per_address`](crate::BayeuxBuilder::max_sessions_per_address).
    AddressFull,
    /// The client's browser had
    /// [`max_sessions_per_browser`](crate::BayeuxBuilder::max_sessions_per_browser).
    BrowserFull,
    /// The client's address had made more handshakes than
    /// [`handshake_rate`](crate::BayeuxBuilder::handshake_rate) allows.
    HandshakeRate,
    /// The answer waited, because the server had to refuse more than
    /// [`refusal_rate`](crate::BayeuxBuilder::refusal_rate).
    RefusalRate,
    /// The connect waited, because its session had had more answered at once than
    /// [`connect_rate`](crate::BayeuxBuilder::connect_rate) allows.
    ConnectRate,
    /// The connect was not held, because there were
    /// [`max_held_connects`](crate::BayeuxBuilder::max_held_connects).
    HeldFull,
    /// The connect was not held, because its browser had
    /// [`max_held_per_browser`](crate::BayeuxBuilder::max_held_per_browser).
    BrowserHeldFull,
    /// The session would have had more than
    /// [`max_subscriptions`](crate::BayeuxBuilder::max_subscriptions).
    SubscriptionsFull,
    /// There would have been more than [`max_channels`](crate::BayeuxBuilder::max_channels).
    ChannelsFull,
    /// A channel's name was longer than [`max_channel_bytes`](crate::BayeuxBuilder::max_channel_bytes), or had more segments
    /// than [`max_channel_segments`](crate::BayeuxBuilder::max_channel_segments).
    ChannelNameTooLong,
    /// The session had sent more messages than [`message_rate`](crate::BayeuxBuilder::message_rate) allows.
    MessageRate,
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
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::BatchTooLarge,
        Self::JsonTooDeep,
        Self::OriginDenied,
        Self::SessionsFull,
        Self::AddressFull,
        Self::BrowserFull,
        Self::HandshakeRate,
        Self::RefusalRate,
        Self::ConnectRate,
        Self::HeldFull,
        Self::BrowserHeldFull,
        Self::SubscriptionsFull,
        Self::ChannelsFull,
        Self::ChannelNameTooLong,
        Self::MessageRate,
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
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BatchTooLarge => "batch_too_large",
            Self::JsonTooDeep => "json_too_deep",
            Self::OriginDenied => "origin_denied",
            Self::SessionsFull => "sessions_full",
            Self::AddressFull => "address_full",
            Self::BrowserFull => "browser_full",
            Self::HandshakeRate => "handshake_rate",
            Self::RefusalRate => "refusal_rate",
            Self::ConnectRate => "connect_rate",
            Self::HeldFull => "held_full",
            Self::BrowserHeldFull => "browser_held_full",
            Self::SubscriptionsFull => "subscriptions_full",
            Self::ChannelsFull => "channels_full",
            Self::ChannelNameTooLong => "channel_name_too_long",
            Self::MessageRate => "message_rate",
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
