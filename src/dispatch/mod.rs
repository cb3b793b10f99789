//! What each message does: one file, one function from message to reply for each kind. Knows Bayeux, not HTTP.

mod connect;
mod disconnect;
mod handshake;
mod publish;
mod subscribe;
mod unsubscribe;

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::request::Parts;
use serde_json::{Value, value::RawValue};
use tokio::task::coop::consume_budget;

pub(crate) use connect::{ConnectReply, PendingConnect};

use crate::{
    Reason,
    policy::{Operation, PolicyRequest, Verdict},
    protocol::{Advice, BayeuxError, BrowserId, Denied, Ext, Inbound, Reconnect, Reply, Told, normalise},
    server::{BrowserBinding, State},
    session::{ServerSession, Session},
};

const HANDSHAKE: &str = "/meta/handshake";
const CONNECT: &str = "/meta/connect";
const SUBSCRIBE: &str = "/meta/subscribe";
const UNSUBSCRIBE: &str = "/meta/unsubscribe";
const DISCONNECT: &str = "/meta/disconnect";

/// The pause that a client is told to make where its next step at once could turn into a storm of requests.
const STORM_PAUSE: Duration = Duration::from_secs(2);

/// What the messages of one request share.
pub(crate) struct Exchange<'a> {
    pub(crate) state: &'a State,
    pub(crate) request: &'a Arc<Parts>,
    pub(crate) cookies: &'a BrowserCookies,
    /// The names that the handshake reply offers.
    pub(crate) connection_types: &'static [&'static str],
}

/// The browser cookies of one request. There may be several of the name, set for different paths.
#[derive(Debug, Default)]
pub(crate) struct BrowserCookies {
    pub(crate) ids: Vec<BrowserId>,
    /// Whether there is one that this server can't have set.
    pub(crate) foreign: bool,
}

impl BrowserCookies {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && !self.foreign
    }
}

/// What a request leads to.
#[derive(Debug, Default)]
pub(crate) struct Dispatched {
    /// Replies in request order, as JSON objects with commas between them.
    pub(crate) replies: Vec<u8>,
    /// Connects that are yet to be answered.
    pub(crate) connects: Vec<PendingConnect>,
    /// The cookie to set.
    pub(crate) new_browser: Option<BrowserId>,
    /// Whether a connect was refused because its session is not known.
    pub(crate) unknown_session: bool,
}

enum Outcome<'m> {
    Reply(Reply<'m>),
    /// The reply to a connect whose session is not known.
    UnknownSession(Reply<'m>),
    Connect(PendingConnect),
}

/// Processes the messages of one request in their order. A handshake makes the others void, because the spec has them
/// ignored and clients expect its reply alone.
///
/// A large batch lets others run in between. Dropped half way, what was processed stays done, as if the request had
/// held no more.
pub(crate) async fn dispatch(exchange: &Exchange<'_>, messages: &[Inbound<'_>]) -> Dispatched {
    let mut dispatched = Dispatched::default();
    if let Some(message) = messages.iter().find(|message| is_handshake(message)) {
        let (reply, new_browser) = handshake::handshake(exchange, message).await;
        dispatched.new_browser = new_browser;
        dispatched.push(&reply);
        return dispatched;
    }
    for message in messages {
        match exchange.process(message).await {
            Outcome::Reply(reply) => dispatched.push(&reply),
            Outcome::UnknownSession(reply) => {
                exchange
                    .state
                    .hub
                    .counters
                    .connects_ended
                    .add(Reason::UnknownSession, 1);
                dispatched.unknown_session = true;
                dispatched.push(&reply);
            }
            Outcome::Connect(connect) => dispatched.connects.push(connect),
        }
        consume_budget().await;
    }
    dispatched
}

fn is_handshake(message: &Inbound<'_>) -> bool {
    message.channel().is_ok_and(|channel| channel == HANDSHAKE)
}

impl Dispatched {
    pub(crate) fn push(&mut self, reply: &Reply<'_>) {
        if !self.replies.is_empty() {
            self.replies.push(b',');
        }
        let start = self.replies.len();
        if serde_json::to_writer(&mut self.replies, reply).is_err() {
            // Strings, numbers and raw JSON can't fail to serialise; half a reply would spoil the whole answer.
            self.replies.truncate(start);
            self.replies.extend_from_slice(b"{\"successful\":false}");
        }
    }
}

/// How many deliveries cost about as much as reading a small message from a socket.
const DELIVERIES_PER_UNIT: usize = 32;

/// Lets others run when a request has had its share of the processor, by what its deliveries have cost.
async fn pay_for(deliveries: usize) {
    for _ in 0..deliveries / DELIVERIES_PER_UNIT {
        consume_budget().await;
    }
}

