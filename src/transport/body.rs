//! The response body: the application's own, or an answer of ours.

use std::{
    mem,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use smallvec::SmallVec;

use super::event_source::Stream;
use crate::session::{Lease, Session};

pin_project! {
    /// The body of a response that passed a [`BayeuxService`](crate::BayeuxService): the inner service's body, untouched,
    /// or the bytes of an answer.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<B> {
        Inner { #[pin] body: B },
        Answer { answer: AnswerBody },
    }
}

/// What an answer delivers: the messages of one connect, nearly always.
pub(crate) type Leases = SmallVec<[Box<Lease>; 1]>;

/// Larger answers are handed over in pieces of this size, in bytes.
const PIECE: usize = 64 * 1024;

/// An answer, or a stream of events. Until its bytes are asked for, the messages in it are on loan: dropped before, they go
/// back to their queues.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    Whole { bytes: Bytes, leases: Leases },
    Rest(Box<Rest>),
    Stream(Box<Stream>),
}

/// What is left of a large answer.
#[derive(Debug)]
pub(crate) struct Rest {
    bytes: Bytes,
    /// The connection may keep what is not sent for longer than the sessions live.
    sessions: Arc<[Weak<Session>]>,
}

impl Rest {
    fn next(&mut self) -> Option<Bytes> {
        if self.bytes.is_empty() {
            return None;
        }
        Some(Bytes::from_owner(Piece {
            bytes: self.bytes.split_to(PIECE.min(self.bytes.len())),
            sessions: Arc::clone(&self.sessions),
        }))
    }
}

/// A part of a large answer. HTTP servers ask for several at once and let go of each when it is sent: a client that takes
/// long to fetch them is alive all the while, and not to expire. (hyper copies them together before, up to some 400 KiB, where
/// it can't write several buffers at once.)
struct Piece {
    bytes: Bytes,
    sessions: Arc<[Weak<Session>]>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let sessions = self.sessions.iter().filter_map(Weak::upgrade);
        sessions.for_each(|session| session.touch());
    }
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self::new(Bytes::new(), Leases::new())
    }
}

impl AnswerBody {
    pub(crate) const fn new(bytes: Bytes, leases: Leases) -> Self {
        Self::Whole { bytes, leases }
    }

    fn is_end_stream(&self) -> bool {
        self.len() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.len()
            .map_or_else(SizeHint::new, |len| SizeHint::with_exact(len as u64))
    }

    /// Its size, unless it is a stream.
    pub(crate) const fn len(&self) -> Option<usize> {
        match self {
            Self::Whole { bytes, .. } => Some(bytes.len()),
            Self::Rest(rest) => Some(rest.bytes.len()),
            Self::Stream(_) => None,
        }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self {
            Self::Whole { bytes, leases } if bytes.len() <= PIECE => {
                for mut lease in leases.drain(..) {
                    lease.commit();
                }
                Poll::Ready((!bytes.is_empty()).then(|| mem::take(bytes)))
            }
            Self::Whole { bytes, leases } => {
                let sessions = leases.drain(..).map(|mut lease| {
                    lease.commit();
                    Arc::downgrade(lease.session())
                });
                let mut rest = Box::new(Rest {
                    sessions: sessions.collect(),
                    bytes: mem::take(bytes),
                });
                let first = rest.next();
                *self = Self::Rest(rest);
                Poll::Ready(first)
            }
            Self::Rest(rest) => Poll::Ready(rest.next()),
            Self::Stream(stream) => stream.poll_bytes(cx),
        }
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self {
            kind: Kind::Inner { body },
        }
    }

    pub(crate) const fn answer(answer: AnswerBody) -> Self {
        Self {
            kind: Kind::Answer { answer },
        }
    }
}

/// An empty body; outer layers such as `TimeoutLayer` make their own responses of it.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::answer(AnswerBody::default())
    }
}

impl<B> std::fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProj::Inner { body } => body.poll_frame(cx),
            KindProj::Answer { answer } => answer
                .poll_bytes(cx)
                .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Inner { body } => body.is_end_stream(),
            Kind::Answer { answer } => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Inner { body } => body.size_hint(),
            Kind::Answer { answer } => answer.size_hint(),
        }
    }
}
