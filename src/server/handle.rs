//! The application's handle.

use std::{any::Any, fmt, sync::Arc};

use serde::Serialize;

use super::{BayeuxBuilder, Config, ServerChannel, State};
use crate::{
    call::{Call, CallError, CallHandler, FromCall},
    channel::{ChannelSettings, Message, Subscription},
    event::{CustomEvent, Event, EventStream},
    extension::Extension,
    listener::MessageListener,
    policy::{Authorizer, AuthorizerId, Rules},
    protocol::{ChannelName, ClientId, InvalidChannel, Publication, PublishError, Unfit, normalise},
    session::ServerSession,
};

/// A Bayeux server: sessions, subscriptions and everything the application does with them. A clone is another handle
/// on the same server.
///
/// Put a [`BayeuxLayer`](crate::BayeuxLayer) with a handle of it into an HTTP stack to let clients in. The server ends,
/// sessions and all, with its last handle; layers and services hold one each. What the server itself owns, such as a
/// policy or a listener, holds a [`WeakBayeuxServer`](crate::WeakBayeuxServer) instead.
///
/// ```
/// use tower_bayeux::{BayeuxLayer, BayeuxServer};
///
/// let bayeux = BayeuxServer::new();
/// let layer = BayeuxLayer::new("/cometd", bayeux.clone());
///
/// bayeux.publish("/stock/ACME", &serde_json::json!({ "price": 42 }))?;
/// # Ok::<(), tower_bayeux::PublishError>(())
/// ```
#[derive(Clone)]
pub struct BayeuxServer(pub(super) Arc<State>);

impl BayeuxServer {
    /// Starts to configure a server.
    pub fn builder() -> BayeuxBuilder {
        BayeuxBuilder::default()
    }

    /// A server with the default configuration.
    ///
    /// # Panics
    ///
    /// As [`BayeuxBuilder::build`].
    #[must_use]
    pub fn new() -> Self {
        Self::with(Config::default(), Rules::default())
    }

    pub(super) fn with(config: Config, rules: Rules) -> Self {
        Self(State::new(config, rules))
    }

    pub(crate) const fn state(&self) -> &Arc<State> {
        &self.0
    }

    /// What the server was configured with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Publishes a message to every subscriber of `channel`, clients and server-side subscriptions alike.
    ///
    /// Never blocks and never waits for a subscriber: the message is serialised once and queued for each of them. Can
    /// be called from anywhere, also outside of a runtime. Messages that one caller publishes on one channel arrive in
    /// that order.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the channel is not valid, is a pattern or a `/meta` channel, the data can't be serialised, or a
    /// [listener](crate::listener) or an [extension](crate::extension) deletes the message.
    pub fn publish<T>(&self, channel: impl AsRef<str>, data: &T) -> Result<(), PublishError>
    where
        T: Serialize + ?Sized,
    {
        self.send(Publication::new(channel, data)?)
    }

    /// Publishes a message, as [`publish`](Self::publish) does, with what else it says.
    ///
    /// # Errors
    ///
    /// [`PublishError::Deleted`]: a [listener](crate::listener) or an [extension](crate::extension) deletes the message.
    pub fn send(&self, publication: Publication) -> Result<(), PublishError> {
        let message = self.0.vet(Message::from_application(publication), None, None);
        self.0.publish(&message.ok_or(PublishError::Deleted)?);
        Ok(())
    }

    /// The live session of this id.
    #[must_use]
    pub fn session(&self, id: &ClientId) -> Option<ServerSession> {
        self.0.session(id).map(ServerSession::new)
    }

    /// All live sessions, in no particular order.
    #[must_use]
    pub fn sessions(&self) -> Vec<ServerSession> {
        let mut sessions = Vec::new();
        self.0.sessions.for_each(|session| {
            if session.is_open() {
                sessions.push(ServerSession::new(Arc::clone(session)));
            }
        });
        sessions
    }

