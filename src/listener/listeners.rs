//! The listeners of one server.

use std::sync::Arc;

use http::request::Parts;

use crate::{
    extension::Fate,
    panics::contain,
    protocol::{ChannelName, MutableMessage},
    registry::Registry,
    session::ServerSession,
};

/// Sees what is published on a channel or pattern. Any closure of this shape is one; see [the module](crate::listener).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message listener",
    note = "a closure must name its arguments' types: `|message: &mut MutableMessage, context: &MessageContext<'_>| Fate::Pass`"
)]
pub trait MessageListener: Send + Sync + 'static {
    /// What becomes of the message. Called under no lock, but on the path of the publish: it should not take its time.
    ///
    /// The message has `channel` and `data`, and `ext` if that [goes on](crate::BayeuxBuilder::forward_ext) to subscribers;
    /// whatever else is set goes on as well. It can't be sent elsewhere: a change of `channel` has no effect.
    fn on_message(&self, message: &mut MutableMessage, context: &MessageContext<'_>) -> Fate;
}

impl<F> MessageListener for F
where
    F: Fn(&mut MutableMessage, &MessageContext<'_>) -> Fate + Send + Sync + 'static,
{
    fn on_message(&self, message: &mut MutableMessage, context: &MessageContext<'_>) -> Fate {
        self(message, context)
    }
}

/// Where a published message comes from.
#[derive(Clone, Copy, Debug)]
pub struct MessageContext<'a> {
    pub(crate) channel: &'a str,
    pub(crate) sender: Option<&'a ServerSession>,
    pub(crate) request: Option<&'a Arc<Parts>>,
}

impl<'a> MessageContext<'a> {
    /// The channel, without a trailing slash.
    #[must_use]
    pub const fn channel(&self) -> &'a str {
        self.channel
    }

    /// The session that publishes it; `None` for the application, and for a client without a session.
    #[must_use]
    pub const fn sender(&self) -> Option<&'a ServerSession> {
        self.sender
    }

    /// The HTTP request that brought it; `None` if the application publishes it.
    #[must_use]
    pub const fn request(&self) -> Option<&'a Arc<Parts>> {
        self.request
    }
}

type Listener = (ChannelName, Arc<dyn MessageListener>);

/// All listeners, in the order in which they are called.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Registry<Listener>);

impl Listeners {
    pub(crate) fn add(&self, pattern: ChannelName, listener: impl MessageListener) {
        let listener: Listener = (pattern, Arc::new(listener));
        self.0.add_sorted(listener, |(pattern, _)| pattern.breadth());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks each listener that matches, until one deletes the message.
    pub(crate) fn ask(&self, message: &mut MutableMessage, context: &MessageContext<'_>) -> Fate {
        let listeners = self.0.all();
        let matching = listeners.iter().filter(|(pattern, _)| pattern.matches(context.channel));
        for (_, listener) in matching {
            let asked = contain(|| listener.on_message(message, context));
            if asked.unwrap_or(Fate::Delete) == Fate::Delete {
                return Fate::Delete;
            }
        }
        Fate::Pass
    }
}
