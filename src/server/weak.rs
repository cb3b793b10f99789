//! A handle that does not keep its server alive.

use std::{fmt, sync::Weak};

use super::{BayeuxServer, State};

/// A handle on a [`BayeuxServer`] that does not keep it alive: for what the server owns, as policies, listeners and
/// extensions. One of these that had a `BayeuxServer` would have the server keep itself alive for ever.
///
/// Made by [`BayeuxServer::downgrade`]. The names are those of [`std::sync::Weak`]; a clone is another such handle.
///
/// ```
/// use tower_bayeux::{BayeuxServer, MutableMessage, extension::Fate, listener::MessageContext};
///
/// let bayeux = BayeuxServer::new();
/// let weak = bayeux.downgrade();
/// // Every change of an order is told to the audit. Clients hear nothing of what is below `/service`.
/// bayeux.on_message("/orders/**", move |_: &mut MutableMessage, context: &MessageContext<'_>| {
///     if let Some(bayeux) = weak.upgrade() {
///         let _ = bayeux.publish("/service/audit", context.channel());
///     }
///     Fate::Pass
/// })?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
///
/// A policy is there before its server. It can have a place for the handle, which is filled later:
///
/// ```
/// use std::sync::{Arc, OnceLock};
///
/// use tower_bayeux::{BayeuxServer, PolicyRequest, SecurityPolicy, Verdict, WeakBayeuxServer};
///
/// struct NotTooMany(Arc<OnceLock<WeakBayeuxServer>>);
///
/// impl SecurityPolicy for NotTooMany {
///     async fn can_subscribe(&self, request: PolicyRequest<'_>) -> Verdict {
///         let server = self.0.get().and_then(WeakBayeuxServer::upgrade);
///         match server {
///             Some(server) if server.subscriber_count(request.channel()) < 8 => Verdict::grant(),
///             _ => Verdict::deny_because("room_full"),
///         }
///     }
/// }
///
/// let place = Arc::new(OnceLock::new());
/// let bayeux = BayeuxServer::builder().security_policy(NotTooMany(Arc::clone(&place))).build();
/// let _ = place.set(bayeux.downgrade());
/// ```
#[derive(Clone)]
pub struct WeakBayeuxServer(Weak<State>);

impl BayeuxServer {
    /// A handle that does not keep the server alive.
    #[must_use]
    pub fn downgrade(&self) -> WeakBayeuxServer {
        WeakBayeuxServer(self.0.this.clone())
    }
}

impl WeakBayeuxServer {
    /// A handle on the server, unless its last one is gone. Keep it no longer than it is needed: it keeps the server alive.
    #[must_use]
    pub fn upgrade(&self) -> Option<BayeuxServer> {
        self.0.upgrade().map(BayeuxServer)
    }
}

impl fmt::Debug for WeakBayeuxServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakBayeuxServer").finish_non_exhaustive()
    }
}
