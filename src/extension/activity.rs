//! The activity extension.

use std::time::Duration;

use tokio::time::Instant;

use super::{Extension, Fate, Incoming, IncomingContext, OutgoingContext};
use crate::{
    protocol::{
        MutableMessage,
        meta::{CONNECT, HANDSHAKE},
    },
    sync::{Mutex, lock},
};

/// Disconnects sessions that are connected but idle: CometD's `ActivityExtension`.
///
/// A client that does nothing but wait sends a connect every now and then, and so never expires. With this, a session that
/// has been idle for too long is disconnected when its next connect comes. Connects never count as activity.
///
/// Added to the server, it watches every session that is made from then on. For a single session there is
/// [`watch`](Self::watch).
///
/// ```
/// use std::time::Duration;
///
/// use tower_bayeux::{BayeuxServer, ServerSession, extension::Activity};
///
/// let bayeux = BayeuxServer::new();
/// bayeux.add_extension(Activity::of_client(Duration::from_secs(600)));
///
/// fn on_trial(session: &ServerSession) {
///     session.add_extension(Activity::of_client_and_server(Duration::from_secs(60)).watch());
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    limit: Duration,
    /// Whether what the session gets counts, too.
    counts_outgoing: bool,
}

impl Activity {
    /// Only what the client sends counts.
    #[must_use]
    pub const fn of_client(limit: Duration) -> Self {
        Self {
            limit,
            counts_outgoing: false,
        }
    }

    /// What the client sends counts, and what it gets, but for replies to its connects.
    #[must_use]
    pub const fn of_client_and_server(limit: Duration) -> Self {
        Self {
            limit,
            counts_outgoing: true,
        }
    }

    /// The extension for one session, to be [added](crate::ServerSession::add_extension) to it. It has been active just now.
    #[must_use]
    pub fn watch(self) -> impl Extension {
        Watch {
            activity: self,
            latest: Mutex::new(Instant::now()),
        }
    }
}

impl Extension for Activity {
    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        if let Some(session) = context.session()
            && message.channel().as_deref() == Some(HANDSHAKE)
        {
            session.add_extension(self.watch());
        }
        Fate::Pass
    }
}

/// Watches one session.
struct Watch {
    activity: Activity,
    latest: Mutex<Instant>,
}

impl Watch {
    fn note(&self) {
        *lock(&self.latest) = Instant::now();
    }

    fn is_idle(&self) -> bool {
        lock(&self.latest).elapsed() > self.activity.limit
    }
}

impl Extension for Watch {
    async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        if message.channel().as_deref() != Some(CONNECT) {
            self.note();
        } else if let Some(session) = context.session()
            && self.is_idle()
        {
            session.disconnect();
        }
        Incoming::Pass
    }

    fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
        if self.activity.counts_outgoing && message.channel().as_deref() != Some(CONNECT) {
            self.note();
        }
        Fate::Pass
    }
}
