//! The transports of Bayeux, by name, and sets of them.

/// A Bayeux transport.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// JSON by POST, with held connects.
    LongPolling,
    /// JSONP: a script by GET, with held connects. For pages of other sites where CORS is out of reach.
    CallbackPolling,
    /// Server-sent events down, JSON by POST up, as Faye's clients use them.
    EventSource,
    /// A WebSocket. Served only with the `websocket` feature.
    WebSocket,
}

impl Transport {
    /// The transport's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LongPolling => "long-polling",
            Self::CallbackPolling => "callback-polling",
            Self::EventSource => "eventsource",
            Self::WebSocket => "websocket",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which transports a server offers.
///
/// By default long-polling, and WebSocket where the `websocket` feature is compiled in. The two others are for those who
/// need them: [`CallbackPolling`](Transport::CallbackPolling) lets pages of every site talk to the server, past CORS;
/// a stream of [`EventSource`](Transport::EventSource) stalls behind proxies that buffer, and its client does not notice.
///
/// ```
/// use tower_bayeux::{BayeuxServer, Transport, Transports};
///
/// let transports = Transports::default().with(Transport::CallbackPolling);
/// let bayeux = BayeuxServer::builder().transports(transports).build();
///
/// let transports = Transports::default().without(Transport::WebSocket);
/// assert!(transports.contains(Transport::LongPolling));
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Transports(u8);

impl Transports {
    /// None at all, to begin with. A server that is left with none answers no request: all of them are the inner service's.
    /// Only [local sessions](crate::LocalSession) can use it.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// All that are compiled in.
    #[must_use]
    pub const fn all() -> Self {
        Self::none()
            .with(Transport::LongPolling)
            .with(Transport::CallbackPolling)
            .with(Transport::EventSource)
            .with(Transport::WebSocket)
    }

    /// These and one more. One that is not compiled in is left out.
    #[must_use]
    pub const fn with(self, transport: Transport) -> Self {
        if matches!(transport, Transport::WebSocket) && !cfg!(feature = "websocket") {
            return self;
        }
        Self(self.0 | transport.bit())
    }

    /// These but for one.
    #[must_use]
    pub const fn without(self, transport: Transport) -> Self {
        Self(self.0 & !transport.bit())
    }

    /// Whether a transport is among these.
    #[must_use]
    pub const fn contains(self, transport: Transport) -> bool {
        self.0 & transport.bit() != 0
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names that a handshake reply offers, the best first. Faye's clients have a second name for long-polling that
    /// crosses origins.
    pub(crate) fn connection_types(self) -> impl Iterator<Item = &'static str> {
        let names: [(Transport, &[&'static str]); 4] = [
            (Transport::WebSocket, &["websocket"]),
            (Transport::EventSource, &["eventsource"]),
            (Transport::LongPolling, &["long-polling", "cross-origin-long-polling"]),
            (Transport::CallbackPolling, &["callback-polling"]),
        ];
        let served = names
            .into_iter()
            .filter(move |(transport, _)| self.contains(*transport));
        served.flat_map(|(_, names)| names).copied()
    }
}

impl Default for Transports {
    fn default() -> Self {
        Self::none().with(Transport::LongPolling).with(Transport::WebSocket)
    }
}
