//! What the messages of one request have in common: whose they are, what they may do, and how they fail.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::request::Parts;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{CONNECT, STORM_PAUSE, SUBSCRIBE, UNSUBSCRIBE};
#[cfg(feature = "tracing")]
use crate::protocol::Quoted;
use crate::{
    Reason,
    policy::{Operation, PolicyRequest, Verdict},
    protocol::{Advice, BayeuxError, BrowserId, ClientId, Denied, Ext, Inbound, Reconnect, Reply, Told},
    server::{BrowserBinding, State},
    session::{ServerSession, Session},
    trouble::Trouble,
};

/// How long ago a session was made that counts as made just now: longer than it takes to connect for the first time, by
/// clocks that differ a little.
const YOUNG: Duration = Duration::from_secs(10);

/// What the messages of one request share.
pub(crate) struct Exchange<'a> {
    pub(crate) state: &'a State,
    pub(crate) request: &'a Arc<Parts>,
    pub(crate) cookies: &'a BrowserCookies,
    /// Whether the transport pushes, so that its connects need not bring any events.
    pub(crate) pushes: bool,
    /// Whether the request has been counted as a sign of trouble; its other messages are none any more.
    pub(super) noted: AtomicBool,
}

/// How long a request may be on its way that was sent before a cookie was set, in nanoseconds.
const IN_FLIGHT: u64 = 10_000_000_000;

/// The browser cookies of one request. There may be several of the name, set for different paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrowserCookies {
    pub(crate) ids: SmallVec<[BrowserId; 1]>,
    /// Whether there is one that this server can't have set.
    pub(crate) foreign: bool,
    /// When a connection was opened that brought its cookies then and can bring no newer ones, in nanoseconds of Unix
    /// time.
    pub(crate) fixed_at: Option<u64>,
}

impl BrowserCookies {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.foreign
    }

    /// Whether nothing can be added to them, as on a socket.
    pub(super) const fn are_fixed(&self) -> bool {
        self.fixed_at.is_some()
    }

    /// Whether this cookie may have been set too late to be among these. Faye's client opens its socket while it
    /// handshakes, and which of the two comes first is a matter of luck.
    fn may_precede(&self, cookie: BrowserId) -> bool {
        let set_at = cookie.generated_at();
        self.fixed_at
            .is_some_and(|time| time < set_at.saturating_add(IN_FLIGHT))
    }
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(state: &'a State, request: &'a Arc<Parts>, cookies: &'a BrowserCookies, pushes: bool) -> Self {
        Self {
            state,
            request,
            cookies,
            pushes,
            noted: AtomicBool::new(false),
        }
    }
}

