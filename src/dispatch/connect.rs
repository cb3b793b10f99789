//! `/meta/connect`: the request that waits for messages.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::Version;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    CONNECT, Exchange, STORM_PAUSE, ack_ext, extended, limits::storm_pause, note_refused, unknown_session_advice,
};
use crate::{
    Reason,
    protocol::{
        Advice, BrowserId, ClientAdvice, ClientId, Denied, Inbound, Json, MutableMessage, OwnedJson, Reconnect, Reply,
        Transport,
    },
    server::State,
    session::{Asked, BrowserSlot, Connect, Held, Role, Session, Taken, Terms},
    trouble::Trouble,
};

/// A connect that was accepted and is yet to be answered. Owns what its reply needs, so that the request can be
/// dropped while it is held.
#[derive(Debug)]
pub(crate) struct PendingConnect {
    connect: Connect,
    reply: ConnectReply,
    /// For how long it may be held; `None` if it is to be answered at once.
    hold: Option<Duration>,
    /// Whether there was something to deliver when it came.
    finds_messages: bool,
    /// Whether it is held only because there were too many of its session that were not.
    is_paced: bool,
}

/// The reply to a connect, but for how it ends.
#[derive(Debug)]
pub(crate) struct ConnectReply {
    id: Option<OwnedJson>,
    client_id: ClientId,
    /// The client's own pause between connects.
    interval: Option<Duration>,
    /// Whether it only keeps a session alive that is pushed to.
    is_elsewhere: bool,
    place: Place,
    /// The connect as extensions have left it, if there are any; their answer may depend on it.
    incoming: Option<Box<MutableMessage>>,
}

/// Whether the client's browser has a held connect to spare for this one.
#[derive(Debug)]
enum Place {
    /// It has as many as it likes.
    Free,
    /// It has given one away, until the reply is made.
    Taken { _slot: Box<BrowserSlot> },
    /// It has none left: the client is to poll.
    Crowded,
    /// The server holds as many as it may.
    Full,
}

impl Place {
    const fn is_missing(&self) -> bool {
        matches!(self, Self::Crowded | Self::Full)
    }
}

/// Accepts a connect that came just now; an older one of the same session is answered at once.
pub(super) fn connect<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    id: Option<Json<'m>>,
    session: Arc<Session>,
) -> Result<PendingConnect, Denied<'m>> {
    let advice = message.advice().inspect_err(|_| session.touch())?;
    let begun = Connect::begin(session, asked(exchange, message, advice, Instant::now()));
    Ok(pending(exchange, id, advice.timeout, begun))
}

/// As [`connect`], unless it is to be refused.
pub(super) fn connect_if_open<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    session: Arc<Session>,
    at: Instant,
) -> Option<PendingConnect> {
    let (id, advice) = (message.id().ok()?, message.advice().ok()?);
    let begun = Connect::begin_if_open(session, asked(exchange, message, advice, at))?;
    Some(pending(exchange, id, advice.timeout, begun))
}

fn asked(exchange: &Exchange<'_>, message: &Inbound<'_>, advice: ClientAdvice, at: Instant) -> Asked {
    Asked {
        role: role(exchange, message),
        interval: advice.interval,
        acknowledged: message.acknowledged(),
        at,
    }
}

/// Decides for how long a connect that has begun may be held.
#[inline]
fn pending(
    exchange: &Exchange<'_>,
    id: Option<Json<'_>>,
    timeout: Option<Duration>,
    (connect, terms): (Connect, Terms),
) -> PendingConnect {
    let session = connect.session();
    let hold = timeout.unwrap_or(terms.times.timeout).min(terms.times.timeout);
    let may_be_held = !hold.is_zero() && !terms.is_first && !terms.is_elsewhere;
    let place = if may_be_held {
        place_for(exchange, session.browser(), terms.replaces)
    } else {
        Place::Free
    };
    let hold = (may_be_held && !place.is_missing()).then_some(hold);
    if terms.is_first {
        exchange.note_first_connect(session);
    } else if terms.is_early {
        exchange.state.hub.note(Trouble::ConnectsTooClose);
    }
    // What is beside a stream has been spaced before it began. Held, it would take the stream's wake-ups away.
    let pace = if hold.is_some() || terms.is_first || terms.finds_messages || terms.is_beside_stream {
        None
    } else {
        session.connect_pause().inspect(|_| exchange.note_paced())
    };
    let reply = ConnectReply {
        id: id.map(OwnedJson::from),
        client_id: session.id,
        interval: terms.interval,
        is_elsewhere: terms.is_elsewhere,
        place,
        incoming: None,
    };
    PendingConnect {
        finds_messages: terms.finds_messages,
        is_paced: pace.is_some(),
        hold: hold.or(pace),
        connect,
        reply,
    }
}

fn role(exchange: &Exchange<'_>, message: &Inbound<'_>) -> Role {
    let event_source = Transport::EventSource;
    if exchange.pushes {
        Role::Heartbeat
    } else if exchange.state.config.transports.contains(event_source)
        && message.connection_type().as_deref() == Some(event_source.as_str())
    {
        Role::Elsewhere
    } else {
        Role::Polls
    }
}

