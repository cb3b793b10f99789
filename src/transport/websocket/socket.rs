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
use futures_util::SinkExt;
use http::request::Parts;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{
    end::End,
    frame::{Frame, InFlight, Messages, answer},
    input::{Ahead, Processing},
    message::{Opening, close},
};
use crate::{
    Reason,
    dispatch::ConnectReply,
    server::State,
    session::{Held, Push},
    transport::{cookie, outgoing},
};

/// A session that is fed without pause must not keep its client from being heard. Far less than the runtime allows to be
/// done in one turn.
const FRAMES_IN_A_ROW: usize = 32;

/// The socket is to be closed once what came last is processed.
pub(super) struct Closing {
    frame: CloseFrame,
    since: Instant,
}

impl From<CloseFrame> for Closing {
    fn from(frame: CloseFrame) -> Self {
        let since = Instant::now();
        Self { frame, since }
    }
}

/// One socket. It belongs to the session of its latest handshake or connect; while it has none, to that of the first
/// message that names one and succeeds.
pub(super) struct Socket<T> {
    pub(super) opening: Opening,
    pub(super) stream: WebSocketStream<T>,
    pub(super) push: Option<Push>,
    /// Whether it has a session, be it one that another transport has taken over since.
    pub(super) is_bound: bool,
    /// The newest one is held; older ones are about to be answered.
    pub(super) connects: Vec<(ConnectReply, Pin<Box<Held>>)>,
    pub(super) outbox: VecDeque<Frame>,
    /// What was written last, until all of it is with the operating system.
    pub(super) in_flight: Option<InFlight>,
    pub(super) processing: Option<Processing>,
    /// What came meanwhile. With one read ahead, a client that closes is noticed while its last message is processed.
    pub(super) ahead: Option<Ahead>,
    pub(super) closing: Option<Closing>,
    drained: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    timer: Pin<Box<Sleep>>,
    /// When something came last, and when it was a message.
    pub(super) heard: Instant,
    pub(super) spoken_to: Instant,
    is_ping_due: bool,
}

impl<T> Socket<T>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(state: Arc<State>, request: Arc<Parts>, stream: WebSocketStream<T>) -> Self {
        state.hub.counters.open_sockets.fetch_add(1, Relaxed);
        let hub = Arc::clone(&state.hub);
        let cookies = Arc::new(cookie::read_for_socket(&request.headers, &state.config));
        let now = Instant::now();
        Self {
            stream,
            push: None,
            is_bound: false,
            connects: Vec::new(),
            outbox: VecDeque::new(),
            in_flight: None,
            processing: None,
            ahead: None,
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
        let is_half = self.in_flight.as_ref().is_some_and(InFlight::has_messages);
        let end = if is_half || self.has_left() { End::Gone } else { end };
        // Neither the session nor the application need wait until the client has confirmed.
        self.processing = None;
        self.in_flight = None;
        self.let_go();
        end.tell(&mut self.stream).await;
    }

