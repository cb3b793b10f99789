//! Local sessions: the application as a client of its own server, with no transport in between.

use std::{
    fmt,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use http::{Request, request::Parts};
use serde::Serialize;
use serde_json::Value;

use super::{inbox::Inbox, outgoing, request};
use crate::{
    BayeuxServer, Reason,
    dispatch::{BrowserCookies, Dispatched, Exchange},
    protocol::{DataError, MutableMessage},
    server::State,
    session::{Lease, Push, ServerSession, Session},
    trouble::Trouble,
};

impl BayeuxServer {
    /// Prepares a [`LocalSession`]: a session of the application's own.
    pub fn local_session(&self) -> LocalHandshake {
        LocalHandshake {
            server: self.clone(),
            request: None,
            message: MutableMessage::new("/meta/handshake"),
        }
    }
}

/// A handshake of the application's own; made by [`BayeuxServer::local_session`].
#[derive(Debug)]
#[must_use = "there is no session before `handshake` is called"]
pub struct LocalHandshake {
    server: BayeuxServer,
    request: Option<Parts>,
    message: MutableMessage,
}

impl LocalHandshake {
    /// The HTTP request that the policy, services and readers of events get to see. Default: a `GET /` without anything.
    pub fn request(mut self, request: Parts) -> Self {
        self.request = Some(request);
        self
    }

    /// Puts an entry into the `ext` of the handshake, for a policy that looks at it.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it can't be written as JSON.
    pub fn ext<T: Serialize + ?Sized>(mut self, name: impl Into<String>, value: &T) -> Result<Self, DataError> {
        self.message.set_ext(name, value)?;
        Ok(self)
    }

    /// Makes the session.
    ///
    /// # Errors
    ///
    /// [`LocalError::Refused`]: the policy denies it, the server shuts down, or it has as many sessions as it may have.
    pub async fn handshake(self) -> Result<LocalSession, LocalError> {
        let request = self.request.unwrap_or_else(|| Request::new(()).into_parts().0);
        let mut link = Link {
            server: self.server,
            request: Arc::new(request),
            cookies: BrowserCookies::default(),
        };
        let (dispatched, reply) = link.send(self.message).await;
        let Some(session) = dispatched.new_session else {
            return Err(LocalError::Refused(reply));
        };
        link.cookies.ids.extend(session.browser());
        // Nothing gets lost between the queue and `recv`, and nothing would be acknowledged.
        session.stop_acknowledging();
        Ok(LocalSession {
            handle: ServerSession::new(Arc::clone(&session)),
            push: Push::attach(Arc::clone(&session), false),
            session,
            link,
            inbox: Inbox::default(),
            calls: AtomicU64::new(0),
        })
    }
}

/// A session of the application's own: it subscribes, publishes and calls services as a client does, policy and extensions
/// included, without a transport. For application code that wants to be a client among others, and for tests.
///
/// It never expires, and is disconnected when it is dropped. What it gets waits in its queue, within the bounds of any
/// session's, until [`recv`](Self::recv) takes it: one that is not read long enough ends like any other. What comes during
/// a [`call`](Self::call) is kept beside the queue, within the same bounds once more. It keeps the server alive.
///
/// ```
/// use tower_bayeux::{BayeuxServer, call::Data};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bayeux = BayeuxServer::new();
/// bayeux.service("/service/double", |Data(number): Data<i32>| async move { Data(2 * number) })?;
///
/// let mut session = bayeux.local_session().handshake().await?;
/// session.subscribe("/chat/*").await?;
/// session.publish("/chat/tea", "hello").await?;
/// let message = session.recv().await.expect("it is not disconnected");
/// assert_eq!(message.data::<String>()?, "hello");
///
/// let answer = session.call("/service/double", &21).await?;
/// assert_eq!(answer.data::<i32>()?, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalSession {
    handle: ServerSession,
    session: Arc<Session>,
    push: Push,
    link: Link,
    /// What was taken from the queue while an answer was waited for.
    inbox: Inbox,
    calls: AtomicU64,
}

