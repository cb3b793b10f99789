//! Configuration as plain data.

use std::{borrow::Cow, time::Duration};

use cookie::SameSite;

use super::{ClientAddress, Origins, WebSocketConfig};
use crate::{
    protocol::{ChannelName, ErrorTexts, MAX_DEPTH, Transports},
    session::{AdmissionLimits, MessageRate, OverflowPolicy, QueueLimits, Settings, Times},
};

/// Everything that can be configured, with its default. Made by [`BayeuxServer::builder`](crate::BayeuxServer::builder),
/// read by [`BayeuxServer::config`](crate::BayeuxServer::config).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Which transports are served. Default: long-polling, and WebSocket where it is compiled in.
    pub transports: Transports,
    /// What is particular to WebSockets.
    pub websocket: WebSocketConfig,
    /// How long a `/meta/connect` is held when there is nothing to deliver. Default 30 s.
    pub timeout: Duration,
    /// The pause that clients are told to make between connects. Default 0.
    pub interval: Duration,
    /// How long a client may stay away beyond `interval` before its session expires. Default 30 s.
    pub max_interval: Duration,
    /// How long a lazy message waits at most. Default 5 s.
    pub max_lazy_timeout: Duration,
    /// How long a fast session's answers keep apart, so that messages share them. Default 1.5 ms.
    pub gather: Duration,
    /// Whether clients get what they publish themselves, where they have subscribed. Default yes.
    pub broadcast_to_publisher: bool,
    /// The most messages that wait for one session. Default 4096.
    pub max_queue_messages: usize,
    /// The most bytes that wait for one session. One message always fits. Default 8 MiB.
    pub max_queue_bytes: usize,
    /// What happens to a message that finds the queue full. Default: the session ends.
    pub overflow: OverflowPolicy,
    /// The largest request body, in bytes; a larger one is answered with 413. Default 1 MiB.
    pub max_body_bytes: usize,
    /// How long a request body may take to arrive; a slower one is answered with 408. Default 30 s.
    pub body_timeout: Duration,
    /// The most messages in one request; more are answered with 413. Default 4096.
    pub max_batch: usize,
    /// How deep a message may nest, the array around it included. Default 127, which is also the most.
    pub max_depth: usize,
    /// The most sessions at a time; further handshakes are denied. Default 1,000,000.
    pub max_sessions: usize,
    /// How a client's address is found. Default: not at all.
    pub client_address: Option<ClientAddress>,
    /// The most sessions of one address. Default 10,000, where addresses are found.
    pub max_sessions_per_address: usize,
    /// The most sessions that were made with one browser cookie. Default: no limit.
    pub max_sessions_per_browser: usize,
    /// How many handshakes of one address are looked at. Default 100 in a second and 1000 at once, where addresses are found.
    pub handshake_rate: MessageRate,
    /// How many requests are refused at once; others wait. Default 1000 in a second, and 10,000 at once.
    pub refusal_rate: MessageRate,
    /// How many connects of a session are answered at once with nothing to deliver. Default 10 in a second, and 50 at once.
    pub connect_rate: MessageRate,
    /// The most connects that are held at a time. Default: no limit.
    pub max_held_connects: usize,
    /// The most names and patterns that clients subscribe to at a time. Default 1,000,000.
    pub max_channels: usize,
    /// The longest name of a channel that clients may use, in bytes. Default 1024, which is also the most.
    pub max_channel_bytes: usize,
    /// The most segments of a channel that clients may use. Default 64.
    pub max_channel_segments: usize,
    /// Whose pages may use the server. Default: anybody's.
    pub origins: Option<Origins>,
    /// The most subscriptions of one session. Default 4096.
    pub max_subscriptions: usize,
    /// How many messages a session may send. Default: no limit.
    pub message_rate: Option<MessageRate>,
    /// The cookie that binds sessions to a browser.
    pub browser_cookie: BrowserCookie,
    /// How strictly it does. Default: from its first return on.
    pub browser_binding: BrowserBinding,
    /// The texts of error replies. Default: CometD's.
    pub error_texts: ErrorTexts,
    /// The most connects of one browser cookie that are held at a time over HTTP/1. Default: no limit.
    pub max_held_per_browser: usize,
    /// Whether a publisher's `ext` goes on to subscribers, as CometD and Faye do. Default no: clients put credentials
    /// there.
    pub forward_ext: bool,
    /// Whether clients may ask for the acknowledgement extension. Default yes; it costs nothing where they do not.
    pub acknowledgement: bool,
    /// Whether messages without a `clientId` are published, if the policy grants it. Default no.
    pub unconnected_publish: bool,
    /// How many publishes of a session are remembered, so that one that is sent again with its `id` is not published
    /// again. Default 0: none.
    pub duplicate_window: usize,
    /// Whether each answer carries an [`AnswerInfo`](crate::AnswerInfo) in its extensions. Default yes.
    pub answer_info: bool,
    /// Over how long a time clients are told to come back when the server shuts down. Default 5 s.
    pub shutdown_jitter: Duration,
    /// How many unread events each [`EventStream`](crate::EventStream) holds. Default 4096.
    pub events_capacity: usize,
    /// How many unread messages each [`Subscription`](crate::Subscription) holds. Default 4096.
    pub subscription_capacity: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            transports: Transports::default(),
            websocket: WebSocketConfig::default(),
            timeout: Duration::from_secs(30),
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(30),
            max_lazy_timeout: Duration::from_secs(5),
            gather: Duration::from_micros(1_500),
            broadcast_to_publisher: true,
            max_queue_messages: 4096,
            max_queue_bytes: 8 * 1024 * 1024,
            overflow: OverflowPolicy::default(),
            max_body_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            max_batch: 4096,
            max_depth: MAX_DEPTH,
            max_sessions: 1_000_000,
            client_address: None,
            max_sessions_per_address: 10_000,
            max_sessions_per_browser: usize::MAX,
            handshake_rate: MessageRate::per_second(100).burst(1000),
            refusal_rate: MessageRate::per_second(1000).burst(10_000),
            connect_rate: MessageRate::per_second(10).burst(50),
            max_held_connects: usize::MAX,
            max_channels: 1_000_000,
            max_channel_bytes: ChannelName::MAX_LEN,
            max_channel_segments: 64,
            origins: None,
            max_subscriptions: 4096,
            message_rate: None,
            browser_cookie: BrowserCookie::default(),
            browser_binding: BrowserBinding::default(),
            error_texts: ErrorTexts::default(),
            max_held_per_browser: usize::MAX,
            forward_ext: false,
            acknowledgement: true,
            unconnected_publish: false,
            duplicate_window: 0,
            answer_info: true,
            shutdown_jitter: Duration::from_secs(5),
            events_capacity: 4096,
            subscription_capacity: 4096,
        }
    }
}

