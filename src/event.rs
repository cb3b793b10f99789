//! Events: who came, what they subscribed to, who left and why.

use std::{
    any::Any,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use futures_core::Stream;
use http::request::Parts;

use crate::{
    Reason,
    mailbox::{Received, Receiver, Sender, Sent, mailbox},
    protocol::ChannelName,
    session::ServerSession,
    sync::{read, wake, write},
};

/// Something that happened on the server. Cheap to clone.
///
/// Where a request caused it, `request` holds that request's method, URI, headers and extensions: what a layer in front
/// put into the extensions (the user that it authenticated, say) is there.
///
/// ```
/// # use tower_bayeux::{BayeuxServer, Event};
/// # async fn log(bayeux: BayeuxServer) {
/// let mut events = bayeux.events();
/// while let Some(event) = events.recv().await {
///     match event {
///         Event::SessionAdded { session, .. } => println!("{} came", session.id()),
///         Event::SessionRemoved { session, reason, .. } => println!("{} left: {reason}", session.id()),
///         _ => {}
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A client has made a session. Comes before its handshake reply is sent.
    #[non_exhaustive]
    SessionAdded {
        /// The new session.
        session: ServerSession,
        /// The handshake request.
        request: Arc<Parts>,
    },
    /// A session has subscribed to channels that it was not subscribed to before.
    #[non_exhaustive]
    Subscribed {
        /// The subscribing session.
        session: ServerSession,
        /// The names and patterns, as the client listed them.
        channels: Vec<ChannelName>,
        /// The request that asked for it.
        request: Arc<Parts>,
    },
    /// A session has given up channels, or has ended while it was subscribed to them.
    #[non_exhaustive]
    Unsubscribed {
        /// The session.
        session: ServerSession,
        /// The names and patterns.
        channels: Vec<ChannelName>,
        /// The request that asked for it, if one did.
        request: Option<Arc<Parts>>,
    },
    /// A session has ended. Comes once, after its `Unsubscribed`;
    /// [`subscriptions`](ServerSession::subscriptions) still lists what it had.
    #[non_exhaustive]
    SessionRemoved {
        /// The session.
        session: ServerSession,
        /// Why it ended.
        reason: Reason,
        /// The `/meta/disconnect` request, if that ended it.
        request: Option<Arc<Parts>>,
    },
    /// An event of the application's own, sent by [`BayeuxServer::emit`](crate::BayeuxServer::emit).
    Custom(CustomEvent),
    /// This stream was not read fast enough: so many events are missing here.
    Missed(u64),
}

/// An application's own event.
#[derive(Clone)]
pub struct CustomEvent(Arc<dyn Any + Send + Sync>);

impl CustomEvent {
    pub(crate) fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The value that was emitted, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl fmt::Debug for CustomEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomEvent").finish_non_exhaustive()
    }
}

/// A stream of [`Event`]s, made by [`BayeuxServer::events`](crate::BayeuxServer::events). Every stream sees every event
/// from its making on.
///
/// It holds as many unread events as [`events_capacity`](crate::BayeuxBuilder::events_capacity) says; where further
/// ones had to be dropped, an [`Event::Missed`] says how many. The server never waits for a reader.
#[derive(Debug)]
#[must_use = "events are only collected while the stream exists"]
pub struct EventStream(Receiver<Event>);

impl EventStream {
    /// The next event; `None` once the last handle of the server is gone and everything is read.
    ///
    /// Cancel safe: an event is taken only when the future is ready.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx).map(|received| {
            received.map(|received| match received {
                Received::Value(event) => event,
                Received::Missed(count) => Event::Missed(count),
            })
        })
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_recv(cx)
    }
}

/// Sends each event to all streams.
#[derive(Debug, Default)]
pub(crate) struct EventBus {
    streams: RwLock<Vec<Sender<Event>>>,
    /// How many there are, readable without the lock: nobody builds an event that nobody wants.
    count: AtomicUsize,
}

/// What an event leaves to do once no lock is held.
#[derive(Debug, Default)]
#[must_use = "the readers are yet to be woken"]
pub(crate) struct Announced {
    wakers: Vec<Waker>,
    /// How many streams had no room for the event.
    pub(crate) missed: usize,
}

impl Announced {
    pub(crate) fn wake(self) {
        self.wakers.into_iter().map(Some).for_each(wake);
    }
}

impl EventBus {
    pub(crate) fn subscribe(&self, capacity: usize) -> EventStream {
        let (sender, events) = mailbox(capacity);
        let mut streams = write(&self.streams);
        streams.retain(Sender::is_read);
        streams.push(sender);
        self.count.store(streams.len(), Relaxed);
        EventStream(events)
    }

    /// Puts what `event` makes into all streams, if there are any. May be called under a lock; [`Announced::wake`] may
    /// not.
    pub(crate) fn announce(&self, event: impl FnOnce() -> Event) -> Announced {
        let mut announced = Announced::default();
        if self.count.load(Relaxed) == 0 {
            return announced;
        }
        let event = event();
        let mut abandoned = false;
        for stream in &*read(&self.streams) {
            match stream.send(event.clone()) {
                Sent::Queued(waker) => announced.wakers.extend(waker),
                Sent::Missed => announced.missed += 1,
                Sent::Gone => abandoned = true,
            }
        }
        if abandoned {
            self.forget_abandoned();
        }
        announced
    }

    fn forget_abandoned(&self) {
        let mut streams = write(&self.streams);
        streams.retain(Sender::is_read);
        self.count.store(streams.len(), Relaxed);
    }
}
