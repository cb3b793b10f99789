//! One message on a socket: what it holds, and how it ends the socket if it is spoilt.

use std::{borrow::Cow, sync::Arc};

use http::request::Parts;
use tokio_tungstenite::tungstenite::{
    Error, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::{
    Reason,
    dispatch::{BrowserCookies, Dispatched, Exchange},
    panics::Contained,
    protocol::BrowserId,
    server::State,
    transport::request::{self, Refusal},
};

/// What all messages of one socket share.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) state: Arc<State>,
    pub(super) request: Arc<Parts>,
    pub(super) cookies: Arc<BrowserCookies>,
}

impl Opening {
    /// Counts what was too large to be read.
    pub(super) fn count(&self, error: &Error) {
        if matches!(error, Error::Capacity(_)) {
            self.state.hub.counters.limited(Reason::BodyTooLarge);
        }
    }

    /// Nobody can set a cookie on a socket. Where one is required, and only there is there a new one, the socket itself
    /// vouches for the sessions made on it.
    pub(super) fn note_browser(&mut self, browser: BrowserId) {
        Arc::make_mut(&mut self.cookies).ids.push(browser);
    }
}

/// Processes the messages of one frame. User code that panics costs the socket, not what it has in its queue.
pub(super) async fn process(opening: Opening, text: Utf8Bytes) -> Result<Dispatched, CloseFrame> {
    let processed = Contained::new(dispatch(opening, text)).await;
    processed.unwrap_or_else(|| Err(close(CloseCode::Error, "internal error")))
}

async fn dispatch(opening: Opening, text: Utf8Bytes) -> Result<Dispatched, CloseFrame> {
    let texts = [Cow::Borrowed(text.as_str())];
    let exchange = Exchange::new(&opening.state, &opening.request, &opening.cookies, true);
    let processed = request::process(&exchange, &texts).await;
    processed.map_err(|refusal| refuse(refusal, &opening.state))
}

fn refuse(refusal: Refusal, state: &State) -> CloseFrame {
    if let Some(limit) = refusal.limit() {
        state.hub.counters.limited(limit);
    }
    match refusal {
        Refusal::BatchTooLarge => close(CloseCode::Size, "too many messages"),
        _ => close(CloseCode::Invalid, "not a Bayeux message"),
    }
}

/// Which code tells the client why its socket can't be read from any more; none if there is nobody to be told.
pub(super) fn close_for(error: &Error) -> Option<CloseFrame> {
    match error {
        Error::Capacity(_) => Some(close(CloseCode::Size, "message too large")),
        Error::Utf8(_) => Some(close(CloseCode::Invalid, "not UTF-8")),
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) => None,
        Error::Protocol(_) => Some(close(CloseCode::Protocol, "")),
        _ => None,
    }
}

pub(super) fn close(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame {
        code,
        reason: reason.into(),
    }
}
