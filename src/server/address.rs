//! Whose request it is.

use std::{fmt, net::IpAddr, sync::Arc};

use http::request::Parts;

type Find = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// How the address of a client is found; set by [`BayeuxBuilder::client_address`](crate::BayeuxBuilder::client_address).
#[derive(Clone)]
pub struct ClientAddress(Find);

impl ClientAddress {
    /// Finds the address in a request; `None` if it can't be told: then no limit per address holds for that request.
    #[must_use]
    pub fn new(find: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    pub(crate) fn of(&self, request: &Parts) -> Option<IpAddr> {
        (self.0)(request)
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAddress").finish_non_exhaustive()
    }
}