/// The way to the dispatcher.
#[derive(Debug)]
struct Link {
    server: BayeuxServer,
    request: Arc<Parts>,
    cookies: BrowserCookies,
}

impl Link {
    const fn state(&self) -> &Arc<State> {
        self.server.state()
    }

    /// Sends one message and returns what it leads to, and its reply.
    async fn send(&self, message: MutableMessage) -> (Dispatched, MutableMessage) {
        let exchange = Exchange::new(self.state(), &self.request, &self.cookies, true);
        let texts = [message.to_json().into()];
        let dispatched = request::process(&exchange, &texts).await.unwrap_or_default();
        let reply = MutableMessage::parse(&dispatched.replies).unwrap_or_default();
        (dispatched, reply)
    }
}

impl LocalSession {
    /// The server's side of it.
    #[must_use]
    pub const fn session(&self) -> &ServerSession {
        &self.handle
    }

    /// Subscribes to a channel or pattern.
    ///
    /// # Errors
    ///
    /// [`LocalError::Refused`]: for whatever reason a client is refused.
    pub async fn subscribe(&self, channel: &str) -> Result<(), LocalError> {
        self.ask("/meta/subscribe", "subscription", channel).await
    }

    /// Gives a channel or pattern up.
    ///
    /// # Errors
    ///
    /// [`LocalError::Refused`]: for whatever reason a client is refused.
    pub async fn unsubscribe(&self, channel: &str) -> Result<(), LocalError> {
        self.ask("/meta/unsubscribe", "subscription", channel).await
    }

    /// Publishes a message.
    ///
    /// # Errors
    ///
    /// [`LocalError`]: the data can't be written as JSON, or whatever a client is refused for.
    pub async fn publish<T>(&self, channel: &str, data: &T) -> Result<(), LocalError>
    where
        T: Serialize + ?Sized,
    {
        self.ask(channel, "data", data).await
    }

    /// Publishes a message and waits for the answer of a [service](crate::call), which has `data` and `successful`. Messages
    /// that come first are kept for [`recv`](Self::recv), as many as a queue may hold; for more than that there is the same
    /// [policy](crate::OverflowPolicy). Waits for ever where no service answers; give it a timeout.
    ///
    /// # Errors
    ///
    /// [`LocalError`]: the data can't be written as JSON, the message is refused, or the session ends meanwhile.
    pub async fn call<T>(&mut self, channel: &str, data: &T) -> Result<MutableMessage, LocalError>
    where
        T: Serialize + ?Sized,
    {
        let id = format!("call {}", self.calls.fetch_add(1, Relaxed));
        let mut message = MutableMessage::new(channel);
        message.set_data(data)?;
        message.set_field("id", &id)?;
        self.send(message).await?;
        loop {
            let answer = poll_fn(|cx| self.poll_answer(&id, cx)).await;
            if let Some(answer) = answer.map_err(LocalError::Ended)? {
                return Ok(answer);
            }
        }
    }

    /// The next message; `None` once the session has ended and everything is read.
    ///
    /// Cancel safe: a message is taken only when the future is ready.
    pub async fn recv(&mut self) -> Option<MutableMessage> {
        loop {
            if let Some(message) = self.inbox.pop() {
                return Some(message);
            }
            if let Some(message) = poll_fn(|cx| self.poll_next(cx)).await.ok()? {
                return Some(message);
            }
        }
    }