impl Exchange<'_> {
    /// Asks whether a session, or a client without one, may do something on a channel; if not, it is `error`.
    pub(super) async fn ask<'m>(
        &self,
        operation: Operation,
        error: BayeuxError,
        session: Option<&Arc<Session>>,
        channel: &str,
        message: &Inbound<'m>,
    ) -> Result<Verdict, Denied<'m>> {
        let request = PolicyRequest {
            session: session.cloned().map(ServerSession::new),
            channel,
            data: message.data(),
            ext: message.ext(),
            request: self.request,
        };
        let asked = self.state.rules.ask(operation, request).await;
        asked.map_err(|verdict| Denied {
            told: Some(Box::new(Told {
                ext: verdict.ext,
                advice: verdict.advice,
            })),
            ..Denied::because(error, verdict.denied.unwrap_or_default(), channel.to_owned())
        })
    }

    /// Asks whether a message may go to a channel or subscribe to it, which may mean to be the first there.
    pub(super) async fn permit<'m>(
        &self,
        (operation, error): (Operation, BayeuxError),
        create_error: BayeuxError,
        session: Option<&Arc<Session>>,
        channel: &str,
        message: &Inbound<'m>,
    ) -> Result<(), Denied<'m>> {
        if self.state.rules.allow_everything() {
            return Ok(());
        }
        // In boxes, so that they take no room in the future of every other request.
        if !self.state.channel_exists(channel) {
            let create = Box::pin(self.ask(Operation::Create, create_error, session, channel, message));
            let _granted = create.await?;
        }
        Box::pin(self.ask(operation, error, session, channel, message))
            .await
            .map(drop)
    }

    /// The live session of this id, if the client may use it.
    pub(crate) fn session_by_id(&self, id: &ClientId) -> Option<Arc<Session>> {
        let session = self.state.session(id)?;
        self.cookie_permits(&session).then_some(session)
    }

    /// The session that a message names and may use; its sign of life.
    pub(super) fn session<'m>(&self, message: &Inbound<'m>) -> Result<Arc<Session>, Denied<'m>> {
        let session = self.find(message)?;
        if session.is_open() {
            Ok(session)
        } else {
            Err(unknown(message))
        }
    }

    /// As [`session`](Self::session), if it has not sent too many messages.
    pub(super) fn sender<'m>(&self, message: &Inbound<'m>) -> Result<Arc<Session>, Denied<'m>> {
        let session = self.session(message)?;
        let rate = self.state.config.message_rate;
        if rate.is_none_or(|rate| session.may_send(rate)) {
            return Ok(session);
        }
        self.state.hub.counters.rate_limited.fetch_add(1, Relaxed);
        self.state.hub.counters.limited(Reason::MessageRate);
        Err(BayeuxError::RateLimited.into())
    }

    /// As [`session`](Self::session), or one that has ended and has a farewell to be fetched.
    pub(super) fn find<'m>(&self, message: &Inbound<'m>) -> Result<Arc<Session>, Denied<'m>> {
        let session = self.find_unnoticed(message)?;
        session.touch();
        Ok(session)
    }

    /// As [`find`](Self::find), but not yet a sign of life: for a connect, which is one in its own way.
    pub(super) fn find_unnoticed<'m>(&self, message: &Inbound<'m>) -> Result<Arc<Session>, Denied<'m>> {
        let id = message.session_id();
        let found = id.as_ref().and_then(|id| self.state.session_or_farewell(id));
        let Some(session) = found else {
            if id.is_some() {
                self.note_unknown();
            }
            return Err(unknown(message));
        };
        if !self.cookie_permits(&session) {
            return Err(self.wrong_cookie(message));
        }
        Ok(session)
    }

    /// The session of a message, which may have ended, if it may be used; why it may not is for [`find`](Self::find) to
    /// say, and to count.
    pub(super) fn known(&self, message: &Inbound<'_>, now: Instant) -> Option<Arc<Session>> {
        let id = message.session_id()?;
        let session = self.state.find_session(&id, now)?;
        self.cookie_permits(&session).then_some(session)
    }

    /// As [`known`](Self::known), if it is live; its sign of life.
    pub(super) fn known_live(&self, message: &Inbound<'_>) -> Option<Arc<Session>> {
        let session = self
            .known(message, Instant::now())
            .filter(|session| session.is_open())?;
        session.touch();
        Some(session)
    }

    /// The same error, but a client whose cookies are the trouble would handshake for ever: it is told to take its time.
    fn wrong_cookie<'m>(&self, message: &Inbound<'m>) -> Denied<'m> {
        self.note_once(Trouble::CookiesLost);
        let advice = Advice::new(Reconnect::Handshake, STORM_PAUSE, self.state.config.timeout);
        let is_connect = message.channel().is_ok_and(|channel| channel == CONNECT);
        Denied {
            told: is_connect.then(|| {
                Box::new(Told {
                    ext: Ext::new(),
                    advice: Some(advice),
                })
            }),
            ..unknown(message)
        }
    }

    fn cookie_permits(&self, session: &Session) -> bool {
        let binding = self.state.config.browser_binding;
        let Some(expected) = session.browser().filter(|_| binding != BrowserBinding::Off) else {
            return true;
        };
        if self.cookies.ids.contains(&expected) {
            session.bind();
            return true;
        }
        // A socket of before may still have the foreign one that the handshake's has replaced.
        let is_excused = if self.cookies.may_precede(expected) {
            self.cookies.ids.is_empty()
        } else {
            self.cookies.is_empty() && !session.is_bound()
        };
        binding == BrowserBinding::OnFirstUse && is_excused
    }

    /// The reply to a message that failed: whatever of it can be echoed is.
    pub(super) fn fail<'m>(
        &self,
        message: &Inbound<'m>,
        channel: Option<Cow<'m, str>>,
        denied: Denied<'_>,
    ) -> Reply<'m> {
        let error = self.state.config.error_texts.text(&denied).into_owned();
        let told = denied.told.unwrap_or_default();
        let (advice, subscription) = match channel.as_deref() {
            Some(CONNECT) => (Some(self.connect_advice(message, denied.error)), None),
            Some(SUBSCRIBE | UNSUBSCRIBE) => (None, message.subscription_echo()),
            _ => (None, None),
        };
        Reply {
            id: message.id().ok().flatten(),
            channel,
            error: Some(error.into()),
            subscription,
            ext: told.ext,
            advice: told.advice.or(advice),
            ..Reply::default()
        }
    }

    fn connect_advice(&self, message: &Inbound<'_>, error: BayeuxError) -> Advice {
        let config = &self.state.config;
        match error {
            BayeuxError::SessionUnknown if is_young(message) => {
                Advice::new(Reconnect::Handshake, STORM_PAUSE, config.timeout)
            }
            BayeuxError::SessionUnknown => unknown_session_advice(self.state),
            // What was wrong with this connect will be wrong with the next one.
            _ => Advice::new(Reconnect::Retry, config.interval.max(STORM_PAUSE), config.timeout),
        }
    }
}

/// Counts a message that is answered with an error, and logs it: a policy that refuses everybody must not go unnoticed.
#[cfg_attr(
    not(feature = "tracing"),
    expect(unused_variables, reason = "only logs name the channel")
)]
pub(super) fn note_refused(state: &State, channel: Option<&str>, denied: &Denied<'_>) {
    state.hub.counters.refused.add(denied.error);
    crate::trace::debug!(
        error = %denied.error,
        reason = %Quoted(&denied.context.reason),
        channel = %Quoted(channel.unwrap_or_default()),
        "message refused"
    );
}

pub(super) fn unknown<'m>(message: &Inbound<'m>) -> Denied<'m> {
    Denied::unknown_session(message.client_id().unwrap_or_default())
}

/// Whether a session was made just now, here or by another server. If it is not known all the same, the next one will
/// most likely not be either, as behind a balancer that sends each request elsewhere: its client would handshake for ever.
fn is_young(message: &Inbound<'_>) -> bool {
    let id = message.session_id();
    id.is_some_and(|id| id.distance() < YOUNG)
}

/// Start again, at once.
pub(super) fn unknown_session_advice(state: &State) -> Advice {
    Advice::new(Reconnect::Handshake, Duration::ZERO, state.config.timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn only_a_socket_of_before_or_shortly_after_the_cookie_is_excused() {
        let cookie = BrowserId::generate(&Random::new());
        let opened_at = |time| BrowserCookies {
            fixed_at: Some(time),
            ..BrowserCookies::default()
        };
        let made_at = cookie.generated_at();
        assert!(opened_at(made_at - 1).may_precede(cookie));
        assert!(opened_at(made_at + IN_FLIGHT - 1).may_precede(cookie));
        assert!(!opened_at(made_at + IN_FLIGHT).may_precede(cookie));
        assert!(!BrowserCookies::default().may_precede(cookie));
    }
}
