//! The listeners of one server.

use std::{
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use http::request::Parts;

use crate::{
    extension::Fate,
    panics::contain,
    protocol::{ChannelName, MutableMessage},
    session::ServerSession,
    sync::{read, write},
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
#[derive(Default)]
pub(crate) struct Listeners {
    listeners: RwLock<Arc<[Listener]>>,
    /// Whether there are any; spares publishers the lock where there are none.
    any: AtomicBool,
}

impl Listeners {
    pub(crate) fn add(&self, pattern: ChannelName, listener: impl MessageListener) {
        let listener: Listener = (pattern, Arc::new(listener));
        let mut listeners = write(&self.listeners);
        let mut all: Vec<Listener> = listeners.iter().cloned().chain([listener]).collect();
        // Stable, so that those on one pattern stay in the order in which they came.
        all.sort_by_key(|(pattern, _)| pattern.breadth());
        *listeners = all.into();
        self.any.store(true, Release);
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Acquire)
    }

    /// Asks each listener that matches, until one deletes the message.
    pub(crate) fn ask(&self, message: &mut MutableMessage, context: &MessageContext<'_>) -> Fate {
        // A snapshot: user code runs under no lock.
        let listeners = Arc::clone(&read(&self.listeners));
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

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listeners = read(&self.listeners);
        f.debug_list()
            .entries(listeners.iter().map(|(pattern, _)| pattern))
            .finish()
    }
}
