//! What each message does: one file, one function from message to reply for each kind. Knows Bayeux, not HTTP.

mod connect;
mod disconnect;
mod exchange;
mod extended;
mod handshake;
mod limits;
mod publish;
mod subscribe;
mod unsubscribe;

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{task::coop::consume_budget, time::Instant};

pub(crate) use connect::{ConnectReply, PendingConnect};
pub(crate) use exchange::{BrowserCookies, Exchange};
pub(crate) use extended::{dispatch_extended, may_stream, show_events};

use crate::{
    Reason,
    protocol::{
        BayeuxError, BrowserId, Denied, Ext, Inbound, Json, Reply,
        meta::{CONNECT, DISCONNECT, HANDSHAKE, SUBSCRIBE, UNSUBSCRIBE},
        normalise,
    },
    session::{Batch, Session},
};
use exchange::{note_refused, unknown, unknown_session_advice};

/// The pause that a client is told to make where its next step at once could turn into a storm of requests.
const STORM_PAUSE: Duration = Duration::from_secs(2);

/// What a request leads to.
#[derive(Debug, Default)]
pub(crate) struct Dispatched {
    /// Replies in request order, as JSON objects with commas between them.
    pub(crate) replies: Vec<u8>,
    /// Connects that are yet to be answered.
    pub(crate) connects: Vec<PendingConnect>,
    /// The cookie to set.
    pub(crate) new_browser: Option<BrowserId>,
    /// The session that was made.
    pub(crate) new_session: Option<Arc<Session>>,
    /// Whether a connect was refused because its session is not known.
    pub(crate) unknown_session: bool,
    /// The live session that the first message names which succeeds, for transports that belong to one.
    pub(crate) named_session: Option<Arc<Session>>,
    /// How many messages there were.
    pub(crate) messages: usize,
    /// Whether what it refuses may be answered at once, if it refuses anything.
    may_refuse: Option<bool>,
    /// How long the answer is to wait, if there are too many of its kind.
    pause: Option<Duration>,
}

enum Outcome<'m> {
    Reply(Reply<'m>),
    /// The reply to a connect whose session is not known.
    UnknownSession(Reply<'m>),
    /// The reply to what clients try again in vain: a faulty connect, or anything else of a session that is not known.
    Refused(Reply<'m>),
    Connect(PendingConnect),
}

/// Processes the messages of one request in their order. A handshake makes the others void, because the spec has them
/// ignored and clients expect its reply alone.
///
/// A large batch lets others run in between. Dropped half way, what was processed stays done, as if the request had
/// held no more.
pub(crate) async fn dispatch(exchange: &Exchange<'_>, messages: &[Inbound<'_>]) -> Dispatched {
    let mut dispatched = Dispatched::begin(messages.len());
    if let Some(message) = messages.iter().find(|message| is_handshake(message)) {
        let (mut reply, made) = handshake::handshake(exchange, message).await;
        if made.is_none() {
            dispatched.refuse(exchange, &mut reply);
        }
        dispatched.push(&reply);
        dispatched.note_made(made);
        dispatched.pace(exchange).await;
        return dispatched;
    }
    let batch = exchange.batch(messages.first(), messages.len());
    for message in messages {
        match exchange.process(message).await {
            Outcome::Reply(reply) => {
                dispatched.note_named(exchange, message, reply.successful);
                dispatched.push(&reply);
            }
            Outcome::UnknownSession(mut reply) => {
                dispatched.note_unknown_session(exchange);
                dispatched.refuse(exchange, &mut reply);
                dispatched.push(&reply);
            }
            Outcome::Refused(mut reply) => {
                dispatched.refuse(exchange, &mut reply);
                dispatched.push(&reply);
            }
            Outcome::Connect(connect) => dispatched.connects.push(connect),
        }
        consume_budget().await;
    }
    drop(batch);
    dispatched.pace(exchange).await;
    dispatched
}

/// As [`dispatch`], for a request that is one connect and nothing else: most are, and nothing in them has to be waited for.
/// `None` leaves the request to that one, a connect that is refused or takes another's place among them.
pub(crate) fn dispatch_connect(exchange: &Exchange<'_>, messages: &[Inbound<'_>]) -> Option<PendingConnect> {
    let [message] = messages else { return None };
    message.channel().ok().filter(|channel| channel == CONNECT)?;
    let now = Instant::now();
    let session = exchange.known(message, now)?;
    if exchange.overlaps(&session) {
        return None;
    }
    connect::connect_if_open(exchange, message, session, now)
}

fn is_handshake(message: &Inbound<'_>) -> bool {
    message.channel().is_ok_and(|channel| channel == HANDSHAKE)
}

