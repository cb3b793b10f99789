//! What a failed message is told, and in whose words.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use super::{Advice, Ext};

/// A failure that the protocol has a reply for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum BayeuxError {
    /// The message has no `channel`.
    ChannelMissing,
    /// `channel` is no valid channel name, or a pattern on a publish.
    ChannelInvalid,
    /// `id` is neither a string nor a number.
    MessageIdInvalid,
    /// `advice` is not an object of numbers.
    AdviceInvalid,
    /// `clientId` names no live session, or one of another browser.
    SessionUnknown,
    /// The server takes no new sessions.
    HandshakeDenied,
    /// `subscription` is absent or empty.
    SubscriptionMissing,
    /// `subscription` is no channel name or array of them.
    SubscriptionInvalid,
    /// The channel to subscribe to may not be created.
    CreateDenied,
    /// The channel may not be subscribed to.
    SubscribeDenied,
    /// The session has as many subscriptions as it may have, or the server as many channels.
    SubscribeFailed,
    /// The channel can't be unsubscribed from.
    UnsubscribeFailed,
    /// The channel to publish to may not be created.
    ChannelCreateDenied,
    /// The message may not be published.
    PublishDenied,
    /// An extension or a listener has deleted the message.
    MessageDeleted,
    /// The session sends too many messages.
    RateLimited,
}

impl BayeuxError {
    /// Every error, in declaration order.
    pub const ALL: &'static [Self] = &[
        Self::ChannelMissing,
        Self::ChannelInvalid,
        Self::MessageIdInvalid,
        Self::AdviceInvalid,
        Self::SessionUnknown,
        Self::HandshakeDenied,
        Self::SubscriptionMissing,
        Self::SubscriptionInvalid,
        Self::CreateDenied,
        Self::SubscribeDenied,
        Self::SubscribeFailed,
        Self::UnsubscribeFailed,
        Self::ChannelCreateDenied,
        Self::PublishDenied,
        Self::MessageDeleted,
        Self::RateLimited,
    ];

    /// A stable lower-case name, fit for a log field or a metrics label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelMissing => "channel_missing",
            Self::ChannelInvalid => "channel_invalid",
            Self::MessageIdInvalid => "message_id_invalid",
            Self::AdviceInvalid => "advice_invalid",
            Self::SessionUnknown => "session_unknown",
            Self::HandshakeDenied => "handshake_denied",
            Self::SubscriptionMissing => "subscription_missing",
            Self::SubscriptionInvalid => "subscription_invalid",
            Self::CreateDenied => "create_denied",
            Self::SubscribeDenied => "subscribe_denied",
            Self::SubscribeFailed => "subscribe_failed",
            Self::UnsubscribeFailed => "unsubscribe_failed",
            Self::ChannelCreateDenied => "channel_create_denied",
            Self::PublishDenied => "publish_denied",
            Self::MessageDeleted => "message_deleted",
            Self::RateLimited => "rate_limited",
        }
    }
}

impl fmt::Display for BayeuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The `error` texts in replies: CometD's by default, replaceable one by one.
///
/// A text is a template: `{reason}`, `{channel}` and `{client_id}` are filled in, empty where not known.
///
/// ```
/// use tower_bayeux::{BayeuxError, BayeuxServer, ErrorTexts};
///
/// let texts = ErrorTexts::cometd().with(BayeuxError::SessionUnknown, "402:{client_id}:session_unknown");
/// let bayeux = BayeuxServer::builder().error_texts(texts).build();
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ErrorTexts {
    replaced: BTreeMap<BayeuxError, Cow<'static, str>>,
}

impl ErrorTexts {
    /// The CometD server's wording, such as `402::session_unknown`.
    #[must_use]
    pub fn cometd() -> Self {
        Self::default()
    }

    /// The Faye server's wording, such as `401:<clientId>:Unknown client`.
    #[must_use]
    pub fn faye() -> Self {
        use BayeuxError as E;
        [
            (E::ChannelMissing, "405::Invalid channel"),
            (E::ChannelInvalid, "405:{channel}:Invalid channel"),
            (E::SessionUnknown, "401:{client_id}:Unknown client"),
            (E::SubscriptionMissing, "402:subscription:Missing required parameter"),
            (E::SubscriptionInvalid, "405:{channel}:Invalid channel"),
            (E::CreateDenied, "403:{channel}:Forbidden channel"),
            (E::SubscribeDenied, "403:{channel}:Forbidden channel"),
            (E::UnsubscribeFailed, "403:{channel}:Forbidden channel"),
            (E::ChannelCreateDenied, "403:{channel}:Forbidden channel"),
            (E::PublishDenied, "403:{channel}:Forbidden channel"),
        ]
        .into_iter()
        .fold(Self::default(), |texts, (error, text)| texts.with(error, text))
    }

    /// CometD's wording, but for the two texts that Salesforce Streaming clients compare: `403::Unknown client` and
    /// `403::Handshake denied`.
    #[must_use]
    pub fn salesforce() -> Self {
        Self::default()
            .with(BayeuxError::SessionUnknown, "403::Unknown client")
            .with(BayeuxError::HandshakeDenied, "403::Handshake denied")
    }

    /// Replaces one text.
    #[must_use]
    pub fn with(mut self, error: BayeuxError, text: impl Into<Cow<'static, str>>) -> Self {
        self.replaced.insert(error, text.into());
        self
    }

