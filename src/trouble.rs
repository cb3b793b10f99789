//! What a server can see to be wrong by itself, and how it is.

use std::fmt;

const TROUBLES: usize = Trouble::ALL.len();

/// How a server is; [`BayeuxServer::health`](crate::BayeuxServer::health) says it.
///
/// ```
/// use http::StatusCode;
/// use tower_bayeux::{BayeuxServer, Health};
///
/// /// For a load balancer that asks whether to send clients here.
/// fn readiness(bayeux: &BayeuxServer) -> (StatusCode, String) {
///     match bayeux.health() {
///         Health::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining".to_owned()),
///         Health::Degraded(troubles) => {
///             let cures: Vec<_> = troubles.iter().map(|trouble| format!("{trouble}: {}", trouble.cure())).collect();
///             (StatusCode::OK, cures.join("\n"))
///         }
///         _ => (StatusCode::OK, "ready".to_owned()),
///     }
/// }
/// # assert_eq!(readiness(&BayeuxServer::new()).0, StatusCode::OK);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Health {
    /// It takes clients, and sees nothing wrong.
    Ready,
    /// It takes clients, but has seen these within the last minute. Most are for people to look into; none is a reason to
    /// restart it.
    Degraded(Vec<Trouble>),
    /// [`BayeuxServer::shutdown`](crate::BayeuxServer::shutdown) was called: clients are sent away.
    Draining,
}

/// Something wrong around the server that it can see by itself.
///
/// One sign may be chance, so most take several within a minute. [`SessionsFull`](Self::SessionsFull) and
/// [`UpgradesFail`](Self::UpgradesFail) take one, and so does [`HoldsCut`](Self::HoldsCut), each sign of which stands for many
/// holds that broke off alike. A sign is counted
/// ([`Stats::troubles`](crate::Stats::troubles)); a trouble is told by [`Health::Degraded`], and said once in five minutes as a
/// warning with its [`cure`](Self::cure), with the `tracing` feature.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Trouble {
    /// Held connects break off after the same time again and again, before the server would have answered them.
    HoldsCut,
    /// Browsers do not send the cookie back, or requests are refused because of it.
    CookiesLost,
    /// Many requests name sessions that look like the server's own and are not known.
    UnknownSessions,
    /// Clients connect again before they were told to.
    ConnectsTooClose,
    /// Sessions end, or lose messages, because their queues are full.
    SlowConsumers,
    /// Clients are sent away because there are as many sessions as there may be.
    SessionsFull,
    /// Clients are let open WebSockets, and the HTTP server does not hand the connection over. Nobody is offered one for ten
    /// minutes then, unless one is open: then another HTTP server hands them over.
    UpgradesFail,
}

impl Trouble {
    /// Every trouble, in declaration order.
    pub const ALL: &'static [Self] = &[
        Self::HoldsCut,
        Self::CookiesLost,
        Self::UnknownSessions,
        Self::ConnectsTooClose,
        Self::SlowConsumers,
        Self::SessionsFull,
        Self::UpgradesFail,
    ];

    /// A stable lower-case name, fit for a log field or a metrics label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HoldsCut => "holds_cut",
            Self::CookiesLost => "cookies_lost",
            Self::UnknownSessions => "unknown_sessions",
            Self::ConnectsTooClose => "connects_too_close",
            Self::SlowConsumers => "slow_consumers",
            Self::SessionsFull => "sessions_full",
            Self::UpgradesFail => "upgrades_fail",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn cure(self) -> &'static str {
        match self {
            Self::HoldsCut => {
                "something between the clients and the server ends requests before `timeout`: raise the limit of the proxy, \
                 the load balancer or the TimeoutLayer, or set `timeout` below it"
            }
            Self::CookiesLost => {
                "pages of other sites need `same_site(None).secure(true)`, `secure` needs HTTPS, and proxies must pass \
                 `Cookie` and `Set-Cookie`: set `browser_cookie` to fit, or `browser_binding` to `Off`"
            }
            Self::UnknownSessions => {
                "requests of one client come to several servers: make the load balancer sticky, by the cookie or the address. \
                 After a restart it passes by itself"
            }
            Self::ConnectsTooClose => {
                "a client ignores `interval`, or asks for `timeout: 0` in a loop: mend the client; until then `connect_rate` \
                 makes it wait"
            }
            Self::SlowConsumers => {
                "clients do not fetch what is published fast enough: publish less, raise `max_queue_messages` and \
                 `max_queue_bytes`, or choose another `overflow` policy"
            }
            Self::SessionsFull => {
                "raise `max_sessions`, add a server, or find out who makes them with `max_sessions_per_address`"
            }
            Self::UpgradesFail => {
                "serve connections with upgrades: `with_upgrades` or `serve_connection_with_upgrades` of hyper; where the HTTP \
                 server can't, as tonic's, take `Transport::WebSocket` out of `transports`"
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many signs there were of each [`Trouble`].
#[derive(Clone, Default, Eq, PartialEq)]
pub struct TroubleCounts([u64; TROUBLES]);

impl TroubleCounts {
    pub(crate) fn new(count: impl Fn(Trouble) -> u64) -> Self {
        let mut counts = Self::default();
        for (slot, trouble) in counts.0.iter_mut().zip(Trouble::ALL) {
            *slot = count(*trouble);
        }
        counts
    }

    /// The signs of one trouble.
    #[must_use]
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.0.get(trouble as usize).copied().unwrap_or_default()
    }

    /// The troubles of which there was at least one sign.
    pub fn iter(&self) -> impl Iterator<Item = (Trouble, u64)> + '_ {
        Trouble::ALL.iter().copied().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Debug for TroubleCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_each_trouble_at_its_own_index() {
        for (index, trouble) in Trouble::ALL.iter().copied().enumerate() {
            assert_eq!(trouble as usize, index, "{trouble}");
        }
    }
}
