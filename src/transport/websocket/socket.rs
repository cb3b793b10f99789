//! An open socket, from its first frame to its last.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{SinkExt, StreamExt};
use http::request::Parts;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    frame::{Frame, Messages, answer},
    message::{Opening, close, close_for, process},
};
use crate::{
    Reason,
    dispatch::{ConnectReply, Dispatched, PendingConnect},
    server::State,
    session::{Held, Push, Session},
    transport::{cookie, outgoing},
};

/// How long a client may take to confirm that the socket closes.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// How long what a client goes on sending is read and thrown away, so that it gets to read why.
const LINGER: Duration = Duration::from_secs(1);

type Processing = Pin<Box<dyn Future<Output = Result<Dispatched, CloseFrame>> + Send>>;

/// How a socket ends.
enum End {
    /// It is gone already.
    Gone,
    /// It is to be closed.
    Close(CloseFrame),
    /// It is to be closed, and what comes in can't be understood any more.
    Fail(CloseFrame),
}

/// One socket. It belongs to the session of its latest handshake or connect; while it has none, to that of the first
/// message that names one.
pub(super) struct Socket<T> {
    opening: Opening,
    stream: WebSocketStream<T>,
    push: Option<Push>,
    /// Whether it has a session, be it one that another transport has taken over since.
    is_bound: bool,
    /// The newest one is held; older ones are about to be answered.
    connects: Vec<(ConnectReply, Pin<Box<Held>>)>,
    outbox: VecDeque<Frame>,
    /// What was written last, until all of it is with the operating system.
    in_flight: Option<Messages>,
    processing: Option<Processing>,
    closing: Option<CloseFrame>,
    drained: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    timer: Pin<Box<Sleep>>,
    /// When something came last, and when it was a message.
    heard: Instant,
    spoken_to: Instant,
    is_ping_due: bool,
}