/// Only browsers that show themselves by their cookie are counted, and only where connections are short. A session that
/// belongs to none was made on a socket, and counts for the one that polls now.
fn place_for(exchange: &Exchange<'_>, browser: Option<BrowserId>, replaces: bool) -> Place {
    let counters = &exchange.state.hub.counters;
    if !replaces && exchange.holds_enough() {
        counters.limited(Reason::HeldFull);
        return Place::Full;
    }
    let browser = browser.or_else(|| exchange.cookies.ids.first().copied());
    let Some(browser) = browser else { return Place::Free };
    let is_counted = exchange.state.config.max_held_per_browser < usize::MAX
        && !exchange.pushes
        && exchange.request.version < Version::HTTP_2
        && exchange.cookies.ids.contains(&browser);
    if !is_counted {
        return Place::Free;
    }
    let slot = BrowserSlot::take(&exchange.state.hub, browser, replaces);
    let Some(slot) = slot else {
        counters.limited(Reason::BrowserHeldFull);
        return Place::Crowded;
    };
    Place::Taken { _slot: Box::new(slot) }
}

impl PendingConnect {
    /// Keeps the message for the extensions that will see its reply.
    pub(super) fn remember(mut self, message: MutableMessage) -> Self {
        self.reply.incoming = Some(Box::new(message));
        self
    }

    /// How long its answer is to wait where it can't be held because it shares its request.
    pub(super) fn pace(&self, exchange: &Exchange<'_>) -> Option<Duration> {
        if self.is_paced {
            return self.hold;
        }
        self.hold.filter(|_| !self.finds_messages)?;
        self.connect
            .session()
            .connect_pause()
            .inspect(|_| exchange.note_paced())
    }

    /// The session that it belongs to.
    #[cfg(feature = "websocket")]
    pub(crate) const fn session(&self) -> &Arc<Session> {
        self.connect.session()
    }

    /// Whether there is a reason to wait.
    pub(crate) const fn may_be_held(&self) -> bool {
        self.hold.is_some()
    }

    /// Answers at once, with whatever is queued.
    pub(crate) fn answer_now(mut self) -> (ConnectReply, Taken) {
        let taken = self.connect.answer_now();
        (self.reply, taken)
    }

    /// Answers when it is time: at once, or after a hold. Ready in the very poll that takes the messages.
    #[inline]
    pub(crate) fn answer(self) -> (ConnectReply, Held) {
        (self.reply, self.connect.hold(self.hold))
    }
}

impl ConnectReply {
    /// The reply in pieces, if there is nothing special to say, as to most connects; then it is written already.
    pub(crate) fn prepared<'a>(&'a self, state: &'a State, taken: &Taken) -> Option<[&'a [u8]; 3]> {
        let is_usual = matches!(taken.reason, Reason::Delivered | Reason::Timeout | Reason::NotHeld)
            && self.interval.is_none()
            && !self.is_elsewhere
            && !self.place.is_missing()
            && taken.times == state.hub.times
            && taken.lease.batch().is_none()
            && !state.hub.is_extended();
        let pieces = is_usual.then(|| state.connect_reply.to(self.id.as_ref()))?;
        debug_assert_eq!(pieces.concat(), self.finish(state, taken).to_json());
        Some(pieces)
    }

    /// The reply as JSON, or nothing if an extension deletes it. What is delivered with it is shown to the extensions, too.
    pub(crate) fn render(&self, state: &State, taken: &mut Taken) -> Vec<u8> {
        if matches!(taken.reason, Reason::Expired | Reason::QueueOverflow) {
            note_refused(state, Some(CONNECT), &self.session_gone());
        }
        let reply = self.finish(state, taken);
        if state.hub.is_extended() {
            return extended::connect_reply(state, &reply, &mut taken.lease, self.incoming.as_deref());
        }
        reply.to_json()
    }

    /// The reply that fits how the connect ended.
    fn finish<'a>(&'a self, state: &'a State, taken: &Taken) -> Reply<'a> {
        let reason = taken.reason;
        let config = &state.config;
        let times = taken.times;
        let interval = self.interval.unwrap_or(times.interval);
        let advice = |reconnect, interval| Some(Advice::new(reconnect, interval, times.timeout));
        let reply = Reply {
            id: self.id.as_ref().map(Json::from),
            channel: Some(Cow::Borrowed(CONNECT)),
            successful: true,
            ext: ack_ext(taken.lease.batch().map(Value::from)),
            advice: advice(Reconnect::Retry, interval),
            ..Reply::default()
        };
        match reason {
            Reason::ServerDisconnect | Reason::ClientDisconnect => Reply {
                advice: advice(Reconnect::None, interval),
                ..reply
            },
            Reason::Expired | Reason::QueueOverflow => Reply {
                successful: false,
                error: Some(config.error_texts.text(&self.session_gone()).into_owned().into()),
                advice: Some(unknown_session_advice(state)),
                ..reply
            },
            Reason::Shutdown => Reply {
                advice: advice(Reconnect::Retry, interval.saturating_add(state.jitter())),
                ..reply
            },
            Reason::NotHeld | Reason::Timeout if matches!(self.place, Place::Full) => Reply {
                advice: advice(Reconnect::Retry, interval.max(storm_pause(state))),
                ..reply
            },
            Reason::NotHeld | Reason::Timeout if matches!(self.place, Place::Crowded) => {
                let advice = Advice::new(Reconnect::Retry, interval.max(STORM_PAUSE), times.timeout);
                Reply {
                    advice: Some(advice.for_multiple_clients()),
                    ..reply
                }
            }
            // As Faye does: the next one is due after as long as this one would have been held.
            Reason::NotHeld | Reason::Timeout if self.is_elsewhere => Reply {
                advice: Some(Advice::new(Reconnect::Retry, config.timeout, Duration::ZERO)),
                ..reply
            },
            // Two clients that share a session, as a duplicated browser tab does, would chase each other.
            Reason::Superseded => Reply {
                advice: advice(Reconnect::Retry, interval.max(STORM_PAUSE)),
                ..reply
            },
            _ => reply,
        }
    }

    fn session_gone(&self) -> Denied<'static> {
        Denied::unknown_session(self.client_id.to_string())
    }
}
