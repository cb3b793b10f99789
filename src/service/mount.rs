//! A server and where it is mounted.

use std::{fmt, sync::Arc};

use http::{Method, Request};

use super::Paths;
use crate::{
    BayeuxServer, Transport,
    server::State,
    striped::{Share, Shares},
    transport::choose,
};

/// What a layer, its services and their clones have in common. HTTP servers clone a service for each connection and each
/// request: that counts one reference.
pub(crate) struct Mount {
    paths: Paths,
    server: BayeuxServer,
    shares: Shares<State>,
}

impl Mount {
    pub(crate) fn new(paths: Paths, server: BayeuxServer) -> Arc<Self> {
        let shares = Shares::of(server.state());
        Arc::new(Self { paths, server, shares })
    }

    /// Only what a transport of ours takes: everything else on our paths, `OPTIONS` among it, is the application's.
    pub(super) fn takes<B>(&self, request: &Request<B>) -> Option<Transport> {
        let may_be_ours = matches!(*request.method(), Method::POST | Method::GET);
        if may_be_ours && self.paths.matches(request.uri().path()) {
            choose(request, self.server.config().transports)
        } else {
            None
        }
    }

    /// What a request holds of the server.
    pub(super) fn share(&self) -> Share<State> {
        self.shares.share()
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount")
            .field("paths", &self.paths)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
