//! The builder of a server.

use std::{fmt, sync::Arc, time::Duration};

use super::{BayeuxServer, BrowserBinding, BrowserCookie, Config, WebSocketConfig};
use crate::{
    policy::{DynPolicy, Rules, SecurityPolicy},
    protocol::{ErrorTexts, Transports},
    session::{MessageRate, OverflowPolicy},
};

/// Configures a [`BayeuxServer`]. Every setter names its default; [`Config`] lists them all.
///
/// ```
/// use std::time::Duration;
///
/// use tower_bayeux::{BayeuxServer, OverflowPolicy};
///
/// let bayeux = BayeuxServer::builder()
///     .timeout(Duration::from_secs(20))
///     .max_queue_messages(500)
///     .overflow(OverflowPolicy::DropOldest)
///     .build();
/// assert_eq!(bayeux.config().timeout, Duration::from_secs(20));
/// ```
/// [`From`] a [`Config`] that was put together elsewhere, too.
#[derive(Clone, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct BayeuxBuilder {
    pub(super) config: Config,
    policy: Option<Arc<dyn DynPolicy>>,
}

impl From<Config> for BayeuxBuilder {
    fn from(config: Config) -> Self {
        Self { config, policy: None }
    }
}

impl fmt::Debug for BayeuxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BayeuxBuilder")
            .field("config", &self.config)
            .field("has_policy", &self.policy.is_some())
            .finish()
    }
}

impl BayeuxBuilder {
    /// Makes the server. Needs no runtime; nothing is spawned before the first session.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes for the generator of ids, as `HashMap::new` does. Once it is built, a
    /// server that gets no more of them goes on with what it has.
    #[must_use]
    pub fn build(self) -> BayeuxServer {
        if self.config.transports.is_empty() {
            crate::trace::warning!("no transport is served: every request is for the inner service");
        }
        BayeuxServer::with(self.config, Rules::new(self.policy))
    }

    /// Which transports are served. Default: long-polling, and WebSocket where it is compiled in. With none, no request is
    /// ever taken; [`build`](Self::build) says so as a warning, with the `tracing` feature.
    pub const fn transports(mut self, transports: Transports) -> Self {
        self.config.transports = transports;
        self
    }

    /// What is particular to WebSockets: pings, limits, the check of the origin.
    pub fn websocket(mut self, websocket: WebSocketConfig) -> Self {
        self.config.websocket = websocket;
        self
    }