    pub(crate) fn text(&self, denied: &Denied<'_>) -> Cow<'_, str> {
        let template = self
            .replaced
            .get(&denied.error)
            .map_or_else(|| cometd_text(denied.error), AsRef::as_ref);
        if !template.contains('{') {
            return Cow::Borrowed(template);
        }
        Cow::Owned(denied.context.fill_in(template))
    }
}

/// The texts of the reference server (CometD 8.0).
const fn cometd_text(error: BayeuxError) -> &'static str {
    match error {
        BayeuxError::ChannelMissing => "400::channel_missing",
        BayeuxError::ChannelInvalid => "405::channel_invalid",
        BayeuxError::MessageIdInvalid => "405::message_id_invalid",
        BayeuxError::AdviceInvalid => "400::advice_invalid",
        BayeuxError::SessionUnknown => "402::session_unknown",
        BayeuxError::HandshakeDenied => "403::handshake_denied",
        BayeuxError::SubscriptionMissing => "403::subscription_missing",
        BayeuxError::SubscriptionInvalid => "403::subscription_invalid",
        BayeuxError::CreateDenied => "403:{reason}:create_denied",
        BayeuxError::SubscribeDenied => "403:{reason}:subscribe_denied",
        BayeuxError::SubscribeFailed => "403::subscribe_failed",
        BayeuxError::UnsubscribeFailed => "403::unsubscribe_failed",
        BayeuxError::ChannelCreateDenied => "403:{reason}:channel_create_denied",
        BayeuxError::PublishDenied => "403:{reason}:publish_denied",
        BayeuxError::MessageDeleted => "404::message_deleted",
        BayeuxError::RateLimited => "429::rate_limited",
    }
}

/// What an error text may mention.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorContext<'a> {
    pub(crate) reason: Cow<'a, str>,
    pub(crate) channel: Cow<'a, str>,
    pub(crate) client_id: Cow<'a, str>,
}

impl ErrorContext<'_> {
    /// In one pass, so that nothing that is filled in is taken for a placeholder itself.
    fn fill_in(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, from_brace)) = rest.find('{').map(|at| rest.split_at(at)) {
            filled.push_str(before);
            let known = [
                ("{reason}", &*self.reason),
                ("{channel}", &self.channel),
                ("{client_id}", &self.client_id),
            ];
            let placeholder = known
                .into_iter()
                .find_map(|(name, value)| Some((value, from_brace.strip_prefix(name)?)));
            let (text, after) = placeholder.unwrap_or_else(|| from_brace.split_at(1));
            filled.push_str(text);
            rest = after;
        }
        filled + rest
    }
}

/// An error on its way into a reply.
#[derive(Clone, Debug)]
pub(crate) struct Denied<'a> {
    pub(crate) error: BayeuxError,
    pub(crate) context: ErrorContext<'a>,
    pub(crate) told: Option<Box<Told>>,
}

/// What the application wants a client to be told with an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) ext: Ext,
    pub(crate) advice: Option<Advice>,
}

impl<'a> Denied<'a> {
    fn new(error: BayeuxError, context: ErrorContext<'a>) -> Self {
        Self {
            error,
            context,
            told: None,
        }
    }

    /// Refused, for this reason.
    pub(crate) fn because(
        error: BayeuxError,
        reason: impl Into<Cow<'a, str>>,
        channel: impl Into<Cow<'a, str>>,
    ) -> Self {
        let context = ErrorContext {
            reason: reason.into(),
            channel: channel.into(),
            ..ErrorContext::default()
        };
        Self::new(error, context)
    }

    /// Refused by what CometD calls its default security policy.
    pub(crate) fn by_policy(error: BayeuxError, channel: impl Into<Cow<'a, str>>) -> Self {
        Self::because(error, "denied_by_security_policy", channel)
    }

    pub(crate) fn on_channel(error: BayeuxError, channel: impl Into<Cow<'a, str>>) -> Self {
        Self::because(error, "", channel)
    }

    pub(crate) fn unknown_session(client_id: impl Into<Cow<'a, str>>) -> Self {
        let context = ErrorContext {
            client_id: client_id.into(),
            ..ErrorContext::default()
        };
        Self::new(BayeuxError::SessionUnknown, context)
    }
}

impl From<BayeuxError> for Denied<'_> {
    fn from(error: BayeuxError) -> Self {
        Self::new(error, ErrorContext::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_error_at_its_own_index_by_the_name_that_its_text_ends_in() {
        for (index, error) in BayeuxError::ALL.iter().copied().enumerate() {
            assert_eq!(error as usize, index, "{error}");
            let text = cometd_text(error);
            assert_eq!(text.rsplit(':').next(), Some(error.as_str()), "{text}");
        }
    }

    #[test]
    fn templates_are_filled_in() {
        let unknown = Denied::unknown_session("abc");
        assert_eq!(ErrorTexts::cometd().text(&unknown), "402::session_unknown");
        assert_eq!(ErrorTexts::faye().text(&unknown), "401:abc:Unknown client");
        assert_eq!(ErrorTexts::salesforce().text(&unknown), "403::Unknown client");

        let no_handshake = Denied::from(BayeuxError::HandshakeDenied);
        assert_eq!(ErrorTexts::cometd().text(&no_handshake), "403::handshake_denied");
        assert_eq!(ErrorTexts::salesforce().text(&no_handshake), "403::Handshake denied");

        let denied = Denied::by_policy(BayeuxError::SubscribeDenied, "/meta/connect");
        assert_eq!(
            ErrorTexts::cometd().text(&denied),
            "403:denied_by_security_policy:subscribe_denied"
        );
        assert_eq!(ErrorTexts::faye().text(&denied), "403:/meta/connect:Forbidden channel");
    }
}