impl Exchange<'_> {
    async fn process<'m>(&self, message: &Inbound<'m>) -> Outcome<'m> {
        let channel = match message.channel() {
            Ok(channel) => channel,
            Err(error) => return Outcome::Reply(self.fail(message, None, error.into())),
        };
        match self.route(message, &channel).await {
            Ok(outcome) => outcome,
            Err(denied) if channel == CONNECT && denied.error == BayeuxError::SessionUnknown => {
                Outcome::UnknownSession(self.fail(message, Some(channel), denied))
            }
            Err(denied) => Outcome::Reply(self.fail(message, Some(channel), denied)),
        }
    }

    /// Meta channels are told by their exact name: a prefix or a normalised form would open a way round whatever
    /// compares names.
    async fn route<'m>(&self, message: &Inbound<'m>, channel: &Cow<'m, str>) -> Result<Outcome<'m>, Denied<'m>> {
        let id = message.id()?;
        let name = normalise(channel).map_err(|_| Denied::on_channel(BayeuxError::ChannelInvalid, channel.clone()))?;
        if channel == CONNECT {
            return connect::connect(self, message, id).map(Outcome::Connect);
        }
        if !channel.starts_with("/meta/") {
            publish::publish(self, message, channel, name).await?;
            return Ok(self.succeed(id, channel, None));
        }
        let session = self.session(message)?;
        let subscription = match &**channel {
            SUBSCRIBE => Some(subscribe::subscribe(self, message, &session).await?),
            UNSUBSCRIBE => Some(unsubscribe::unsubscribe(self, message, &session)?),
            DISCONNECT => {
                disconnect::disconnect(self, &session);
                None
            }
            _ => return Err(Denied::by_policy(BayeuxError::ChannelCreateDenied, channel.clone())),
        };
        Ok(self.succeed(id, channel, subscription))
    }

    fn succeed<'m>(
        &self,
        id: Option<&'m RawValue>,
        channel: &Cow<'m, str>,
        subscription: Option<&'m RawValue>,
    ) -> Outcome<'m> {
        Outcome::Reply(Reply {
            id,
            channel: Some(channel.clone()),
            successful: true,
            subscription,
            ..Reply::default()
        })
    }

    /// Asks whether a session, or a client without one, may do something on a channel; if not, it is `error`.
    async fn ask<'m>(
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
    async fn permit<'m>(
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
        if !self.state.channels.contains(channel) {
            let _granted = self
                .ask(Operation::Create, create_error, session, channel, message)
                .await?;
        }
        self.ask(operation, error, session, channel, message).await.map(drop)
    }

    /// The session that a message names and may use; its sign of life.
    fn session<'m>(&self, message: &Inbound<'m>) -> Result<Arc<Session>, Denied<'m>> {
        let session = self.find(message)?;
        if session.is_open() {
            Ok(session)
        } else {
            Err(unknown(message))
        }
    }

    /// As [`session`](Self::session), or one that has ended and has a farewell to be fetched.
    fn find<'m>(&self, message: &Inbound<'m>) -> Result<Arc<Session>, Denied<'m>> {
        let id = message.client_id().and_then(|id| id.parse().ok());
        let found = id.and_then(|id| self.state.session_or_farewell(&id));
        let session = found.ok_or_else(|| unknown(message))?;
        if !self.cookie_permits(&session) {
            return Err(self.wrong_cookie(message));
        }
        if session.is_open() {
            session.touch();
        }
        Ok(session)
    }

    /// The same error, but a client whose cookies are the trouble would handshake for ever: it is told to take its time.
    fn wrong_cookie<'m>(&self, message: &Inbound<'m>) -> Denied<'m> {
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
        self.cookies.is_empty() && binding == BrowserBinding::OnFirstUse && !session.is_bound()
    }

    /// The reply to a message that failed: whatever of it can be echoed is.
    fn fail<'m>(&self, message: &Inbound<'m>, channel: Option<Cow<'m, str>>, denied: Denied<'_>) -> Reply<'m> {
        let error = self.state.config.error_texts.text(&denied).into_owned();
        let told = denied.told.unwrap_or_default();
        let (advice, subscription) = match channel.as_deref() {
            Some(CONNECT) => (Some(self.connect_advice(denied.error)), None),
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

    fn connect_advice(&self, error: BayeuxError) -> Advice {
        let config = &self.state.config;
        match error {
            BayeuxError::SessionUnknown => unknown_session_advice(self.state),
            // What was wrong with this connect will be wrong with the next one.
            _ => Advice::new(Reconnect::Retry, config.interval.max(STORM_PAUSE), config.timeout),
        }
    }
}

/// What the acknowledgement extension puts into a reply.
fn ack_ext(value: Option<Value>) -> Ext {
    value.map(|value| ("ack".to_owned(), value)).into_iter().collect()
}

fn unknown<'m>(message: &Inbound<'m>) -> Denied<'m> {
    Denied::unknown_session(message.client_id().unwrap_or_default())
}

/// Start again, at once.
fn unknown_session_advice(state: &State) -> Advice {
    Advice::new(Reconnect::Handshake, Duration::ZERO, state.config.timeout)
}