impl Config {
    pub(super) fn of_sessions(&self) -> Settings {
        Settings {
            limits: QueueLimits {
                messages: self.max_queue_messages,
                bytes: self.max_queue_bytes,
                overflow: self.overflow,
            },
            held_per_browser: self.max_held_per_browser,
            admission: AdmissionLimits {
                sessions_per_address: self.max_sessions_per_address,
                sessions_per_browser: self.max_sessions_per_browser,
                handshake_rate: self.handshake_rate,
            },
            refusal_rate: self.refusal_rate,
            connect_rate: self.connect_rate,
            times: Times::new(self.timeout, self.interval, self.max_interval),
            max_lazy_timeout: self.max_lazy_timeout,
            gather: self.gather,
        }
    }
}

/// How a session is tied to the browser cookie of its handshake. Whatever the choice, a request with a *different*
/// cookie is refused with `402::session_unknown`, unless it is [`Off`](Self::Off).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum BrowserBinding {
    /// A client that never sends the cookie is served by its `clientId` alone: many clients keep no cookies. Once it
    /// was returned, a request without it is refused; but not a WebSocket that was opened before the cookie was made,
    /// or within ten seconds, and so may be without it because it was not set yet. A session that is made on a WebSocket
    /// which brought no cookie of this server's is tied to none, because nobody can set one there: it is served by its
    /// `clientId` alone, on any transport.
    #[default]
    OnFirstUse,
    /// Every request after the handshake must bring the cookie, as with CometD. Clients without a cookie jar can't
    /// connect.
    Required,
    /// No cookie is set or looked at.
    Off,
}

/// The cookie that binds sessions to a browser, and its attributes.
///
/// ```
/// use tower_bayeux::{BayeuxServer, BrowserCookie, cookie::SameSite};
///
/// // For pages of other sites, over HTTPS.
/// let cookie = BrowserCookie::new().same_site(SameSite::None).secure(true).partitioned(true);
/// let bayeux = BayeuxServer::builder().browser_cookie(cookie).build();
/// ```
#[derive(Clone, Debug)]
pub struct BrowserCookie {
    pub(crate) name: Cow<'static, str>,
    pub(crate) domain: Option<Cow<'static, str>>,
    pub(crate) path: Cow<'static, str>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) http_only: bool,
    pub(crate) secure: bool,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) partitioned: bool,
}

impl Default for BrowserCookie {
    fn default() -> Self {
        Self::new()
    }
}

impl BrowserCookie {
    /// `BAYEUX_BROWSER`, `Path=/; HttpOnly`, and nothing else.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            name: Cow::Borrowed("BAYEUX_BROWSER"),
            domain: None,
            path: Cow::Borrowed("/"),
            max_age: None,
            http_only: true,
            secure: false,
            same_site: None,
            partitioned: false,
        }
    }

    /// The cookie's name. Default `BAYEUX_BROWSER`.
    #[must_use]
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.name = name.into();
        self
    }

    /// `Domain`. Default: not set, so the cookie goes to this host only.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// `Path`. Default `/`.
    #[must_use]
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = path.into();
        self
    }

    /// `Max-Age`, in whole seconds. Default: not set, so the cookie ends with the browser session.
    #[must_use]
    pub const fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// `HttpOnly`. Default yes.
    #[must_use]
    pub const fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// `Secure`. Default no; set it wherever all clients come by HTTPS.
    #[must_use]
    pub const fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// `SameSite`. Default: not set, which browsers take for `Lax`. Pages of other sites need `None` with `Secure`.
    #[must_use]
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// `Partitioned`: one cookie for each top-level site. Default no.
    #[must_use]
    pub const fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }
}
