//! Events: who came, what they subscribed to, who left and why.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use http::request::Parts;
use tokio::sync::mpsc;

use crate::{
    Reason,
    protocol::ChannelName,
    session::ServerSession,
    sync::{lock, read, write},
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
    SessionAdded {
        /// The new session.
        session: ServerSession,
        /// The handshake request.
        request: Arc<Parts>,
    },
    /// A session has subscribed to channels that it was not subscribed to before.
    Subscribed {
        /// The subscribing session.
        session: ServerSession,
        /// The names and patterns, as the client listed them.
        channels: Vec<ChannelName>,
        /// The request that asked for it.
        request: Arc<Parts>,
    },
    /// A session has given up channels, or has ended while it was subscribed to them.
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
pub struct EventStream(mpsc::Receiver<Event>);

impl EventStream {
    /// The next event; `None` once the last handle of the server is gone and everything is read.
    ///
    /// Cancel safe: an event is taken only when the future is ready.
    pub async fn recv(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_recv(cx)
    }
}

/// Sends each event to all streams.
#[derive(Debug, Default)]
pub(crate) struct EventBus {
    receivers: RwLock<Vec<Receiver>>,
    /// How many there are, readable without the lock: nobody builds an event that nobody wants.
    count: AtomicUsize,
}

#[derive(Debug)]
struct Receiver {
    sender: mpsc::Sender<Event>,
    /// Events dropped since the last one that fitted. Held while sending, so that `Missed` stands in its place.
    missed: Mutex<u64>,
}

impl EventBus {
    pub(crate) fn subscribe(&self, capacity: usize) -> EventStream {
        // One place more, for `Missed`.
        let capacity = capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS - 1) + 1;
        let (sender, receiver) = mpsc::channel(capacity);
        let mut receivers = write(&self.receivers);
        receivers.retain(|receiver| !receiver.sender.is_closed());
        receivers.push(Receiver {
            sender,
            missed: Mutex::new(0),
        });
        self.count.store(receivers.len(), Relaxed);
        EventStream(receiver)
    }

    /// Sends what `event` makes, if anybody listens, and says how many streams had no room for it.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) -> usize {
        if self.count.load(Relaxed) == 0 {
            return 0;
        }
        let event = event();
        let receivers = read(&self.receivers);
        let missed = receivers.iter().filter(|receiver| !receiver.send(&event)).count();
        let gone = receivers.iter().any(|receiver| receiver.sender.is_closed());
        drop(receivers);
        if gone {
            self.forget_closed();
        }
        missed
    }

    fn forget_closed(&self) {
        let mut receivers = write(&self.receivers);
        receivers.retain(|receiver| !receiver.sender.is_closed());
        self.count.store(receivers.len(), Relaxed);
    }
}

impl Receiver {
    /// Whether the stream took the event, or is gone.
    fn send(&self, event: &Event) -> bool {
        let mut missed = lock(&self.missed);
        if *missed > 0 && self.sender.capacity() >= 2 {
            let _ = self.sender.try_send(Event::Missed(*missed));
            *missed = 0;
        }
        // The last place is for `Missed`.
        if self.sender.capacity() < 2 && !self.sender.is_closed() {
            *missed += 1;
            return false;
        }
        let _ = self.sender.try_send(event.clone());
        true
    }
}
