//! The `eventsource` transport, as Faye's clients use it: a stream of server-sent events down, long-polling's POST up.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, VARY},
    request::Parts,
};
use tokio::time::{Instant, Sleep, sleep};

use super::{AnswerBody, AnswerInfo, answer, cookie, outgoing, request::Refusal};
use crate::{
    ClientId, Outcome, Transport,
    dispatch::{Exchange, may_stream},
    server::State,
    session::{Lease, Push},
};

/// How often a stream that has nothing to say says so: proxies close what is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// The most messages in one event.
const MESSAGES_PER_EVENT: usize = 64;

/// After a break, browsers come back after five seconds; as Faye has it.
const OPENING: Bytes = Bytes::from_static(b"retry: 5000\n\n");
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// The session whose stream a path is: its last segment.
pub(super) fn client_id(path: &str) -> Option<ClientId> {
    path.rsplit('/').next()?.parse().ok()
}

/// Opens the stream of a session. It ends with the session, or when another consumer takes over.
pub(super) async fn open(state: &Arc<State>, request: &Arc<Parts>) -> Response<AnswerBody> {
    let cookies = cookie::read(&request.headers, &state.config);
    let exchange = Exchange::new(state, request, &cookies, true);
    let session = client_id(request.uri.path()).and_then(|id| exchange.session_by_id(&id));
    let session = match session {
        Some(session) if may_stream(&exchange, &session).await && session.may_be_served() => Some(session),
        _ => None,
    };
    // What is acknowledged comes with connects; there is nothing to be streamed.
    let Some(session) = session.filter(|session| !session.acknowledges() && !state.hub.is_draining()) else {
        return answer::refuse(Refusal::UnknownSession, Transport::EventSource, state);
    };
    state.hub.counters.open_streams.fetch_add(1, Relaxed);
    let stream = Stream {
        state: Arc::clone(state),
        push: Some(Push::attach(session, false)),
        is_open: false,
        keep_alive: Box::pin(sleep(KEEP_ALIVE)),
    };
    let info = AnswerInfo {
        outcome: Outcome::Opened,
        ..AnswerInfo::replied(Transport::EventSource)
    };
    let body = AnswerBody::Stream(Box::new(stream));
    let mut response = answer::response(StatusCode::OK, body, info, &state.config);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    // nginx would wait for more.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// The body of a stream. Messages leave the queue only when the HTTP server asks for bytes, so that a client that does
/// not read has them wait there.
pub(crate) struct Stream {
    state: Arc<State>,
    /// `None` after the end.
    push: Option<Push>,
    is_open: bool,
    keep_alive: Pin<Box<Sleep>>,
}

impl Stream {
    pub(super) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.is_open {
            self.is_open = true;
            return Poll::Ready(Some(OPENING));
        }
        let Some(push) = &mut self.push else {
            return Poll::Ready(None);
        };
        let bytes = match poll_event(push, cx) {
            Poll::Ready(event) => event,
            Poll::Pending => {
                std::task::ready!(self.keep_alive.as_mut().poll(cx));
                Some(COMMENT)
            }
        };
        if bytes.is_some() {
            self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        } else {
            self.push = None;
        }
        Poll::Ready(bytes)
    }
}

/// The next server-sent event; `None` after the last one.
fn poll_event(push: &mut Push, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
    loop {
        let taken = std::task::ready!(push.poll_take_until_shutdown(cx, MESSAGES_PER_EVENT));
        let Ok(mut lease) = taken else { return Poll::Ready(None) };
        outgoing::show(&mut lease);
        // Extensions may have deleted all there was.
        let event = (!lease.messages().is_empty()).then(|| event(&lease));
        lease.commit_pushed();
        if event.is_some() {
            return Poll::Ready(event);
        }
    }
}

/// Line ends in JSON are mere space, but would end the event.
fn event(lease: &Lease) -> Bytes {
    let json = outgoing::array(outgoing::events(lease));
    let mut event = Vec::with_capacity(json.len() + 8);
    event.extend_from_slice(b"data: ");
    event.extend(json.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        other => *other,
    }));
    event.extend_from_slice(b"\n\n");
    event.into()
}

impl Drop for Stream {
    fn drop(&mut self) {
        let hub = &self.state.hub;
        hub.count_closed(&hub.counters.open_streams);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
