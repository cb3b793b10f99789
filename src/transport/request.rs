//! From a request body to JSON texts.

use std::{
    borrow::Cow,
    future::Future,
    mem,
    pin::Pin,
    sync::atomic::Ordering::Relaxed,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::StatusCode;
use http_body::Body;
use pin_project_lite::pin_project;
use smallvec::{SmallVec, smallvec};

use crate::{
    Reason,
    dispatch::{Dispatched, Exchange, PendingConnect, dispatch, dispatch_connect, dispatch_extended},
    protocol::{BayeuxError, Messages, MutableMessage, ParseError, ParseLimits, parse_messages, parse_text},
    server::State,
};

#[cfg_attr(
    not(feature = "websocket"),
    expect(dead_code, reason = "some are for WebSockets alone")
)]
/// Why a request is no Bayeux request: the HTTP status, and the text for its body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    Malformed,
    BodyTooLarge,
    BatchTooLarge,
    TooDeep,
    Slow,
    /// An event stream of no session.
    UnknownSession,
    /// JSONP with a function name that is none.
    Callback,
    /// A request of a page of another origin.
    Origin,
    /// A request to open a WebSocket that is not as it must be.
    Upgrade,
    /// A WebSocket of another version of the protocol.
    UpgradeVersion,
    /// A WebSocket where the HTTP server does not hand connections over.
    NoUpgrades,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::TooDeep | Self::Callback | Self::Upgrade => StatusCode::BAD_REQUEST,
            Self::BodyTooLarge | Self::BatchTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownSession => StatusCode::NOT_FOUND,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::UpgradeVersion => StatusCode::UPGRADE_REQUIRED,
            Self::NoUpgrades => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The limit that was met, if it was one.
    pub(super) const fn limit(self) -> Option<Reason> {
        match self {
            Self::BodyTooLarge => Some(Reason::BodyTooLarge),
            Self::BatchTooLarge => Some(Reason::BatchTooLarge),
            Self::TooDeep => Some(Reason::JsonTooDeep),
            Self::Slow => Some(Reason::BodyTooSlow),
            Self::Origin => Some(Reason::OriginDenied),
            Self::Malformed
            | Self::UnknownSession
            | Self::Callback
            | Self::Upgrade
            | Self::UpgradeVersion
            | Self::NoUpgrades => None,
        }
    }

    /// Counts it: by the limit that was met, or as what it is.
    pub(super) fn count(self, state: &State) {
        let counters = &state.hub.counters;
        match self.limit() {
            Some(limit) => counters.limited(limit),
            None if self == Self::UnknownSession => counters.refused.add(BayeuxError::SessionUnknown),
            // That is a trouble, and no fault of the client's.
            None if self == Self::NoUpgrades => {}
            None => {
                counters.malformed.fetch_add(1, Relaxed);
            }
        }
    }

    /// In the shape of a reply, for clients that read the body whatever the status.
    pub(super) const fn json(self) -> &'static str {
        match self {
            Self::Malformed => r#"[{"successful":false,"error":"400::message_malformed"}]"#,
            Self::BodyTooLarge => r#"[{"successful":false,"error":"413::body_too_large"}]"#,
            Self::BatchTooLarge => r#"[{"successful":false,"error":"413::batch_too_large"}]"#,
            Self::TooDeep => r#"[{"successful":false,"error":"400::message_too_deep"}]"#,
            Self::Slow => r#"[{"successful":false,"error":"408::body_timeout"}]"#,
            Self::UnknownSession => r#"[{"successful":false,"error":"402::session_unknown"}]"#,
            Self::Callback => r#"[{"successful":false,"error":"400::callback_invalid"}]"#,
            Self::Origin => r#"[{"successful":false,"error":"403::origin_denied"}]"#,
            Self::Upgrade => r#"[{"successful":false,"error":"400::upgrade_invalid"}]"#,
            Self::UpgradeVersion => r#"[{"successful":false,"error":"426::upgrade_version"}]"#,
            Self::NoUpgrades => r#"[{"successful":false,"error":"503::no_upgrades"}]"#,
        }
    }
}

pin_project! {
    /// Reads a whole body, but never more than `limit` bytes of it. A body that breaks off is malformed; nobody is there
    /// to read the answer anyway.
    pub(super) struct Reading<B> {
        #[pin]
        body: B,
        whole: Collected,
        limit: usize,
    }
}

impl<B> Reading<B> {
    pub(super) fn new(body: B, limit: usize) -> Self {
        Self {
            body,
            whole: Collected::default(),
            limit,
        }
    }
}

impl<B> Future for Reading<B>
where
    B: Body,
{
    type Output = Result<Bytes, Refusal>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.body.size_hint().lower() > *this.limit as u64 {
            return Poll::Ready(Err(Refusal::BodyTooLarge));
        }
        // One that tells its end is not asked for more.
        while !this.body.is_end_stream() {
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else {
                break;
            };
            if let Ok(data) = frame.map_err(|_| Refusal::Malformed)?.into_data() {
                this.whole.push(data, *this.limit)?;
            }
        }
        Poll::Ready(Ok(mem::take(this.whole).into_bytes()))
    }
}