    /// How many sessions are alive.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.0.session_count()
    }

    /// A handle on a channel or pattern, whether or not it exists.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`]: `name` is not valid, or is a `/meta` channel.
    pub fn channel(&self, name: impl AsRef<str>) -> Result<ServerChannel, InvalidChannel> {
        let name = ChannelName::parse(name.as_ref())?;
        if name.is_meta() {
            return Err(InvalidChannel::NotAllowedHere);
        }
        Ok(ServerChannel::new(self.clone(), name))
    }

    /// Replaces the settings of a channel or pattern, and so makes a channel that is to be persistent: in one step, so
    /// that nobody finds it half configured. See [`ServerChannel`] for how long they stay.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`]: `name` is not valid, or is a `/meta` channel.
    pub fn configure(&self, name: impl AsRef<str>, settings: ChannelSettings) -> Result<ServerChannel, InvalidChannel> {
        let channel = self.channel(name)?;
        channel.configure(settings);
        Ok(channel)
    }

    /// All names and patterns that somebody has subscribed to or that are persistent, in no particular order.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelName> {
        self.0.channel_names()
    }

    /// How many names and patterns somebody has subscribed to or are persistent.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.0.channel_count()
    }

    /// How many sessions have subscribed to exactly this name or pattern; those that reach it by another pattern do not
    /// count.
    #[must_use]
    pub fn subscriber_count(&self, channel: impl AsRef<str>) -> usize {
        normalise(channel.as_ref()).map_or(0, |channel| self.0.channels.session_count(channel))
    }

    /// A stream of what happens from now on: sessions come and go, subscribe and unsubscribe, and
    /// [`emit`](Self::emit)ted events.
    #[must_use = "events are only collected while the stream exists"]
    pub fn events(&self) -> EventStream {
        self.0.events.subscribe(self.0.config.events_capacity)
    }

    /// Sends an event of the application's own through all event streams, as [`Event::Custom`].
    ///
    /// ```
    /// # use tower_bayeux::{BayeuxServer, Event};
    /// struct Reloaded { entries: usize }
    ///
    /// # async fn example(bayeux: BayeuxServer) {
    /// let mut events = bayeux.events();
    /// bayeux.emit(Reloaded { entries: 3 });
    /// if let Some(Event::Custom(event)) = events.recv().await {
    ///     assert_eq!(event.downcast_ref::<Reloaded>().map(|reloaded| reloaded.entries), Some(3));
    /// }
    /// # }
    /// ```
    pub fn emit<T: Any + Send + Sync>(&self, event: T) {
        let event = CustomEvent::new(event);
        self.0.emit(Event::Custom(event));
    }

    /// Subscribes the application itself: a stream of what is published from now on, by clients or by the application,
    /// on channels that match. Unlike clients it also hears `/service/…` channels.
    ///
    /// ```
    /// # use tower_bayeux::BayeuxServer;
    /// # async fn example(bayeux: BayeuxServer) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut orders = bayeux.subscribe("/service/orders/*")?;
    /// while let Some(message) = orders.recv().await {
    ///     let order: serde_json::Value = message.data()?;
    ///     println!("{} on {}", order, message.channel());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SubscribeError`]: `pattern` is not valid, or is a `/meta` channel, on which nothing is published.
    pub fn subscribe(&self, pattern: impl AsRef<str>) -> Result<Subscription, SubscribeError> {
        let pattern = pattern.as_ref();
        let refused = |rule| SubscribeError {
            pattern: pattern.into(),
            rule,
        };
        let channel = ChannelName::parse(pattern).map_err(refused)?;
        if channel.is_meta() {
            return Err(refused(InvalidChannel::NotAllowedHere));
        }
        Ok(self.0.subscription(channel))
    }

    /// Adds a rule for the channels that `pattern` matches. It stays until [`remove_authorizer`](Self::remove_authorizer)
    /// and does not touch subscriptions that exist. See [`Authorizer`] for how rules add up, and why one for a single channel
    /// is none for the patterns that reach it.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`]: `pattern` is not valid, or is below `/meta`, where no rule is ever asked: such channels are refused
    /// without. `/**` is a pattern like any other.
    pub fn authorize(
        &self,
        pattern: impl AsRef<str>,
        authorizer: impl Authorizer,
    ) -> Result<AuthorizerId, InvalidChannel> {
        let pattern = ChannelName::parse(pattern.as_ref())?;
        if pattern.is_meta() {
            return Err(InvalidChannel::NotAllowedHere);
        }
        Ok(self.0.rules.authorize(pattern, Arc::new(authorizer)))
    }

    /// Takes a rule away, and says whether it was there.
    ///
    /// ```
    /// use tower_bayeux::{BayeuxServer, Grant};
    ///
    /// let bayeux = BayeuxServer::new();
    /// // Nobody may publish, nor subscribe to anything more.
    /// let closed = bayeux.authorize("/**", Grant::NONE)?;
    /// // Later:
    /// assert!(bayeux.remove_authorizer(closed));
    /// # Ok::<(), tower_bayeux::InvalidChannel>(())
    /// ```
    pub fn remove_authorizer(&self, id: AuthorizerId) -> bool {
        self.0.rules.remove(id)
    }

    /// Sets a handler for what clients publish on the channels that `pattern`, which may be a template such as
    /// `/game/{id}/move`, matches: an async function that takes what
    /// it needs of the message, and answers the caller by what it returns. [`call`](crate::call) says all about it. It
    /// stays for the life of the server.
    ///
    /// ```
    /// use tower_bayeux::{BayeuxServer, ServerSession, call::Data};
    ///
    /// let bayeux = BayeuxServer::new();
    /// bayeux.service("/service/echo", |Data(text): Data<String>| async move { Data(text) })?;
    /// bayeux.service("/service/leave", |session: ServerSession| async move { session.disconnect() })?;
    /// # Ok::<(), tower_bayeux::InvalidChannel>(())
    /// ```
    ///
    /// A handler that needs the server takes a `BayeuxServer` as an argument. It must not own one: the server would keep
    /// itself alive. A [`WeakBayeuxServer`](crate::WeakBayeuxServer) it may own.
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`]: `pattern` is not valid, or is a `/meta` channel, on which nothing is published; a template's
    /// parameters must have names of their own, and can't be combined with wildcards.
    pub fn service<Args: 'static>(
        &self,
        pattern: impl AsRef<str>,
        handler: impl CallHandler<Args>,
    ) -> Result<(), InvalidChannel> {
        self.0.services.add(pattern.as_ref(), handler)
    }

    /// Adds an extension: code that sees every message of every client, and may change, answer or delete it.
    /// [`extension`](crate::extension) says all about it. It stays for the life of the server, and must not own a
    /// `BayeuxServer`, or the server would keep itself alive: one that needs it owns a
    /// [`WeakBayeuxServer`](crate::WeakBayeuxServer).
    ///
    /// ```
    /// use tower_bayeux::{BayeuxServer, extension::Timesync};
    ///
    /// let bayeux = BayeuxServer::new();
    /// bayeux.add_extension(Timesync::new());
    /// ```
    pub fn add_extension(&self, extension: impl Extension) {
        self.0.extensions.add(extension);
        self.0.hub.extend();
    }

    /// Adds a listener for what is published on the channels that `pattern` matches, by clients or by the application. It
    /// may change a message or delete it, before anybody gets it; [`listener`](crate::listener) says all about it. It stays
    /// for the life of the server, and must not own a `BayeuxServer`: one that needs it owns a
    /// [`WeakBayeuxServer`](crate::WeakBayeuxServer).
    ///
    /// ```
    /// use tower_bayeux::{
    ///     BayeuxServer, MutableMessage,
    ///     extension::Fate,
    ///     listener::MessageContext,
    /// };
    ///
    /// let bayeux = BayeuxServer::new();
    /// bayeux.on_message("/stock/**", |message: &mut MutableMessage, context: &MessageContext<'_>| {
    ///     println!("{} on {}", message.raw_field("data").unwrap_or("nothing"), context.channel());
    ///     Fate::Pass
    /// })?;
    /// # Ok::<(), tower_bayeux::InvalidChannel>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidChannel`]: `pattern` is not valid, or is a `/meta` channel, on which nothing is published.
    pub fn on_message(&self, pattern: impl AsRef<str>, listener: impl MessageListener) -> Result<(), InvalidChannel> {
        let pattern = ChannelName::parse(pattern.as_ref())?;
        if pattern.is_meta() {
            return Err(InvalidChannel::NotAllowedHere);
        }
        self.0.listeners.add(pattern, listener);
        Ok(())
    }
}

/// The server that the call has come to.
impl FromCall for BayeuxServer {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        let state = call.server().downcast_ref::<State>();
        // It lives as long as a request of its is served.
        let state = state.and_then(State::strong);
        state.map(Self).ok_or_else(|| CallError::new("the server has gone"))
    }
}

impl Default for BayeuxServer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for BayeuxServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BayeuxServer")
            .field("config", &self.0.config)
            .field("stats", &self.stats())
            .finish()
    }
}

/// The application can't subscribe to this name or pattern.
#[derive(Debug)]
pub struct SubscribeError {
    pattern: Box<str>,
    rule: InvalidChannel,
}

impl SubscribeError {
    /// The rule that the name or pattern breaks.
    #[must_use]
    pub const fn rule(&self) -> InvalidChannel {
        self.rule
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "can't subscribe to {}", Unfit(&self.pattern, self.rule))
    }
}

impl std::error::Error for SubscribeError {}