    /// How long a `/meta/connect` is held when there is nothing to deliver. Default 30 s.
    ///
    /// Keep it below the idle timeouts of proxies in between. A client may ask for less by `advice.timeout`, not for
    /// more.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = timeout;
        self
    }

    /// The pause that clients are told to make between connects. Default 0, which is right for long-polling.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.config.interval = interval;
        self
    }

    /// How long a client may stay away beyond `interval`, counted from the end of its last connect, before its session
    /// expires. Default 30 s, at least 0.1 s. Any message from the client is a sign of life.
    pub const fn max_interval(mut self, max_interval: Duration) -> Self {
        self.config.max_interval = max_interval;
        self
    }

    /// How long a [lazy](crate::Publication::lazy) message waits at most for others to leave with, unless its channel's
    /// [settings](crate::ChannelSettings::lazy_timeout) say otherwise. Default 5 s; with zero no message is lazy.
    pub const fn max_lazy_timeout(mut self, timeout: Duration) -> Self {
        self.config.max_lazy_timeout = timeout;
        self
    }

    /// How long the answers to a fast session keep apart, so that several messages share one. Default 1.5 ms; zero switches
    /// it off.
    ///
    /// A session is fast that has got more than one message in this time, on average, for many times as long: with the
    /// default, more than 667 a second. Its next answer leaves no sooner than this after the last, with all that has come,
    /// or before if the queue is half full; where that brings fewer than three messages, such waits become rare. A
    /// message to a session that has got none for so long leaves at once, always. It is for messages that come with the
    /// answer to a connect, as a client that acknowledges gets them over a WebSocket, too; what is pushed never waits.
    ///
    /// It costs a fast session up to this time of latency, and saves an answer for each message that shares one: an
    /// answer costs about ten times what a further message in it does.
    pub const fn gather(mut self, gather: Duration) -> Self {
        self.config.gather = gather;
        self
    }

    /// Whether a client that has subscribed to a channel gets what it publishes there itself. Default yes. It can be
    /// switched off for a [channel](crate::ChannelSettings::broadcast_to_publisher) or a
    /// [session](crate::ServerSession::set_broadcast_to_publisher) alone, too.
    pub const fn broadcast_to_publisher(mut self, broadcast: bool) -> Self {
        self.config.broadcast_to_publisher = broadcast;
        self
    }

    /// The most messages that wait for one session. Default 4096.
    pub const fn max_queue_messages(mut self, messages: usize) -> Self {
        self.config.max_queue_messages = messages;
        self
    }

    /// The most bytes that wait for one session. Default 8 MiB. One message always fits into an empty queue.
    pub const fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.config.max_queue_bytes = bytes;
        self
    }

    /// What happens to a message that finds the queue full. Default [`OverflowPolicy::Disconnect`].
    pub const fn overflow(mut self, policy: OverflowPolicy) -> Self {
        self.config.overflow = policy;
        self
    }

    /// The largest request body, in bytes. Default 1 MiB. A larger one is answered with 413.
    pub const fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.config.max_body_bytes = bytes;
        self
    }

    /// How long a request body may take to arrive. Default 30 s. A slower one is answered with 408.
    pub const fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// The most messages in one request. Default 4096. More are answered with 413, and none of them is processed.
    pub const fn max_batch(mut self, messages: usize) -> Self {
        self.config.max_batch = messages;
        self
    }

    /// The most sessions at a time. Default 1,000,000. Further handshakes are denied, and their clients told to come back
    /// after some seconds.
    pub const fn max_sessions(mut self, sessions: usize) -> Self {
        self.config.max_sessions = sessions;
        self
    }

    /// The most subscriptions of one session. Default 4096. Further ones fail with `403::subscribe_failed`.
    pub const fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.config.max_subscriptions = subscriptions;
        self
    }

    /// How many messages a session may send. Default: no limit. What goes beyond it fails with `429::rate_limited`, before
    /// anybody is asked about it; the session and its other messages live on.
    ///
    /// Publishes, subscribes and unsubscribes count. Connects do not, because a client needs one for each answer that it
    /// gets, and a disconnect never fails. Messages without a session are for a rate limit in front.
    pub const fn message_rate(mut self, rate: MessageRate) -> Self {
        self.config.message_rate = Some(rate);
        self
    }

    /// The browser cookie's name and attributes. Default `BAYEUX_BROWSER`, `Path=/; HttpOnly`.
    pub fn browser_cookie(mut self, cookie: BrowserCookie) -> Self {
        self.config.browser_cookie = cookie;
        self
    }

    /// How strictly the cookie binds sessions to a browser. Default [`BrowserBinding::OnFirstUse`].
    pub const fn browser_binding(mut self, binding: BrowserBinding) -> Self {
        self.config.browser_binding = binding;
        self
    }

    /// The most connects of one browser cookie that are held at a time. Default: no limit.
    ///
    /// A browser has six connections to a host over HTTP/1; with as many tabs that hold a connect each, nothing else gets
    /// through. With a limit of 4, say, further tabs poll every two seconds, told by `multiple-clients` in their advice.
    /// HTTP/2 has no such shortage and is not limited, nor are requests without the cookie. Programs whose clients share
    /// one cookie jar look like one browser: that is why there is no limit by default.
    pub const fn max_held_per_browser(mut self, connects: usize) -> Self {
        self.config.max_held_per_browser = connects;
        self
    }

    /// The texts of error replies. Default [`ErrorTexts::cometd`].
    pub fn error_texts(mut self, texts: ErrorTexts) -> Self {
        self.config.error_texts = texts;
        self
    }

    /// Whether a publisher's `ext` goes on to subscribers. Default no: clients put credentials there.
    pub const fn forward_ext(mut self, forward: bool) -> Self {
        self.config.forward_ext = forward;
        self
    }

    /// Decides what clients may do. Default: everything but `/meta/…` channels. See [`SecurityPolicy`], and
    /// [`BayeuxServer::authorize`] for rules that hang on channels.
    pub fn security_policy(mut self, policy: impl SecurityPolicy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Whether clients may ask for the acknowledgement extension, by `ext: {"ack": true}` in their handshake. Default yes.
    ///
    /// What such a client gets is kept until it acknowledges it, and sent again if it does not: nothing is lost, and a
    /// client that processes whole answers, as cometd.js does, sees every message once and in order. What is kept counts
    /// towards the bounds of the queue. Clients that do not ask are not affected.
    pub const fn acknowledgement(mut self, acknowledgement: bool) -> Self {
        self.config.acknowledgement = acknowledgement;
        self
    }

    /// Whether a message without a `clientId` is published, if [`SecurityPolicy::can_publish`] grants it: for backends
    /// that POST once and never handshake. Default no. Anybody who reaches the path can publish then, so have a policy
    /// that looks at who it is.
    pub const fn unconnected_publish(mut self, allowed: bool) -> Self {
        self.config.unconnected_publish = allowed;
        self
    }

    /// How many publishes of a session are remembered. Default 0: none. A message with the `id`, the channel and the data
    /// (as [extensions](crate::extension) leave them) of one of them is another try of a client that did not get the reply, as
    /// Faye's clients make it: it is answered with success and not published again. So is one that comes while the first is
    /// still at work, whatever becomes of that.
    ///
    /// What has failed is not remembered: a message that was denied or deleted may be sent again. One whose request broke off
    /// before its [handlers](crate::call) were through is not published again, but all of them are called again, and listeners
    /// see it again before.
    ///
    /// Turn it on only if your clients give each message an `id` of its own. cometd.js does, but counts from 1 again when its
    /// reload extension goes on with a session after a reload of the page: what it then sends is published, unless it has the
    /// `id` of a message that is remembered and says the same on the same channel.
    pub const fn duplicate_window(mut self, messages: usize) -> Self {
        self.config.duplicate_window = messages;
        self
    }

    /// Whether each answer carries an [`AnswerInfo`](crate::AnswerInfo) in its extensions. Default yes.
    pub const fn answer_info(mut self, answer_info: bool) -> Self {
        self.config.answer_info = answer_info;
        self
    }

    /// Over how long a time clients are told to come back when the server shuts down. Default 5 s.
    pub const fn shutdown_jitter(mut self, jitter: Duration) -> Self {
        self.config.shutdown_jitter = jitter;
        self
    }

    /// How many unread events each [`EventStream`](crate::EventStream) holds. Default 4096.
    pub const fn events_capacity(mut self, events: usize) -> Self {
        self.config.events_capacity = events;
        self
    }

    /// How many unread messages each [`Subscription`](crate::Subscription) holds. Default 4096.
    pub const fn subscription_capacity(mut self, messages: usize) -> Self {
        self.config.subscription_capacity = messages;
        self
    }
}
