//! The tower layer.

use std::sync::Arc;

use tower_layer::Layer;

use crate::{BayeuxServer, BayeuxService, Paths, service::Mount};

/// Puts a [`BayeuxService`] around a service: requests on the Bayeux paths are handled by the server, all others go to
/// the inner service untouched.
///
/// The layer holds a handle on the server and creates nothing of its own. However often it is applied, it is one
/// server; axum, for one, applies a layer once per route, and sometimes once per request.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_bayeux::{BayeuxLayer, BayeuxServer};
///
/// let bayeux = BayeuxServer::new();
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(BayeuxLayer::new("/cometd", bayeux.clone()));
/// ```
#[derive(Clone, Debug)]
pub struct BayeuxLayer {
    mount: Arc<Mount>,
}

impl BayeuxLayer {
    /// Serves Bayeux on `paths`: a base path such as `"/cometd"`, or [`Paths`].
    pub fn new(paths: impl Into<Paths>, server: BayeuxServer) -> Self {
        Self {
            mount: Mount::new(paths.into(), server),
        }
    }
}

impl<S> Layer<S> for BayeuxLayer {
    type Service = BayeuxService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BayeuxService::mounted(Arc::clone(&self.mount), inner)
    }
}
