//! The builder's setters of limits that are about many clients, or about hostile ones.

use std::net::IpAddr;

use http::request::Parts;

use super::{BayeuxBuilder, ClientAddress, Origins};
use crate::session::MessageRate;

impl BayeuxBuilder {
    /// How deep a message may nest, the array around it included. Default 127, which is also the most: parsers of
    /// subscribers stop at 128. A request with a deeper one is answered with 400.
    pub const fn max_depth(mut self, depth: usize) -> Self {
        self.config.max_depth = depth;
        self
    }

    /// How a client's address is found. Default: not at all, and so there are no limits per address: only the application
    /// knows whether the peer is a client or a proxy, and which header that proxy can be trusted to set.
    ///
    /// With it, [`max_sessions_per_address`](Self::max_sessions_per_address) and
    /// [`handshake_rate`](Self::handshake_rate) hold. It is asked once per handshake. An IPv6 address counts by its first 64
    /// bits. Many clients behind one address, as in an office, count as one: choose the limits to fit.
    ///
    /// axum puts the peer into the request's extensions, if it is served with
    /// `into_make_service_with_connect_info::<SocketAddr>()`:
    ///
    /// ```
    /// # mod axum { pub mod extract { #[derive(Clone)] pub struct ConnectInfo<T>(pub T); } }
    /// use std::net::SocketAddr;
    ///
    /// use axum::extract::ConnectInfo;
    /// use tower_bayeux::BayeuxServer;
    ///
    /// let bayeux = BayeuxServer::builder()
    ///     .client_address(|request| {
    ///         let peer = request.extensions.get::<ConnectInfo<SocketAddr>>()?;
    ///         Some(peer.0.ip())
    ///     })
    ///     .build();
    /// ```
    ///
    /// Behind a proxy of your own that appends the client to `X-Forwarded-For`, it is the last entry:
    ///
    /// ```
    /// # use tower_bayeux::BayeuxServer;
    /// let bayeux = BayeuxServer::builder()
    ///     .client_address(|request| {
    ///         let forwarded = request.headers.get_all("x-forwarded-for").iter().last()?;
    ///         forwarded.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    ///     })
    ///     .build();
    /// ```
    pub fn client_address(mut self, find: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.config.client_address = Some(ClientAddress::new(find));
        self
    }

    /// The most sessions of one address at a time. Default 10,000, where [`client_address`](Self::client_address) is set.
    /// Further handshakes are denied before the policy is asked, and their clients told to come back after some seconds.
    pub const fn max_sessions_per_address(mut self, sessions: usize) -> Self {
        self.config.max_sessions_per_address = sessions;
        self
    }

    /// The most sessions at a time that were made with one browser cookie. Default: no limit. Further handshakes are denied
    /// as those of an address are. It guards against mistakes, such as a page that handshakes in a loop, not against enemies:
    /// they bring no cookie. Programs whose clients share one cookie jar look like one browser.
    pub const fn max_sessions_per_browser(mut self, sessions: usize) -> Self {
        self.config.max_sessions_per_browser = sessions;
        self
    }

    /// How many handshakes of one address are looked at. Default 100 in a second and 1000 at once, where
    /// [`client_address`](Self::client_address) is set. Further ones are denied before the policy is asked, and their
    /// clients told to come back after some seconds.
    pub const fn handshake_rate(mut self, rate: MessageRate) -> Self {
        self.config.handshake_rate = rate;
        self
    }

    /// How many requests the server refuses at once: those of unknown sessions, denied handshakes, faulty connects. Default
    /// 1000 in a second, and 10,000 at once. The answers to further ones wait for a second, and send their clients away for two
    /// and more: so neither a client that ignores advice nor all of them after a restart take more than a bounded share
    /// of the server.
    pub const fn refusal_rate(mut self, rate: MessageRate) -> Self {
        self.config.refusal_rate = rate;
        self
    }

    /// How many connects of a session are answered at once though there is nothing to deliver: because they ask for it by
    /// `timeout: 0`, have to, or take the place of one that is held. Default 10 in a second, and 50 at once. Further ones
    /// wait for their turn, a tenth of a second each; what is published meanwhile answers them at once.
    pub const fn connect_rate(mut self, rate: MessageRate) -> Self {
        self.config.connect_rate = rate;
        self
    }

    /// The most connects that are held at a time. Default: no limit but that of the sessions, which have one each. Further
    /// ones are answered at once, and their clients told to come back after two to four seconds; nothing is lost. Requests
    /// that come at the same moment may exceed it by as many as there are threads.
    pub const fn max_held_connects(mut self, connects: usize) -> Self {
        self.config.max_held_connects = connects;
        self
    }

    /// The most names and patterns that clients subscribe to at a time. Default 1,000,000. Subscribing to a further one fails
    /// with `403::subscribe_failed` before the policy is asked; those that exist are not affected, nor is the application.
    pub const fn max_channels(mut self, channels: usize) -> Self {
        self.config.max_channels = channels;
        self
    }

    /// The longest name of a channel that clients may use, in bytes. Default
    /// [`ChannelName::MAX_LEN`](crate::ChannelName::MAX_LEN), which is also the most. A longer one is invalid.
    pub const fn max_channel_bytes(mut self, bytes: usize) -> Self {
        self.config.max_channel_bytes = bytes;
        self
    }

    /// The most segments of a channel that clients may use. Default 64. A publish looks once for each of them. A name with
    /// more is invalid.
    pub const fn max_channel_segments(mut self, segments: usize) -> Self {
        self.config.max_channel_segments = segments;
        self
    }

    /// Whose pages may use the server, whatever the transport. Default: anybody's. Other requests are answered with 403,
    /// before their body is read.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.config.origins = Some(origins);
        self
    }
}
