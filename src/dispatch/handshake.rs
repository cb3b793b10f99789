//! `/meta/handshake`: a new session.

use std::{borrow::Cow, sync::Arc, time::Duration};

use serde_json::Value;

use super::{Exchange, HANDSHAKE, STORM_PAUSE, ack_ext, note_refused};
use crate::{
    Reason, Transports,
    policy::Operation,
    protocol::{Advice, BayeuxError, BrowserId, Denied, Inbound, Json, Reconnect, Reply, VERSION},
    server::BrowserBinding,
    session::{Origin, Session},
};

/// What a handshake has made.
pub(super) struct Made {
    pub(super) session: Arc<Session>,
    /// The cookie to set, if one is to be set.
    pub(super) new_browser: Option<BrowserId>,
}

/// Makes a session and says which cookie to set, if one is to be set. Version, connection types and an old `clientId`
/// are not looked at, as in CometD: clients in the field send anything there.
pub(super) async fn handshake<'m>(exchange: &Exchange<'_>, message: &Inbound<'m>) -> (Reply<'m>, Option<Made>) {
    let interval = exchange.state.config.interval;
    let id = match message.id() {
        Ok(id) => id,
        Err(error) => {
            let advice = exchange.handshake_advice(Reconnect::None, interval);
            return (exchange.turn_away(None, error.into(), advice), None);
        }
    };
    if exchange.state.hub.is_draining() {
        return (exchange.send_away(id), None);
    }
    let admitted = match exchange.admit() {
        Ok(admitted) => admitted,
        Err(limit) => {
            exchange.state.hub.counters.limited(limit);
            return (exchange.send_away(id), None);
        }
    };
    let asked = exchange
        .ask(
            Operation::Handshake,
            BayeuxError::HandshakeDenied,
            None,
            HANDSHAKE,
            message,
        )
        .await;
    let verdict = match asked {
        Ok(verdict) => verdict,
        Err(denied) => {
            let advice = exchange.handshake_advice(Reconnect::None, interval);
            return (exchange.turn_away(id, denied, advice), None);
        }
    };
    // Others may have come first while the policy was asked.
    if exchange.state.is_full() {
        exchange.state.hub.counters.limited(Reason::SessionsFull);
        return (exchange.send_away(id), None);
    }
    let origin = exchange.origin();
    let session = exchange
        .state
        .add_session(origin, admitted, verdict.attributes, exchange.request);
    let acknowledges = exchange.state.config.acknowledgement && message.wants_to_acknowledge();
    if acknowledges {
        session.keep_until_acknowledged();
    }
    // An event's reader may have been quick to set them.
    let times = session.times();
    let mut ext = ack_ext(acknowledges.then_some(Value::Bool(true)));
    ext.extend(verdict.ext);
    let reply = Reply {
        id,
        channel: Some(Cow::Borrowed(HANDSHAKE)),
        successful: true,
        client_id: Some(session.id),
        version: Some(VERSION),
        minimum_version: Some(VERSION),
        supported_connection_types: Some(exchange.offered_transports()),
        ext,
        advice: Some(
            verdict
                .advice
                .unwrap_or_else(|| Advice::new(Reconnect::Retry, times.interval, times.timeout)),
        ),
        ..Reply::default()
    };
    let new_browser = origin.filter(|origin| !origin.returned).map(|origin| origin.browser);
    (reply, Some(Made { session, new_browser }))
}

impl Exchange<'_> {
    /// Whoever has a socket open need not be told that there may be none.
    fn offered_transports(&self) -> Transports {
        if self.pushes {
            self.state.config.transports
        } else {
            self.state.transports()
        }
    }

    /// The browser that the session will belong to: the one the client says it is, or a new one. On a socket nobody can be
    /// told of a new one, and the browser may be given another one later: there it is made only where it is required.
    fn origin(&self) -> Option<Origin> {
        let brought = self.cookies.ids.first().copied();
        match self.state.config.browser_binding {
            BrowserBinding::Off => return None,
            BrowserBinding::OnFirstUse if brought.is_none() && self.cookies.are_fixed() => return None,
            BrowserBinding::OnFirstUse | BrowserBinding::Required => {}
        }
        Some(Origin {
            browser: brought.unwrap_or_else(|| BrowserId::generate(&self.state.hub.random)),
            returned: brought.is_some(),
        })
    }

    /// The reply to a client that may come back later.
    fn send_away<'m>(&self, id: Option<Json<'m>>) -> Reply<'m> {
        let pause = STORM_PAUSE.saturating_add(self.state.jitter());
        let advice = self.handshake_advice(Reconnect::Handshake, pause);
        self.turn_away(id, BayeuxError::HandshakeDenied.into(), advice)
    }

    /// The reply to a handshake that is refused, which counts.
    fn turn_away<'m>(&self, id: Option<Json<'m>>, denied: Denied<'_>, advice: Advice) -> Reply<'m> {
        note_refused(self.state, Some(HANDSHAKE), &denied);
        self.refuse(id, denied, advice)
    }

    pub(super) fn handshake_advice(&self, reconnect: Reconnect, interval: Duration) -> Advice {
        Advice::new(reconnect, interval, self.state.config.timeout)
    }

    pub(super) fn refuse<'m>(&self, id: Option<Json<'m>>, denied: Denied<'_>, advice: Advice) -> Reply<'m> {
        let error = self.state.config.error_texts.text(&denied).into_owned();
        let told = denied.told.unwrap_or_default();
        Reply {
            id,
            channel: Some(Cow::Borrowed(HANDSHAKE)),
            error: Some(error.into()),
            ext: told.ext,
            advice: told.advice.or(Some(advice)),
            ..Reply::default()
        }
    }
}
