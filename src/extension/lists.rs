//! The extensions of a server and of its sessions, and the order in which they are asked.

use std::sync::Arc;

use super::{Extension, Fate, Incoming, IncomingContext, OutgoingContext, hooks::DynExtension};
use crate::{
    panics::{Contained, contain},
    protocol::MutableMessage,
    registry::Registry,
    session::ServerSession,
};

/// Extensions in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Extensions(Registry<Arc<dyn DynExtension>>);

impl Extensions {
    pub(crate) fn add(&self, extension: impl Extension) {
        self.0.add(Arc::new(extension));
    }

    /// A message from a client: these extensions first, then those of its session.
    pub(crate) async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        let asked = ask_incoming(&self.0.all(), message, context).await;
        match (asked, context.session.and_then(Self::of_session)) {
            (Incoming::Pass, Some(extensions)) => ask_incoming(&extensions.0.all(), message, context).await,
            (asked, _) => asked,
        }
    }

    /// A reply: these extensions first, then those of the session that it goes to.
    pub(crate) fn reply(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        match self.outgoing(message, context) {
            Fate::Pass => context
                .session
                .map_or(Fate::Pass, |session| outgoing_of_session(session, message, context)),
            Fate::Delete => Fate::Delete,
        }
    }

    /// A message on its way to a queue, or to many: these extensions only. The session's are asked when it is sent.
    pub(crate) fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        ask_outgoing(&self.0.all(), message, context)
    }

    /// The extensions of one session, if it has any.
    pub(crate) fn of_session(session: &ServerSession) -> Option<Arc<Self>> {
        session.attribute()
    }

    /// An event that leaves the queue of a session, as these extensions of the session want it; `None` if one deletes it.
    pub(crate) fn event(&self, session: &ServerSession, event: &[u8]) -> Option<MutableMessage> {
        let mut message = MutableMessage::parse(event)?;
        let context = OutgoingContext {
            session: Some(session),
            ..OutgoingContext::default()
        };
        match self.outgoing(&mut message, context) {
            Fate::Pass => Some(message),
            Fate::Delete => None,
        }
    }
}

fn outgoing_of_session(session: &ServerSession, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
    Extensions::of_session(session).map_or(Fate::Pass, |extensions| extensions.outgoing(message, context))
}

async fn ask_incoming(
    extensions: &[Arc<dyn DynExtension>],
    message: &mut MutableMessage,
    context: IncomingContext<'_>,
) -> Incoming {
    for extension in extensions {
        let asked = Contained::new(extension.incoming(message, context)).await;
        match asked.unwrap_or(Incoming::Delete) {
            Incoming::Pass => {}
            other => return other,
        }
    }
    Incoming::Pass
}

fn ask_outgoing(
    extensions: &[Arc<dyn DynExtension>],
    message: &mut MutableMessage,
    context: OutgoingContext<'_>,
) -> Fate {
    for extension in extensions.iter().rev() {
        let asked = contain(|| extension.outgoing(message, context));
        if asked.unwrap_or(Fate::Delete) == Fate::Delete {
            return Fate::Delete;
        }
    }
    Fate::Pass
}

impl ServerSession {
    /// Adds an extension that sees the messages of this session alone. It stays for the life of the session. See
    /// [`extension`](crate::extension).
    ///
    /// To give one to every session, add it where an extension of the server sees the reply to the handshake: that is the
    /// first message that its [`session`](OutgoingContext::session) gets.
    ///
    /// ```
    /// use tower_bayeux::{
    ///     MutableMessage, ServerSession,
    ///     extension::{Extension, Fate, OutgoingContext},
    /// };
    ///
    /// /// Numbers the events of a session.
    /// #[derive(Default)]
    /// struct Numbered(std::sync::atomic::AtomicU64);
    ///
    /// impl Extension for Numbered {
    ///     fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
    ///         let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    ///         let _ = message.set_ext("number", &number);
    ///         Fate::Pass
    ///     }
    /// }
    ///
    /// # fn example(session: &ServerSession) {
    /// session.add_extension(Numbered::default());
    /// # }
    /// ```
    pub fn add_extension(&self, extension: impl Extension) {
        self.attribute_or_default::<Extensions>().add(extension);
        self.hub().extend();
    }
}
