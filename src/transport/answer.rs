//! HTTP responses.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

use super::{AnswerBody, AnswerInfo, Outcome, body::Leases, callback_polling::Callback, outgoing, request::Refusal};
use crate::{
    Reason, Transport,
    server::{Config, State},
    session::Taken,
};

/// How an answer is put on the wire.
#[derive(Debug)]
pub(super) enum Form {
    Json,
    /// JSONP: a script that calls this function.
    Script(Callback),
}

impl Form {
    pub(super) const fn transport(&self) -> Transport {
        match self {
            Self::Json => Transport::LongPolling,
            Self::Script(_) => Transport::CallbackPolling,
        }
    }
}

/// An answer in the making: events first, then replies, connect replies last. One buffer, sized exactly.
#[derive(Debug)]
pub(super) struct Answer {
    /// Replies to all but connects, with commas between them.
    replies: Vec<u8>,
    connect_replies: Vec<u8>,
    leases: Leases,
    info: AnswerInfo,
}

impl Answer {
    /// An answer with replies that are there already, and room for those to so many connects.
    pub(super) fn new(replies: Vec<u8>, connects: usize, transport: Transport) -> Self {
        Self {
            replies,
            connect_replies: Vec::new(),
            leases: Leases::with_capacity(connects),
            info: AnswerInfo::replied(transport),
        }
    }

    /// Notes that a connect was refused.
    pub(super) const fn unknown_session(&mut self) {
        self.info.outcome = Outcome::Connected(Reason::UnknownSession);
    }

    /// Adds what a connect delivers, and its reply as JSON.
    pub(super) fn connect(&mut self, taken: Taken, reply: Vec<u8>) {
        if self.connect_replies.is_empty() {
            self.connect_replies = reply;
        } else if !reply.is_empty() {
            self.connect_replies.push(b',');
            self.connect_replies.extend_from_slice(&reply);
        }
        self.info.connected(&taken);
        self.leases.push(taken.lease);
    }

    pub(super) fn into_response(self, config: &Config, form: &Form) -> Response<AnswerBody> {
        let is_mixed = !self.replies.is_empty() && !self.connect_replies.is_empty();
        let comma: &[u8] = if is_mixed { b"," } else { b"" };
        let json = outgoing::answer(&self.leases, [&self.replies, comma, &self.connect_replies]);
        in_form(form, json, self.leases, self.info, config)
    }
}

/// The answer to a lone connect: what it delivers, and the pieces of its reply.
pub(super) fn to_connect(taken: Taken, reply: [&[u8]; 3], config: &Config, form: &Form) -> Response<AnswerBody> {
    let mut info = AnswerInfo::replied(form.transport());
    info.connected(&taken);
    let leases = Leases::from([taken.lease]);
    let json = outgoing::answer(&leases, reply);
    in_form(form, json, leases, info, config)
}

fn in_form(form: &Form, json: Bytes, leases: Leases, info: AnswerInfo, config: &Config) -> Response<AnswerBody> {
    match form {
        Form::Json => response(StatusCode::OK, AnswerBody::new(json, leases), info, config),
        Form::Script(callback) => {
            let body = AnswerBody::new(callback.script(&json), leases);
            as_script(response(StatusCode::OK, body, info, config))
        }
    }
}

/// Browsers are to take it for a script and for nothing else, and never to show it.
fn as_script(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=f.txt"),
    );
    response
}

/// The answer to what is no Bayeux request.
pub(super) fn refuse(refusal: Refusal, transport: Transport, state: &State) -> Response<AnswerBody> {
    refusal.count(state);
    crate::trace::debug!(status = %refusal.status(), body = refusal.json(), "request refused");
    let body = AnswerBody::new(Bytes::from_static(refusal.json().as_bytes()), Leases::new());
    response(
        refusal.status(),
        body,
        AnswerInfo::refused(transport, refusal.status()),
        &state.config,
    )
}

/// What all answers have. A copy costs half of what new ones do. The HTTP server adds the length, which the body knows: told
/// here, it would be wrong when a layer outside compresses the body or puts another in its place.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ])
});

pub(super) fn response(
    status: StatusCode,
    body: AnswerBody,
    info: AnswerInfo,
    config: &Config,
) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.clone_from(&HEADERS);
    if config.answer_info {
        response.extensions_mut().insert(info);
    }
    response
}
