//! HTTP responses.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

use super::{AnswerBody, AnswerInfo, Outcome, request::Refusal};
use crate::{
    Reason,
    server::Config,
    session::{Lease, Taken},
};

/// An answer in the making: events first, then replies, connect replies last. One buffer, sized exactly.
#[derive(Debug)]
pub(super) struct Answer {
    /// Replies to all but connects, with commas between them.
    replies: Vec<u8>,
    connect_replies: Vec<u8>,
    leases: Vec<Lease>,
    info: AnswerInfo,
}

impl Answer {
    pub(super) const fn new(replies: Vec<u8>) -> Self {
        Self {
            replies,
            connect_replies: Vec::new(),
            leases: Vec::new(),
            info: AnswerInfo::replied(),
        }
    }

    /// Notes that a connect was refused.
    pub(super) const fn unknown_session(&mut self) {
        self.info.outcome = Outcome::Connected(Reason::UnknownSession);
    }

    /// Adds what a connect delivers, and its reply as JSON.
    pub(super) fn connect(&mut self, taken: Taken, reply: &[u8]) {
        if !self.connect_replies.is_empty() && !reply.is_empty() {
            self.connect_replies.push(b',');
        }
        self.connect_replies.extend_from_slice(reply);
        self.info.held = self.info.held.max(taken.held);
        self.info.messages += taken.lease.messages().len();
        self.info.outcome = Outcome::Connected(taken.reason);
        self.leases.push(taken.lease);
    }

    pub(super) fn into_response(self, config: &Config) -> Response<AnswerBody> {
        let events = self
            .leases
            .iter()
            .flat_map(|lease| lease.messages().iter().map(Bytes::as_ref));
        let replies = [&*self.replies, &*self.connect_replies];
        let json = array(events.chain(replies.into_iter().filter(|replies| !replies.is_empty())));
        response(StatusCode::OK, AnswerBody::new(json, self.leases), self.info, config)
    }
}

/// `[part,part,…]`
fn array<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let size: usize = parts.clone().map(|part| part.len() + 1).sum();
    let mut json = Vec::with_capacity(size.max(1) + 1);
    json.push(b'[');
    for (index, part) in parts.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(part);
    }
    json.push(b']');
    json.into()
}

/// The answer to what is no Bayeux request.
pub(super) fn refuse(refusal: Refusal, config: &Config) -> Response<AnswerBody> {
    crate::trace::debug!(status = %refusal.status(), body = refusal.json(), "request refused");
    let body = AnswerBody::new(Bytes::from_static(refusal.json().as_bytes()), Vec::new());
    response(refusal.status(), body, AnswerInfo::refused(refusal.status()), config)
}

fn response(status: StatusCode, body: AnswerBody, info: AnswerInfo, config: &Config) -> Response<AnswerBody> {
    let length = body.len();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.reserve(5);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if config.answer_info {
        response.extensions_mut().insert(info);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_in_a_buffer_of_their_size() {
        assert_eq!(array([].into_iter()), "[]");
        assert_eq!(array([&b"1"[..]].into_iter()), "[1]");
        assert_eq!(array([&b"1"[..], b"2,3", b"4"].into_iter()), "[1,2,3,4]");
    }
}
