//! `/meta/connect`: the request that waits for messages.

use std::{borrow::Cow, time::Duration};

use serde_json::{Value, value::RawValue};

use super::{CONNECT, Exchange, STORM_PAUSE, ack_ext, unknown, unknown_session_advice};
use crate::{
    Reason,
    protocol::{Advice, ClientId, Denied, Inbound, Reconnect, Reply},
    server::State,
    session::{Connect, Held, Taken},
};

/// A connect that was accepted and is yet to be answered. Owns what its reply needs, so that the request can be
/// dropped while it is held.
#[derive(Debug)]
pub(crate) struct PendingConnect {
    connect: Connect,
    reply: ConnectReply,
    /// For how long it may be held; `None` if it is to be answered at once.
    hold: Option<Duration>,
}

/// The reply to a connect, but for how it ends.
#[derive(Debug)]
pub(crate) struct ConnectReply {
    id: Option<Box<RawValue>>,
    client_id: ClientId,
    /// The client's own pause between connects.
    interval: Option<Duration>,
}

/// Accepts a connect; an older one of the same session is answered at once.
pub(super) fn connect<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    id: Option<&'m RawValue>,
) -> Result<PendingConnect, Denied<'m>> {
    let session = exchange.find(message).ok_or_else(|| unknown(message))?;
    let advice = message.advice()?;
    let config = &exchange.state.config;
    // A client may take longer pauses than it is told to, but not keep a session for ever by announcing one.
    let interval = advice
        .interval
        .map(|interval| interval.min(config.max_interval.max(config.interval)));
    let hold = advice.timeout.unwrap_or(config.timeout).min(config.timeout);
    let acknowledged = if session.acknowledges() {
        message.acknowledged()
    } else {
        None
    };
    let reply = ConnectReply {
        id: id.map(ToOwned::to_owned),
        client_id: session.id,
        interval,
    };
    let connect = Connect::begin(session, interval, acknowledged);
    let hold = (!hold.is_zero() && !connect.is_first()).then_some(hold);
    Ok(PendingConnect { connect, reply, hold })
}

impl PendingConnect {
    /// Answers at once, with whatever is queued.
    pub(crate) fn answer_now(mut self) -> (ConnectReply, Taken) {
        let taken = self.connect.answer_now();
        (self.reply, taken)
    }

    /// Answers when it is time: at once, or after a hold. Ready in the very poll that takes the messages.
    pub(crate) fn answer(self) -> (ConnectReply, Held) {
        (self.reply, self.connect.hold(self.hold))
    }
}

impl ConnectReply {
    /// The reply that fits how the connect ended.
    pub(crate) fn finish<'a>(&'a self, state: &'a State, taken: &Taken) -> Reply<'a> {
        let reason = taken.reason;
        let config = &state.config;
        let interval = self.interval.unwrap_or(config.interval);
        let advice = |reconnect, interval| Some(Advice::new(reconnect, interval, config.timeout));
        let reply = Reply {
            id: self.id.as_deref(),
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
            // Two clients that share a session, as a duplicated browser tab does, would chase each other.
            Reason::Superseded => Reply {
                advice: advice(Reconnect::Retry, interval.max(STORM_PAUSE)),
                ..reply
            },
            _ => reply,
        }
    }

    /// To be called once the answer is made: the last connect of a disconnected session takes it out of the table.
    pub(crate) fn clean_up(&self, state: &State, reason: Reason) {
        if reason == Reason::ServerDisconnect {
            state.bury(&self.client_id);
        }
    }

    fn session_gone(&self) -> Denied<'static> {
        Denied::unknown_session(self.client_id.to_string())
    }
}
