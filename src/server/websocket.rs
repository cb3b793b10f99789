//! What is particular to WebSockets.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::request::Parts;

/// For how long, in milliseconds, no WebSocket is opened once the HTTP server has not handed a connection over. Another of
/// the servers that one layer is used by may do so.
#[cfg(feature = "websocket")]
const RESPITE: u64 = 10 * 60 * 1000;

/// Whether the HTTP server hands connections over. It says so only when it does not, and the client takes its socket for
/// open by then.
#[derive(Debug, Default)]
pub(crate) struct Upgrades {
    /// Until when none is tried, in the hub's milliseconds.
    fail_until: AtomicU64,
}

impl Upgrades {
    #[cfg(feature = "websocket")]
    pub(crate) fn note_failed(&self, now: u64) {
        self.fail_until.store(now.saturating_add(RESPITE), Relaxed);
    }

    /// The clock is looked at only if there is reason to.
    pub(crate) fn fail(&self, now: impl FnOnce() -> u64) -> bool {
        let until = self.fail_until.load(Relaxed);
        until > 0 && now() < until
    }
}

type OriginCheck = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;

/// What is particular to the `websocket` transport. Without the `websocket` feature it has no effect.
///
/// ```
/// use tower_bayeux::{BayeuxServer, WebSocketConfig};
///
/// let websocket = WebSocketConfig::new()
///     .max_message_bytes(64 * 1024)
///     .check_origin(|request| request.headers.get("origin").is_none_or(|origin| origin == "https://example.org"));
/// let bayeux = BayeuxServer::builder().websocket(websocket).build();
/// ```
#[derive(Clone)]
pub struct WebSocketConfig {
    pub(crate) messages_per_frame: usize,
    pub(crate) max_message_bytes: usize,
    pub(crate) ping_interval: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) origin: Option<OriginCheck>,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl WebSocketConfig {
    /// The defaults, as the setters name them.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            messages_per_frame: 1,
            max_message_bytes: 1024 * 1024,
            ping_interval: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(60),
            origin: None,
        }
    }

    /// The most events that are pushed in one frame. Default 1, because some clients read the first message of a frame
    /// alone. A larger number is cheaper for those that read them all.
    #[must_use]
    pub const fn messages_per_frame(mut self, messages: usize) -> Self {
        self.messages_per_frame = messages;
        self
    }

    /// The largest frame, and the largest message of several frames, in bytes. Default 1 MiB. A larger one closes the
    /// socket with code 1009; its session lives on. An open socket keeps as much memory as its client's largest frame took.
    #[must_use]
    pub const fn max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// How often the client is pinged. Default 25 s: proxies close what is silent for a minute. At least 1 ms.
    #[must_use]
    pub const fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// After how long a socket is closed from which nothing comes, not even the answer to a ping; so is one that no
    /// session has used for so long. Default 60 s. Its session lives on for `max_interval`.
    #[must_use]
    pub const fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Decides by its request whether a WebSocket may be opened; if not, the answer is 403. Default: always. Browsers
    /// say in `Origin` which page opens it, and send the cookies of this host whatever page that is.
    #[must_use]
    pub fn check_origin(mut self, check: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.origin = Some(Arc::new(check));
        self
    }
}

impl fmt::Debug for WebSocketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketConfig")
            .field("messages_per_frame", &self.messages_per_frame)
            .field("max_message_bytes", &self.max_message_bytes)
            .field("ping_interval", &self.ping_interval)
            .field("idle_timeout", &self.idle_timeout)
            .field("checks_origin", &self.origin.is_some())
            .finish()
    }
}
