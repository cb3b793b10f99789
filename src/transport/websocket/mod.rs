//! The `websocket` transport: an upgrade, and from then on one JSON array per frame, either way.
//!
//! One task per socket does everything: it reads a frame, has it processed, writes replies, and pushes events meanwhile.
//! A frame is written only when the one before is wholly with the operating system, so that what a client does not read
//! waits in its session's queue.

mod end;
mod frame;
mod input;
mod message;
mod socket;

use std::sync::{Arc, atomic::Ordering::SeqCst};

use http::{
    HeaderValue, Response, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{AnswerBody, AnswerInfo, Outcome, answer, request::Refusal};
use crate::{Transport, server::State, trouble::Trouble};
use frame::FRAGMENT;
use socket::Socket;

/// What most messages of clients fit in. The library allocates it for each socket, at once.
const READ_BUFFER: usize = 4 * 1024;

/// What the library keeps for a client that does not read: a fragment, and pongs. When it is full, it keeps the last pong.
const WRITE_BUFFER: usize = FRAGMENT + 4 * 1024;

/// Answers the request to open a socket, and serves it on a task of its own from then on.
pub(super) fn open(state: &Arc<State>, mut request: Parts) -> Response<AnswerBody> {
    let accepted = match accept(state, &mut request) {
        Ok(accepted) => accepted,
        Err(refusal) => return refuse(refusal, state),
    };
    let mut response = Response::new(AnswerBody::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accepted.key);
    if let Some(protocol) = accepted.protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if state.config.answer_info {
        response.extensions_mut().insert(AnswerInfo {
            outcome: Outcome::Opened,
            ..AnswerInfo::replied(Transport::WebSocket)
        });
    }
    tokio::spawn(serve(Arc::clone(state), Arc::new(request), accepted.upgrade));
    response
}

struct Accepted {
    upgrade: OnUpgrade,
    key: HeaderValue,
    /// A browser that names subprotocols wants to hear one of them.
    protocol: Option<HeaderValue>,
}

fn accept(state: &State, request: &mut Parts) -> Result<Accepted, Refusal> {
    if request
        .headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err(Refusal::UpgradeVersion);
    }
    let key = request.headers.get(SEC_WEBSOCKET_KEY).ok_or(Refusal::Upgrade)?;
    let key = derive_accept_key(key.as_bytes())
        .try_into()
        .map_err(|_| Refusal::Upgrade)?;
    if state
        .config
        .websocket
        .origin
        .as_ref()
        .is_some_and(|check| !check(request))
    {
        return Err(Refusal::Origin);
    }
    if state.upgrades.fail(|| state.hub.now()) {
        return Err(Refusal::NoUpgrades);
    }
    // Taken out: whoever keeps the request must not keep the connection.
    let upgrade = request.extensions.remove::<OnUpgrade>().ok_or(Refusal::Upgrade)?;
    let protocol = request.headers.get(SEC_WEBSOCKET_PROTOCOL);
    let first = |names: &str| {
        names
            .split(',')
            .map(str::trim)
            .find(|name| !name.is_empty())?
            .parse()
            .ok()
    };
    let protocol = protocol.and_then(|names| first(names.to_str().ok()?));
    Ok(Accepted { upgrade, key, protocol })
}

fn refuse(refusal: Refusal, state: &State) -> Response<AnswerBody> {
    let mut response = answer::refuse(refusal, Transport::WebSocket, state);
    if refusal == Refusal::UpgradeVersion {
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    response
}

/// A client that has gone is no fault of the server's.
fn note_failed(state: &State, error: &hyper::Error) {
    if error.is_user() {
        let now = state.hub.now();
        // Where any is open, another HTTP server hands them over.
        if state.hub.counters.open_sockets.load(SeqCst) <= 0 {
            state.upgrades.note_failed(now);
        }
        state.hub.note(Trouble::UpgradesFail);
        // Without a session there is no sweeper to do it.
        state.hub.watch.warn(now);
    }
}

async fn serve(state: Arc<State>, request: Arc<Parts>, upgrade: OnUpgrade) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return note_failed(&state, &error),
    };
    let limit = Some(state.config.websocket.max_message_bytes);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(limit)
        .max_frame_size(limit);
    let stream = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(config)).await;
    Socket::new(state, request, stream).run().await;
}
