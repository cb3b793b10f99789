//! The application's handle on one session.

use std::{
    any::Any,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{Batch, Delivery, Hub, Session, record::Refused};
use crate::{
    Reason,
    protocol::{ChannelName, ClientId, InvalidChannel, Publication, PublishError, Unfit},
};

/// A session, as the application sees it: deliver to it, end it, attach values to it. Cheap to clone.
///
/// A handle stays usable after its session has ended; [`is_active`](Self::is_active) then says `false` and deliveries
/// fail. Holding one does not keep the session, or the server, alive.
///
/// ```
/// # use tower_bayeux::{BayeuxServer, ClientId};
/// # fn greet(bayeux: &BayeuxServer, id: &ClientId) -> Result<(), tower_bayeux::DeliverError> {
/// if let Some(session) = bayeux.session(id) {
///     session.deliver("/greeting", &"welcome")?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerSession(Arc<Session>);

impl ServerSession {
    pub(crate) const fn new(session: Arc<Session>) -> Self {
        Self(session)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    pub(crate) const fn record(&self) -> &Arc<Session> {
        &self.0
    }

    /// The session's `clientId`.
    #[must_use]
    pub fn id(&self) -> &ClientId {
        &self.0.id
    }

    /// Whether the session is alive.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.0.is_open() && self.0.hub.host.strong_count() > 0
    }

    /// Sends a message to this session alone, whether or not it has subscribed to the channel. Never blocks.
    ///
    /// # Errors
    ///
    /// [`DeliverError`]: a bad channel, data that can't be serialised, a session that has ended, a full queue, an
    /// [extension](crate::extension) that has deleted the message.
    pub fn deliver<T>(&self, channel: impl AsRef<str>, data: &T) -> Result<(), DeliverError>
    where
        T: Serialize + ?Sized,
    {
        self.send(Publication::new(channel, data)?)
    }

    /// Sends a message to this session alone, as [`deliver`](Self::deliver) does, with what else it says. Settings of its
    /// channel do not matter: it is lazy if it says so itself.
    ///
    /// # Errors
    ///
    /// [`DeliverError`]: a session that has ended, a full queue, an [extension](crate::extension) that has deleted the
    /// message.
    pub fn send(&self, publication: Publication) -> Result<(), DeliverError> {
        let Some(host) = self.0.hub.host.upgrade() else {
            return Err(DeliverError::SessionGone(Reason::Shutdown));
        };
        let lazy = publication.lazy.then_some(self.0.hub.max_lazy_timeout);
        let frame = host.extend(self, publication.frame).ok_or(DeliverError::Deleted)?;
        let mut delivery = Delivery::new(&self.0.hub).lazily(lazy);
        let offered = self.0.offer(frame.json(), &mut delivery);
        delivery.flush();
        offered.map_err(|refused| match refused {
            Refused::Closed(reason) => DeliverError::SessionGone(reason),
            Refused::Full(reason) => DeliverError::QueueFull(reason),
        })
    }

    /// Ends the session. Its client gets what is still queued, then `/meta/disconnect`, then its connect reply with
    /// `reconnect: none`: at once if a connect is held, otherwise in reply to the next one.
    pub fn disconnect(&self) {
        self.0.hub.remove(&self.0, Reason::ServerDisconnect);
    }

    /// Runs `body`, and lets what is delivered to the session meanwhile, by whomever, leave in one answer: a held connect
    /// is woken at the end of the outermost batch, also if `body` panics. A connect whose time is over is answered all the
    /// same.
    ///
    /// ```
    /// # use tower_bayeux::{DeliverError, ServerSession};
    /// # fn example(session: &ServerSession) -> Result<(), DeliverError> {
    /// session.batch(|| {
    ///     session.deliver("/portfolio/cash", &1000)?;
    ///     session.deliver("/portfolio/shares", &[3, 5])
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch<R>(&self, body: impl FnOnce() -> R) -> R {
        let _batch = Batch::begin(Arc::clone(&self.0));
        body()
    }

    /// Sets for how long connects of this session are held, from the next one on; `None` for the server's
    /// [`timeout`](crate::Config::timeout).
    pub fn set_timeout(&self, timeout: Option<Duration>) {
        self.0.set_times(|times| times.timeout = timeout);
    }

    /// The session's own timeout, if one was set.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.0.own_times().timeout
    }

    /// Sets the pause that this client is told to make between connects, from the next reply on; `None` for the server's
    /// [`interval`](crate::Config::interval).
    pub fn set_interval(&self, interval: Option<Duration>) {
        self.0.set_times(|times| times.interval = interval);
    }

    /// The session's own interval, if one was set.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.0.own_times().interval
    }

    /// Sets how long this client may stay away beyond its interval before the session expires, at least 0.1 s; `None`
    /// for the server's [`max_interval`](crate::Config::max_interval). A longer time holds at once, a shorter one from the
    /// end of the next connect on.
    ///
    /// Who has had enough of it is seen in time by whoever looks for the session, and told by events when expired
    /// sessions are looked for, every second at least.
    pub fn set_max_interval(&self, max_interval: Option<Duration>) {
        self.0.set_times(|times| times.max_interval = max_interval);
    }

    /// The session's own maximum, if one was set.
    #[must_use]
    pub fn max_interval(&self) -> Option<Duration> {
        self.0.own_times().max_interval
    }

    /// Sets whether the session gets what it publishes itself, where it has subscribed. Default yes. It does not where
    /// this is off for the server, the channel or the session.
    pub fn set_broadcast_to_publisher(&self, broadcast: bool) {
        self.0.set_hears_itself(broadcast);
    }

    /// Whether the session, for its part, gets what it publishes itself.
    #[must_use]
    pub fn broadcast_to_publisher(&self) -> bool {
        self.0.hears_itself()
    }

    /// What the session has subscribed to, in no particular order. After its end: what it had subscribed to.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<ChannelName> {
        self.0.subscriptions().numbers.keys().cloned().collect()
    }

    /// Attaches a value, one per type, and returns the one it replaces.
    ///
    /// ```
    /// # use tower_bayeux::ServerSession;
    /// # fn example(session: &ServerSession) {
    /// struct UserName(String);
    ///
    /// session.insert_attribute(UserName("ada".into()));
    /// let name = session.attribute::<UserName>().map(|name| name.0.clone());
    /// # }
    /// ```
    pub fn insert_attribute<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        self.0.attributes.insert(value)
    }

    /// The attached value of this type.
    #[must_use]
    pub fn attribute<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.attributes.get()
    }

    pub(crate) fn attribute_or_default<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        self.0.attributes.get_or_default()
    }

    /// Detaches the value of this type.
    pub fn remove_attribute<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.attributes.remove()
    }
}

impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerSession").field(&self.0.id).finish()
    }
}

impl PartialEq for ServerSession {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ServerSession {}

impl Hash for ServerSession {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

/// Why a message could not be delivered to a session.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeliverError {
    /// The channel is not valid, a pattern, or a `/meta` channel.
    Channel {
        /// The channel, as it was given.
        channel: Box<str>,
        /// The rule that it breaks.
        rule: InvalidChannel,
    },
    /// The data could not be written as JSON.
    Serialize(Box<dyn std::error::Error + Send + Sync>),
    /// The session has ended, for this reason: [`Reason::Shutdown`] if the last handle of its server is gone.
    SessionGone(Reason),
    /// The session's queue is full: the message was dropped ([`Reason::NewestDropped`]), or the session was ended
    /// ([`Reason::QueueOverflow`]).
    QueueFull(Reason),
    /// An extension has deleted the message.
    Deleted,
}

impl From<PublishError> for DeliverError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Channel { channel, rule } => Self::Channel { channel, rule },
            PublishError::Serialize(source) => Self::Serialize(source),
            PublishError::Deleted => Self::Deleted,
        }
    }
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel { channel, rule } => write!(f, "can't deliver on {}", Unfit(channel, *rule)),
            Self::Serialize(_) => f.write_str("the data can't be written as JSON"),
            Self::SessionGone(reason) => write!(f, "the session has ended ({reason})"),
            Self::QueueFull(reason) => write!(f, "the session's queue is full ({reason})"),
            Self::Deleted => f.write_str("an extension has deleted the message"),
        }
    }
}

impl std::error::Error for DeliverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Serialize(source) => Some(&**source),
            Self::Channel { .. } | Self::SessionGone(_) | Self::QueueFull(_) | Self::Deleted => None,
        }
    }
}