/// A body in the making. Most come in one piece, which is used as it is.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: Vec<u8>,
}

impl Collected {
    fn push(&mut self, mut data: impl Buf, limit: usize) -> Result<(), Refusal> {
        let size = data.remaining();
        if self.first.len() + self.all.len() + size > limit {
            return Err(Refusal::BodyTooLarge);
        }
        let data = data.copy_to_bytes(size);
        if self.first.is_empty() && self.all.is_empty() {
            self.first = data;
            return Ok(());
        }
        self.all.extend_from_slice(&mem::take(&mut self.first));
        self.all.extend_from_slice(&data);
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.into()
        }
    }
}

/// The JSON texts of a body; nearly always one.
type Texts<'a> = SmallVec<[Cow<'a, str>; 1]>;

/// The JSON texts of a body, told by how it looks and not by its `Content-Type`: clients label it in many ways. What
/// starts with a bracket is JSON; anything else is a form whose `message` fields hold it.
pub(super) fn texts(body: &[u8]) -> Result<Texts<'_>, Refusal> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if let Some(b'[' | b'{') = body.trim_ascii_start().first() {
        let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed)?;
        return Ok(smallvec![Cow::Borrowed(text)]);
    }
    let texts: Texts<'_> = form_urlencoded::parse(body)
        .filter(|(name, _)| name == "message")
        .map(|(_, value)| value)
        .collect();
    if texts.is_empty() {
        Err(Refusal::Malformed)
    } else {
        Ok(texts)
    }
}

/// Processes the messages in all of the texts.
pub(super) async fn process(exchange: &Exchange<'_>, texts: &[Cow<'_, str>]) -> Result<Dispatched, Refusal> {
    let mut request = Request::new(exchange);
    request.read(exchange, texts).inspect_err(|refusal| {
        // On a socket no response says so, and counts it.
        if *refusal == Refusal::Malformed {
            refusal.count(exchange.state);
        }
    })?;
    Ok(request.dispatch(exchange).await)
}

/// The messages of one request. Extensions need to see whole messages; where there are none, nobody takes them apart.
pub(super) enum Request<'a> {
    Plain(Messages<'a>),
    Extended(Vec<MutableMessage>),
}

impl<'a> Request<'a> {
    /// Without messages yet: they are large, and are read to where they stay.
    #[inline]
    pub(super) fn new(exchange: &Exchange<'_>) -> Self {
        if exchange.state.hub.is_extended() {
            Self::Extended(Vec::new())
        } else {
            Self::Plain(Messages::new())
        }
    }

    /// Reads the messages in all of the texts.
    pub(super) fn read(&mut self, exchange: &Exchange<'_>, texts: &'a [Cow<'_, str>]) -> Result<(), Refusal> {
        let config = &exchange.state.config;
        let limits = ParseLimits {
            messages: config.max_batch,
            depth: config.max_depth,
        };
        for text in texts {
            let read = match self {
                Self::Plain(messages) => parse_messages(text, limits, messages),
                Self::Extended(messages) => parse_text(text, limits, messages),
            };
            read.map_err(|error| match error {
                ParseError::Malformed => Refusal::Malformed,
                ParseError::TooMany => Refusal::BatchTooLarge,
                ParseError::TooDeep => Refusal::TooDeep,
            })?;
        }
        Ok(())
    }

    /// The connect, if the request is one that needs nothing to be waited for, and holds nothing else.
    pub(super) fn connect(&self, exchange: &Exchange<'_>) -> Option<PendingConnect> {
        match self {
            Self::Plain(messages) => dispatch_connect(exchange, messages),
            Self::Extended(_) => None,
        }
    }

    pub(super) async fn dispatch(&mut self, exchange: &Exchange<'_>) -> Dispatched {
        // In boxes, so that they take no room in the future of a connect.
        match self {
            Self::Plain(messages) => Box::pin(dispatch(exchange, messages)).await,
            Self::Extended(messages) => Box::pin(dispatch_extended(exchange, mem::take(messages))).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_first_character() {
        for body in ["[]", " \r\n[]", "\u{feff}[]", "{}"] {
            assert_eq!(texts(body.as_bytes()).unwrap().len(), 1, "{body}");
        }
    }

    #[test]
    fn form_fields_named_message_hold_json() {
        let body = b"x=1&message=%5B%7B%22a%22%3A%22%C3%A4+b%22%7D%5D&message={}";
        assert_eq!(*texts(body).unwrap(), ["[{\"a\":\"\u{e4} b\"}]", "{}"]);
    }

    #[test]
    fn anything_else_is_refused() {
        for body in [&b""[..], b" ", b"null", b"5", b"x=1", b"[\"\xff\"]"] {
            assert_eq!(texts(body), Err(Refusal::Malformed), "{body:?}");
        }
    }
}
