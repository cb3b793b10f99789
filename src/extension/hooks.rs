//! What an extension is asked, and what it may say.

use std::{future::Future, pin::Pin, sync::Arc};

use http::request::Parts;

use crate::{protocol::MutableMessage, session::ServerSession};

/// Sees every message on its way in and out. Both methods let everything pass by default; see [the module](crate::extension) for when
/// each is called.
pub trait Extension: Send + Sync + 'static {
    /// A message from a client, before anything else looks at it: whatever is changed here counts as if the client had
    /// sent it so. Implement it as `async fn`.
    ///
    /// If the client goes away meanwhile, this is dropped where it stands.
    fn incoming(
        &self,
        message: &mut MutableMessage,
        context: IncomingContext<'_>,
    ) -> impl Future<Output = Incoming> + Send {
        let _ = (message, context);
        async { Incoming::Pass }
    }

    /// A message to a client, or to all subscribers of a channel.
    ///
    /// For an extension of a session: if an answer can't be sent, its events go back to their queue, and come here again
    /// with the next one, as they were before.
    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        let _ = (message, context);
        Fate::Pass
    }
}

/// One that the application keeps a hand on, or that several sessions share.
impl<E: Extension> Extension for Arc<E> {
    fn incoming(
        &self,
        message: &mut MutableMessage,
        context: IncomingContext<'_>,
    ) -> impl Future<Output = Incoming> + Send {
        E::incoming(self, message, context)
    }

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        E::outgoing(self, message, context)
    }
}

/// What becomes of a message on its way out, or of one that is published.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[must_use]
pub enum Fate {
    /// It goes on, as it is now.
    #[default]
    Pass,
    /// It goes nowhere.
    Delete,
}

/// What becomes of a message from a client.
#[derive(Clone, Debug)]
#[must_use]
pub enum Incoming {
    /// It goes on, as it is now.
    Pass,
    /// It is not processed, and its reply says `404::message_deleted`.
    Delete,
    /// It is not processed, and this is its reply. `channel`, `id`, `successful` and, to a handshake or a connect, `advice`
    /// are filled in where they are missing: it failed if it has an `error`.
    Answer(MutableMessage),
}

impl Incoming {
    /// A reply that says that the message has failed, with this text: `403::no_such_user`, for instance.
    pub fn error(text: &str) -> Self {
        let mut reply = MutableMessage::default();
        // A string can always be written.
        let _ = reply.set_field("error", text);
        Self::Answer(reply)
    }
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub struct IncomingContext<'a> {
    pub(crate) session: Option<&'a ServerSession>,
    pub(crate) request: &'a Arc<Parts>,
}

impl<'a> IncomingContext<'a> {
    /// The session that sends it, be it one that the server has disconnected and whose farewell is yet to be fetched; `None`
    /// for a handshake, and for a message that names no session it may use.
    #[must_use]
    pub const fn session(&self) -> Option<&'a ServerSession> {
        self.session
    }

    /// The HTTP request that brought it: headers, extensions and so on.
    #[must_use]
    pub const fn request(&self) -> &'a Arc<Parts> {
        self.request
    }
}

/// Where a message goes, and what it is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutgoingContext<'a> {
    pub(crate) session: Option<&'a ServerSession>,
    pub(crate) sender: Option<&'a ServerSession>,
    pub(crate) incoming: Option<&'a MutableMessage>,
}

impl<'a> OutgoingContext<'a> {
    /// The session that it goes to: for the reply to a handshake, the one that it has made. `None` for a message on its way
    /// to all subscribers of its channel, and for a reply to whoever has no session.
    #[must_use]
    pub const fn session(&self) -> Option<&'a ServerSession> {
        self.session
    }

    /// The session that has published it; `None` for a reply, for a message of the application's, and on its way to one
    /// subscriber.
    #[must_use]
    pub const fn sender(&self) -> Option<&'a ServerSession> {
        self.sender
    }

    /// The client's message that this is the reply to, or that was published, as the extensions have left it.
    #[must_use]
    pub const fn incoming(&self) -> Option<&'a MutableMessage> {
        self.incoming
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`Extension`] as an object.
pub(super) trait DynExtension: Send + Sync {
    fn incoming<'a>(&'a self, message: &'a mut MutableMessage, context: IncomingContext<'a>)
    -> BoxFuture<'a, Incoming>;

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate;
}

impl<E: Extension> DynExtension for E {
    fn incoming<'a>(
        &'a self,
        message: &'a mut MutableMessage,
        context: IncomingContext<'a>,
    ) -> BoxFuture<'a, Incoming> {
        Box::pin(Extension::incoming(self, message, context))
    }

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        Extension::outgoing(self, message, context)
    }
}