impl Dispatched {
    fn begin(messages: usize) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    /// Notes whose session the transport is used for: of what was refused it may be somebody else's.
    fn note_named(&mut self, exchange: &Exchange<'_>, message: &Inbound<'_>, is_successful: bool) {
        if exchange.pushes && is_successful && self.named_session.is_none() {
            self.named_session = exchange.known_live(message);
        }
    }

    /// The connect, if the request holds nothing else: then it may be held.
    pub(crate) fn lone_connect(&mut self) -> Option<PendingConnect> {
        if self.messages == 1 { self.connects.pop() } else { None }
    }

    fn note_made(&mut self, made: Option<handshake::Made>) {
        if let Some(made) = made {
            self.new_browser = made.new_browser;
            self.new_session = Some(made.session);
        }
    }

    fn note_unknown_session(&mut self, exchange: &Exchange<'_>) {
        self.unknown_session = true;
        let counters = &exchange.state.hub.counters;
        counters.busy().connects_ended.add(Reason::UnknownSession, 1);
    }

    fn push(&mut self, reply: &Reply<'_>) {
        self.replies.reserve(reply.room() + 1);
        self.separate();
        reply.write(&mut self.replies);
    }

    /// Puts a comma after the replies so far.
    fn separate(&mut self) {
        if !self.replies.is_empty() {
            self.replies.push(b',');
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
    /// Keeps what the first message of several publishes from waking its publisher's held connect before the others are
    /// processed.
    fn batch(&self, first: Option<&Inbound<'_>>, messages: usize) -> Option<Batch> {
        let first = first.filter(|_| messages > 1)?;
        if first.channel().is_ok_and(|channel| channel == CONNECT) {
            return None;
        }
        let session = self.known_live(first)?;
        // What pushes has no timeout: a handler that takes its time would keep everything from it.
        (!session.is_pushed()).then(|| Batch::begin(session))
    }

    async fn process<'m>(&self, message: &Inbound<'m>) -> Outcome<'m> {
        let channel = match message.channel() {
            Ok(channel) => channel,
            Err(error) => {
                let denied = error.into();
                note_refused(self.state, None, &denied);
                return Outcome::Reply(self.fail(message, None, denied));
            }
        };
        match self.route(message, &channel).await {
            Ok(outcome) => outcome,
            Err(denied) => {
                self.count_denied(&denied);
                note_refused(self.state, Some(&channel), &denied);
                let is_connect = channel == CONNECT;
                let is_unknown = denied.error == BayeuxError::SessionUnknown;
                let reply = self.fail(message, Some(channel), denied);
                match (is_connect, is_unknown) {
                    (true, true) => Outcome::UnknownSession(reply),
                    (false, false) => Outcome::Reply(reply),
                    _ => Outcome::Refused(reply),
                }
            }
        }
    }

    /// Meta channels are told by their exact name: a prefix or a normalised form would open a way round whatever
    /// compares names.
    async fn route<'m>(&self, message: &Inbound<'m>, channel: &Cow<'m, str>) -> Result<Outcome<'m>, Denied<'m>> {
        let id = message.id()?;
        if channel == CONNECT {
            let session = self.find_unnoticed(message)?;
            self.space_overlapping(&session).await;
            return connect::connect(self, message, id, session).map(Outcome::Connect);
        }
        let name = normalise(channel).map_err(|_| Denied::on_channel(BayeuxError::ChannelInvalid, channel.clone()))?;
        let is_meta = channel.starts_with("/meta/");
        if !is_meta && !self.may_use(name) {
            return Err(Denied::on_channel(BayeuxError::ChannelInvalid, channel.clone()));
        }
        if !is_meta {
            publish::publish(self, message, channel, name).await?;
            return Ok(self.succeed(id, channel, None));
        }
        if channel == DISCONNECT {
            disconnect::disconnect(self, &self.session(message)?);
            return Ok(self.succeed(id, channel, None));
        }
        let session = self.sender(message)?;
        let subscription = match &**channel {
            SUBSCRIBE => subscribe::subscribe(self, message, &session).await?,
            UNSUBSCRIBE => unsubscribe::unsubscribe(self, message, &session)?,
            _ => return Err(Denied::by_policy(BayeuxError::ChannelCreateDenied, channel.clone())),
        };
        Ok(self.succeed(id, channel, Some(subscription)))
    }

    fn succeed<'m>(&self, id: Option<Json<'m>>, channel: &Cow<'m, str>, subscription: Option<Json<'m>>) -> Outcome<'m> {
        Outcome::Reply(Reply {
            id,
            channel: Some(channel.clone()),
            successful: true,
            subscription,
            ..Reply::default()
        })
    }
}

/// What the acknowledgement extension puts into a reply.
fn ack_ext(value: Option<Value>) -> Ext {
    value.map_or_else(Ext::new, |value| Ext::from_iter([("ack".to_owned(), value)]))
}
