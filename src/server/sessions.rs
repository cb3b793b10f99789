//! Sessions come and go: whatever changes the table of sessions, and the events that tell of it.

use std::sync::{Arc, Weak, atomic::Ordering::Relaxed};

use http::request::Parts;
use tokio::time::Instant;

use super::State;
use crate::{
    Reason,
    attributes::Value,
    event::{Announced, Event},
    protocol::ClientId,
    session::{Admitted, Host, Origin, ServerSession, Session},
};

impl State {
    /// Makes a session and announces it.
    pub(crate) fn add_session(
        &self,
        origin: Option<Origin>,
        admitted: Option<Admitted>,
        attributes: Vec<Value>,
        request: &Arc<Parts>,
    ) -> Arc<Session> {
        let session = Session::new(ClientId::generate(&self.hub.random), origin, Arc::clone(&self.hub));
        session.attach(attributes);
        if let Some(admitted) = admitted {
            session.keep(admitted);
        }
        // Whatever happens to the session next waits for this lock, and so is announced after this.
        let subscriptions = session.subscriptions();
        self.sessions.insert(Arc::clone(&session));
        self.hub.counters.sessions.fetch_add(1, Relaxed);
        self.hub.counters.sessions_added.fetch_add(1, Relaxed);
        let this = self.this.clone() as Weak<dyn Host>;
        self.sweeper.ensure_runs(this, self.config.max_interval, self.hub.now());
        let added = self.announce(|| Event::SessionAdded {
            session: ServerSession::new(Arc::clone(&session)),
            request: Arc::clone(request),
        });
        drop(subscriptions);
        added.wake();
        crate::trace::debug!(session = %session.id, "session added");
        session
    }

    /// Whether there are as many sessions as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.session_count() >= self.config.max_sessions
    }

    /// How many sessions are alive. The counter may be read in the middle of a change.
    pub(super) fn session_count(&self) -> usize {
        usize::try_from(self.hub.counters.sessions.load(Relaxed)).unwrap_or_default()
    }

    /// The live session of this id.
    pub(crate) fn session(&self, id: &ClientId) -> Option<Arc<Session>> {
        self.session_or_farewell(id).filter(|session| session.is_open())
    }

    /// The session of this id, live or with a farewell to be fetched.
    pub(crate) fn session_or_farewell(&self, id: &ClientId) -> Option<Arc<Session>> {
        self.find_session(id, Instant::now())
            .filter(|session| session.is_open() || session.owes_farewell())
    }

    /// The session of this id, which may have ended just now. One whose time is over is ended here, however late the
    /// sweeper is.
    pub(crate) fn find_session(&self, id: &ClientId, now: Instant) -> Option<Arc<Session>> {
        let session = self.sessions.get(id)?;
        if session.has_expired(self.hub.at(now)) {
            self.expire(&session);
        }
        Some(session)
    }

    /// Ends a session once: `request` is the one that asked for it.
    pub(crate) fn remove_session(&self, session: &Arc<Session>, reason: Reason, request: Option<&Arc<Parts>>) {
        if !session.close(reason) {
            return;
        }
        self.hub.counters.sessions.fetch_sub(1, Relaxed);
        self.hub.counters.removed.add(reason, 1);
        if reason != Reason::ServerDisconnect {
            self.sessions.remove(&session.id);
        }
        let mut subscriptions = session.subscriptions();
        subscriptions.closed = true;
        let channels = self.unsubscribe_all(&subscriptions);
        let unsubscribed = (!channels.is_empty()).then(|| {
            self.announce(|| Event::Unsubscribed {
                session: ServerSession::new(Arc::clone(session)),
                channels,
                request: request.cloned(),
            })
        });
        let removed = self.announce(|| Event::SessionRemoved {
            session: ServerSession::new(Arc::clone(session)),
            reason,
            request: request.cloned(),
        });
        drop(subscriptions);
        unsubscribed.into_iter().chain([removed]).for_each(Announced::wake);
        crate::trace::debug!(session = %session.id, %reason, "session removed");
    }

    pub(super) fn expire(&self, session: &Arc<Session>) {
        if session.is_open() {
            self.remove_session(session, Reason::Expired, None);
        } else if session.forget_farewell() {
            self.bury(&session.id);
        }
    }
}