impl<T> Socket<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(state: Arc<State>, request: Arc<Parts>, stream: WebSocketStream<T>) -> Self {
        state.hub.counters.open_sockets.fetch_add(1, Relaxed);
        let hub = Arc::clone(&state.hub);
        let cookies = Arc::new(cookie::read(&request.headers, &state.config));
        let now = Instant::now();
        Self {
            stream,
            push: None,
            is_bound: false,
            connects: Vec::new(),
            outbox: VecDeque::new(),
            in_flight: None,
            processing: None,
            closing: None,
            drained: Some(Box::pin(async move { hub.wait_for_drain().await })),
            timer: Box::pin(sleep(tick(&state))),
            heard: now,
            spoken_to: now,
            is_ping_due: false,
            opening: Opening {
                state,
                request,
                cookies,
            },
        }
    }

    /// Serves the socket to its end. Its session outlives it.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll_end(cx)).await;
        // Half a frame of messages goes back to the queue, so the client must not get the rest of it.
        let end = if self.in_flight.is_some() { End::Gone } else { end };
        // The session need not wait until the client has confirmed.
        self.in_flight = None;
        self.outbox.clear();
        self.connects.clear();
        self.push = None;
        match end {
            End::Gone => {}
            End::Close(frame) => {
                let closed = async {
                    let _ = self.stream.close(Some(frame)).await;
                    while let Some(Ok(_)) = self.stream.next().await {}
                };
                let _ = timeout(CLOSING_TIME, closed).await;
            }
            End::Fail(frame) => {
                let closed = async {
                    let _ = self.stream.close(Some(frame)).await;
                    poll_fn(|cx| discard(self.stream.get_mut(), cx)).await;
                };
                let _ = timeout(LINGER, closed).await;
            }
        }
    }

    /// Does whatever can be done now, until the socket ends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if self
                .drained
                .as_mut()
                .is_some_and(|drained| drained.as_mut().poll(cx).is_ready())
            {
                self.drained = None;
                self.closing = Some(close(CloseCode::Away, "the server shuts down"));
            }
            self.poll_connects(cx);
            let Poll::Ready(written) = self.stream.poll_flush_unpin(cx).map_err(drop) else {
                // It is read from nonetheless: a client may well wait for us to read before it does.
                match self.poll_input(cx) {
                    Poll::Ready(Some(end)) => return Poll::Ready(end),
                    Poll::Ready(None) => continue,
                    Poll::Pending => return self.poll_timer(cx),
                }
            };
            if written.is_err() {
                return Poll::Ready(End::Gone);
            }
            if let Some(messages) = self.in_flight.take() {
                messages.commit();
            }
            if let Some(frame) = self.next_frame(cx) {
                self.in_flight = frame.messages;
                let text = Utf8Bytes::try_from(frame.json).unwrap_or_default();
                if self.stream.start_send_unpin(Message::Text(text)).is_err() {
                    return Poll::Ready(End::Gone);
                }
                continue;
            }
            if std::mem::take(&mut self.is_ping_due) {
                if self.stream.start_send_unpin(Message::Ping(Bytes::new())).is_err() {
                    return Poll::Ready(End::Gone);
                }
                continue;
            }
            if self.processing.is_none()
                && let Some(frame) = self.closing.take()
            {
                return Poll::Ready(End::Close(frame));
            }
            match self.poll_input(cx) {
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => {}
                Poll::Pending => return self.poll_timer(cx),
            }
        }
    }

    /// What is to be written next: replies first, then events.
    fn next_frame(&mut self, cx: &mut Context<'_>) -> Option<Frame> {
        if let Some(frame) = self.outbox.pop_front() {
            return Some(frame);
        }
        let most = match self.opening.state.config.websocket.messages_per_frame {
            0 => usize::MAX,
            most => most,
        };
        let Poll::Ready(taken) = self.push.as_mut()?.poll_take(cx, most) else {
            return None;
        };
        match taken {
            Ok(mut lease) => {
                outgoing::show(&mut lease);
                Some(Frame {
                    json: outgoing::array(outgoing::events(&lease)),
                    messages: Some(Messages::Pushed(lease)),
                })
            }
            Err(reason) => {
                self.push = None;
                self.is_bound = reason == Reason::Superseded;
                if matches!(reason, Reason::ClientDisconnect | Reason::ServerDisconnect) {
                    self.closing = Some(close(CloseCode::Normal, "disconnected"));
                    // A connect that has waited for the last event is answered now.
                    self.poll_connects(cx);
                }
                self.outbox.pop_front()
            }
        }
    }

    /// Answers the connects whose time has come.
    fn poll_connects(&mut self, cx: &mut Context<'_>) {
        let mut index = 0;
        while let Some((_, connect)) = self.connects.get_mut(index) {
            if let Poll::Ready(taken) = connect.as_mut().poll(cx) {
                let (reply, _) = self.connects.remove(index);
                answer(&mut self.outbox, &self.opening.state, &reply, taken);
            } else {
                index += 1;
            }
        }
    }

    /// Goes on with what came last or, once that is answered, takes what comes next.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if let Some(processing) = &mut self.processing {
            let processed = std::task::ready!(processing.as_mut().poll(cx));
            self.processing = None;
            return Poll::Ready(match processed {
                Ok(processed) => {
                    self.accept(processed, cx);
                    None
                }
                Err(frame) => Some(End::Close(frame)),
            });
        }
        if !self.outbox.is_empty() || self.closing.is_some() {
            return Poll::Pending;
        }
        let message = match std::task::ready!(Pin::new(&mut self.stream).poll_next(cx)) {
            None => return Poll::Ready(Some(End::Gone)),
            Some(Err(error)) => return Poll::Ready(Some(close_for(&error).map_or(End::Gone, End::Fail))),
            Some(Ok(message)) => message,
        };
        self.heard = Instant::now();
        match message {
            Message::Text(text) => {
                self.spoken_to = self.heard;
                self.processing = Some(Box::pin(process(self.opening.clone(), text)));
            }
            Message::Binary(_) => {
                let frame = close(CloseCode::Unsupported, "text only");
                return Poll::Ready(Some(End::Close(frame)));
            }
            // The library answers pings and closes.
            _ => {}
        }
        Poll::Ready(None)
    }

    /// Binds the socket, and puts the replies into the outbox. A connect that ends by what came is answered first.
    fn accept(&mut self, dispatched: Dispatched, cx: &mut Context<'_>) {
        let Dispatched {
            replies,
            connects,
            new_session,
            named_session,
            messages: count,
            ..
        } = dispatched;
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
    }

    fn bind(&mut self, session: Arc<Session>, with_connect: bool) {
        self.is_bound = true;
        let is_bound = |push: &Push| Arc::ptr_eq(push.session(), &session) && push.is_newest();
        if !self.push.as_ref().is_some_and(is_bound) {
            self.push = Some(Push::attach(session, with_connect));
        }
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

    /// Sends a ping when it is time, and ends a socket from which nothing comes.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        std::task::ready!(self.timer.as_mut().poll(cx));
        let config = &self.opening.state.config.websocket;
        let last = if self.push.is_some() {
            self.heard
        } else {
            self.spoken_to
        };
        if self.processing.is_none() && last.elapsed() >= config.idle_timeout {
            return Poll::Ready(End::Close(close(CloseCode::Away, "idle")));
        }
        self.is_ping_due = true;
        let next = Instant::now() + tick(&self.opening.state);
        self.timer.as_mut().reset(next);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T> Drop for Socket<T> {
    fn drop(&mut self) {
        let hub = &self.opening.state.hub;
        hub.count_closed(&hub.counters.open_sockets);
    }
}

/// How often a socket is looked after.
fn tick(state: &State) -> Duration {
    let config = &state.config.websocket;
    config
        .ping_interval
        .min(config.idle_timeout)
        .max(Duration::from_millis(1))
}

/// Reads until the other side has closed.
fn discard(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    let mut room = [0; 4096];
    loop {
        let mut buffer = ReadBuf::new(&mut room);
        let read = std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(());
        }
    }
}
