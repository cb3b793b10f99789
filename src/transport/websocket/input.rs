//! What comes on a socket: read one message ahead, processed one after the other, and answered.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::SinkExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_tungstenite::tungstenite::{
    Message, Utf8Bytes,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::{
    end::End,
    frame::{Frame, answer},
    message::{close, close_for, process},
    socket::Socket,
};
use crate::{
    dispatch::{Dispatched, PendingConnect},
    session::{Push, Session},
    transport::outgoing,
};

/// What was read while the message before it was processed.
pub(super) enum Ahead {
    Message(Utf8Bytes),
    End(End),
}

pub(super) type Processing = Pin<Box<dyn Future<Output = Result<Dispatched, CloseFrame>> + Send>>;

impl<T> Socket<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    /// Goes on with what came last, or begins with what came next, and reads one message ahead.
    pub(super) fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if let Poll::Ready(end) = self.poll_processing(cx) {
            return Poll::Ready(end);
        }
        if self.ahead.is_some() {
            return Poll::Pending;
        }
        let read = std::task::ready!(Pin::new(&mut self.stream).poll_next(cx));
        self.heard = Instant::now();
        match read {
            None | Some(Ok(Message::Close(_))) => self.leave(cx),
            Some(Err(error)) => {
                self.opening.count(&error);
                let Some(frame) = close_for(&error) else {
                    return Poll::Ready(Some(End::Gone));
                };
                self.ahead = Some(Ahead::End(End::Fail(frame)));
            }
            Some(Ok(Message::Text(text))) => {
                self.spoken_to = self.heard;
                self.ahead = Some(Ahead::Message(text));
            }
            Some(Ok(Message::Binary(_))) => {
                let frame = close(CloseCode::Unsupported, "text only");
                self.ahead = Some(Ahead::End(End::Close(frame)));
            }
            // The library answers pings.
            Some(Ok(_)) => {}
        }
        Poll::Ready(None)
    }

    /// The client has closed. What it has sent before is processed, but nothing is for it any more: what is not out yet goes
    /// back at once, and must not go out after that. Otherwise the library's answer to the close goes with the rest.
    fn leave(&mut self, cx: &mut Context<'_>) {
        self.ahead = Some(Ahead::End(End::Gone));
        // Once it has answered a close, the library flushes only what is its own.
        let is_out = matches!(self.stream.poll_flush_unpin(cx), Poll::Ready(Ok(())))
            && matches!(Pin::new(self.stream.get_mut()).poll_flush(cx), Poll::Ready(Ok(())));
        if let Some(in_flight) = self.in_flight.take()
            && is_out
            && in_flight.is_written()
        {
            in_flight.commit();
        }
        self.let_go();
    }

    /// Whether the client has closed.
    pub(super) const fn has_left(&self) -> bool {
        matches!(self.ahead, Some(Ahead::End(End::Gone)))
    }

    /// Pending if there is nothing to be processed, or it takes its time.
    fn poll_processing(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if self.processing.is_none()
            && let Some(end) = self.begin_next()
        {
            return Poll::Ready(Some(end));
        }
        let Some(processing) = &mut self.processing else {
            return Poll::Pending;
        };
        let processed = std::task::ready!(processing.as_mut().poll(cx));
        self.processing = None;
        Poll::Ready(match processed {
            Ok(_) if self.has_left() => None,
            Ok(processed) => {
                self.accept(processed, cx);
                None
            }
            Err(frame) => Some(End::Close(frame)),
        })
    }

    /// Begins with what was read ahead. It has to wait until the replies to the last message are out.
    fn begin_next(&mut self) -> Option<End> {
        let is_closing = self.closing.is_some();
        let is_out = self.outbox.is_empty();
        let is_next = |ahead: &mut Ahead| match ahead {
            Ahead::Message(_) => is_out && !is_closing,
            Ahead::End(End::Gone) => true,
            Ahead::End(_) => is_out,
        };
        match self.ahead.take_if(is_next)? {
            Ahead::Message(text) => {
                self.processing = Some(Box::pin(process(self.opening.clone(), text)));
                None
            }
            Ahead::End(end) => Some(end),
        }
    }

    /// Binds the socket, and puts the replies into the outbox. A connect that ends by what came is answered first.
    fn accept(&mut self, dispatched: Dispatched, cx: &mut Context<'_>) {
        let Dispatched {
            replies,
            connects,
            new_session,
            new_browser,
            named_session,
            messages: count,
            ..
        } = dispatched;
        if let Some(browser) = new_browser {
            self.opening.note_browser(browser);
        }
        let latest = connects.last().map(|connect| Arc::clone(connect.session()));
        if let Some(session) = new_session {
            self.bind(session, false);
        } else if let Some(session) = latest {
            self.bind(session, true);
        } else if let Some(session) = named_session.filter(|session| !self.is_bound && session.is_open()) {
            self.bind(session, false);
        }
        self.poll_connects(cx);
        if !replies.is_empty() || count == 0 {
            let replies = Some(&*replies).filter(|replies| !replies.is_empty());
            self.outbox.push_back(Frame {
                json: outgoing::array(replies.into_iter()),
                messages: None,
            });
        }
        for connect in connects {
            self.connect(connect, count == 1);
        }
        self.poll_connects(cx);
    }

    fn bind(&mut self, session: Arc<Session>, with_connect: bool) {
        self.is_bound = true;
        let Some(push) = self.push.take() else {
            self.push = Some(Push::attach(session, with_connect));
            return;
        };
        if !Arc::ptr_eq(push.session(), &session) {
            push.leave();
        } else if push.is_newest() {
            self.push = Some(push);
            return;
        }
        self.push = Some(Push::attach(session, with_connect));
    }

    /// A connect that shares its frame is never held.
    fn connect(&mut self, connect: PendingConnect, is_alone: bool) {
        if is_alone {
            let (reply, held) = connect.answer();
            self.connects.push((reply, Box::pin(held)));
        } else {
            let (reply, taken) = connect.answer_now();
            answer(&mut self.outbox, &self.opening.state, &reply, taken);
        }
    }
}