    /// Does whatever can be done now, until the socket ends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(end) = self.poll_timer(cx) {
            return Poll::Ready(end);
        }
        self.poll_drained(cx);
        self.poll_connects(cx);
        loop {
            let output = self.poll_frames(cx);
            if let Poll::Ready(Some(end)) = output {
                return Poll::Ready(end);
            }
            // It is read from even if nothing can be written: a client may well wait for us to read before it does.
            let input = self.poll_input(cx);
            if let Poll::Ready(Some(end)) = input {
                return Poll::Ready(end);
            }
            if output.is_pending() && input.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Writes what there is, but not for so long that nobody listens meanwhile.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        for _ in 0..FRAMES_IN_A_ROW {
            if let Some(end) = std::task::ready!(self.poll_output(cx)) {
                return Poll::Ready(Some(end));
            }
        }
        // What has gone out must not be taken for what has not, whatever is read next.
        self.poll_written(cx).map(Result::err)
    }

    /// Ready when what was written last is with the operating system.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if std::task::ready!(self.stream.poll_flush_unpin(cx)).is_err() {
            return Poll::Ready(Err(End::Gone));
        }
        if let Some(written) = self.in_flight.take_if(|in_flight| in_flight.is_written()) {
            written.commit();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the next frame once the one before is out; pending if there is nothing to be written, or no room.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Option<End>> {
        if self.has_left() {
            return Poll::Pending;
        }
        if let Err(end) = std::task::ready!(self.poll_written(cx)) {
            return Poll::Ready(Some(end));
        }
        let message = if std::mem::take(&mut self.is_ping_due) {
            Message::Ping(Bytes::new())
        } else if let Some(fragment) = self.next_fragment(cx) {
            fragment
        } else if self.processing.is_none()
            && let Some(closing) = self.closing.take()
        {
            return Poll::Ready(Some(End::Close(closing.frame)));
        } else {
            return Poll::Pending;
        };
        let written = self.stream.start_send_unpin(message);
        Poll::Ready(written.is_err().then_some(End::Gone))
    }

    /// Notes that the server shuts down.
    fn poll_drained(&mut self, cx: &mut Context<'_>) {
        let drained = self.drained.as_mut();
        if drained.is_some_and(|drained| drained.as_mut().poll(cx).is_ready()) {
            self.drained = None;
            self.closing = Some(close(CloseCode::Away, "the server shuts down").into());
        }
    }

    /// The rest of what is being written, or the next frame.
    fn next_fragment(&mut self, cx: &mut Context<'_>) -> Option<Message> {
        if self.in_flight.is_none() {
            self.in_flight = self.next_frame(cx).map(InFlight::from);
        }
        self.in_flight.as_mut()?.next()
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
        loop {
            let Poll::Ready(taken) = self.push.as_mut()?.poll_take_until_shutdown(cx, most) else {
                return None;
            };
            match taken {
                Ok(mut lease) => {
                    outgoing::show(&mut lease);
                    // Extensions may have deleted all there was.
                    if lease.messages().is_empty() {
                        lease.commit_pushed();
                        continue;
                    }
                    return Some(Frame {
                        json: outgoing::array(outgoing::events(&lease)),
                        messages: Some(Messages::Pushed(lease)),
                    });
                }
                Err(reason) => {
                    self.lose_session(reason, cx);
                    return self.outbox.pop_front();
                }
            }
        }
    }

    /// Nothing comes from the session any more.
    fn lose_session(&mut self, reason: Reason, cx: &mut Context<'_>) {
        self.push = None;
        self.is_bound = reason == Reason::Superseded;
        if matches!(reason, Reason::ClientDisconnect | Reason::ServerDisconnect) {
            self.closing = Some(close(CloseCode::Normal, "disconnected").into());
            // A connect that has waited for the last event is answered now.
            self.poll_connects(cx);
        }
    }

    /// Answers the connects whose time has come.
    pub(super) fn poll_connects(&mut self, cx: &mut Context<'_>) {
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

    /// Gives back what has not begun to go out, and then the session.
    pub(super) fn let_go(&mut self) {
        self.outbox.clear();
        self.connects.clear();
        self.push = None;
    }

    /// Has a ping sent when it is time, and ends a socket from which nothing comes, or that can't come to its end.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            if self.is_idle() {
                return Poll::Ready(End::Close(close(CloseCode::Away, "idle")));
            }
            let idle_timeout = self.opening.state.config.websocket.idle_timeout;
            let overdue = |closing: &mut Closing| closing.since.elapsed() >= idle_timeout;
            if let Some(closing) = self.closing.take_if(overdue) {
                return Poll::Ready(End::Close(closing.frame));
            }
            self.is_ping_due = true;
            let next = Instant::now() + tick(&self.opening.state);
            self.timer.as_mut().reset(next);
        }
    }

    /// Whether nothing has come for too long, though it would have been read; without a session, nothing but pongs. A client
    /// that has closed has that long until it has been seen to.
    fn is_idle(&self) -> bool {
        let (last, may_wait) = match (&self.ahead, &self.push) {
            (Some(Ahead::End(_)), _) => (self.heard, false),
            (ahead, Some(_)) => (self.heard, self.processing.is_some() && ahead.is_some()),
            (_, None) => (self.spoken_to, self.processing.is_some()),
        };
        !may_wait && last.elapsed() >= self.opening.state.config.websocket.idle_timeout
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