    /// Takes the oldest message from the queue, none if it is not to be seen; or says why nothing will come any more. What
    /// nobody has asked for yet stays in the queue, which is bounded.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<MutableMessage>, Reason>> {
        let mut lease = std::task::ready!(self.push.poll_take(cx, 1))?;
        outgoing::show(&mut lease);
        let message = outgoing::events(&lease).find_map(MutableMessage::parse);
        lease.commit_pushed();
        // The farewell is told by the end.
        Poll::Ready(Ok(message.filter(|message| !message.is_meta())))
    }

    /// Takes what is queued, and finds the answer to a call; or says why nothing will come any more.
    fn poll_answer(&mut self, id: &str, cx: &mut Context<'_>) -> Poll<Result<Option<MutableMessage>, Reason>> {
        let mut lease = std::task::ready!(self.push.poll_take(cx, usize::MAX))?;
        outgoing::show(&mut lease);
        let answer = self.keep_all_but_answer(&lease, id);
        lease.commit_pushed();
        Poll::Ready(answer)
    }

    fn keep_all_but_answer(&mut self, lease: &Lease, id: &str) -> Result<Option<MutableMessage>, Reason> {
        let (mut answer, mut ended, mut missed) = (None, Ok(()), 0);
        for json in outgoing::events(lease) {
            let Some(message) = MutableMessage::parse(json).filter(|message| !message.is_meta()) else {
                continue;
            };
            let its: Option<String> = message.field("id").ok().flatten();
            if answer.is_none() && its.as_deref() == Some(id) {
                answer = Some(message);
            } else if ended.is_ok() {
                ended = self.keep(message, json.len());
            } else {
                missed += 1;
            }
        }
        if let Err(reason) = ended {
            self.link.server.state().hub.counters.dropped.add(reason, missed);
        }
        // It is there, whether or not the session is any more.
        answer.map_or_else(|| ended.map(|()| None), |answer| Ok(Some(answer)))
    }

    /// Keeps a message for [`recv`](Self::recv). What there is no room for is counted as if the queue had been full, and so
    /// it ends the session, if that is the policy.
    fn keep(&mut self, message: MutableMessage, bytes: usize) -> Result<(), Reason> {
        let state = self.link.server.state();
        let Some(missed) = self.inbox.push(message, bytes, &state.hub.limits) else {
            return Ok(());
        };
        state.hub.counters.dropped.add(missed.reason, missed.messages);
        state.hub.note(Trouble::SlowConsumers);
        if missed.reason == Reason::QueueOverflow {
            state.remove_session(&self.session, missed.reason, None);
            return Err(missed.reason);
        }
        Ok(())
    }

    async fn ask<T>(&self, channel: &str, field: &'static str, value: &T) -> Result<(), LocalError>
    where
        T: Serialize + ?Sized,
    {
        let mut message = MutableMessage::new(channel);
        message.set_field(field, value)?;
        self.send(message).await.map(drop)
    }

    async fn send(&self, mut message: MutableMessage) -> Result<MutableMessage, LocalError> {
        message.set_field("clientId", self.handle.id())?;
        let (_, reply) = self.link.send(message).await;
        match reply.field("successful") {
            Ok(Some(Value::Bool(true))) => Ok(reply),
            _ => Err(LocalError::Refused(reply)),
        }
    }
}

/// Disconnects, as a client that leaves.
impl Drop for LocalSession {
    fn drop(&mut self) {
        self.link
            .state()
            .remove_session(&self.session, Reason::ClientDisconnect, None);
    }
}

/// Why something that a local session asked for did not come about.
#[derive(Debug)]
#[non_exhaustive]
pub enum LocalError {
    /// The data can't be written as JSON.
    Data(DataError),
    /// The server has refused it, with this reply: its `error` says why.
    Refused(MutableMessage),
    /// The session has ended, for this reason.
    Ended(Reason),
}

impl From<DataError> for LocalError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(error) => error.fmt(f),
            Self::Refused(reply) => {
                let error: Option<String> = reply.field("error").ok().flatten();
                write!(
                    f,
                    "refused: {}",
                    error.as_deref().unwrap_or("the server gave no reason")
                )
            }
            Self::Ended(reason) => write!(f, "the session has ended ({reason})"),
        }
    }
}

impl std::error::Error for LocalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // It is told in place of this one.
            Self::Data(error) => error.source(),
            Self::Refused(_) | Self::Ended(_) => None,
        }
    }
}
