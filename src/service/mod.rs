//! The tower service: which requests are ours, and how the others reach the inner service.

mod future;
mod mount;
mod not_found;
mod path;

pub use future::ResponseFuture;
pub(crate) use mount::Mount;
pub use not_found::{EmptyBody, NotFound};
pub use path::{EndpointPaths, Paths};

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{BayeuxServer, ResponseBody, transport::serve};

/// Serves Bayeux on its paths and hands everything else to the inner service.
///
/// Made by [`BayeuxLayer`](crate::BayeuxLayer), or by hand: [`new`](Self::new) answers 404 to everything else,
/// [`wrap`](Self::wrap) takes an inner service.
///
/// # Readiness
///
/// A `BayeuxService` is always ready, so that clients are served however busy the application is. It asks the inner
/// service and remembers the answer: a request for the application goes to a ready inner service at once, or waits in
/// its own future until the inner service is. How many wait there is not bounded here; tower's `LoadShed`, around the inner
/// service, refuses them instead. A request for Bayeux gives back what the inner service may have reserved for it, a
/// concurrency permit for instance, or its place in a queue for one.
///
/// If the inner service's readiness fails, so does this one's, with the same error.
#[derive(Debug)]
pub struct BayeuxService<S = NotFound> {
    inner: S,
    asked: Asked,
    mount: Arc<Mount>,
}

/// What the inner service said when it was asked whether it is ready.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Asked {
    #[default]
    No,
    /// It is not, and may stand in a queue now.
    Waits,
    /// It is, and may have reserved something for one request.
    Ready,
}

impl BayeuxService {
    /// Serves Bayeux on `paths` and answers 404 to everything else.
    ///
    /// ```
    /// use tower_bayeux::{BayeuxServer, BayeuxService};
    ///
    /// let service = BayeuxService::new("/cometd", BayeuxServer::new());
    /// ```
    pub fn new(paths: impl Into<Paths>, server: BayeuxServer) -> Self {
        Self::wrap(paths, server, NotFound)
    }
}

impl<S> BayeuxService<S> {
    /// Serves Bayeux on `paths` and hands everything else to `inner`.
    pub fn wrap(paths: impl Into<Paths>, server: BayeuxServer, inner: S) -> Self {
        Self::mounted(Mount::new(paths.into(), server), inner)
    }

    pub(crate) const fn mounted(mount: Arc<Mount>, inner: S) -> Self {
        Self {
            inner,
            asked: Asked::No,
            mount,
        }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// Readiness belongs to one service, not to its clones.
impl<S: Clone> Clone for BayeuxService<S> {
    fn clone(&self) -> Self {
        Self::mounted(Arc::clone(&self.mount), self.inner.clone())
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for BayeuxService<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: Body,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if self.asked != Asked::Ready {
            self.asked = match self.inner.poll_ready(cx)? {
                Poll::Ready(()) => Asked::Ready,
                Poll::Pending => Asked::Waits,
            };
        }
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let asked = mem::take(&mut self.asked);
        if let Some(transport) = self.mount.takes(&request) {
            if asked != Asked::No {
                // What `inner` has reserved, or queues for, goes with it.
                self.inner = self.inner.clone();
            }
            return ResponseFuture::bayeux(serve(self.mount.share(), transport, request));
        }
        if asked == Asked::Ready {
            return ResponseFuture::inner(self.inner.call(request));
        }
        // The one that stands in the queue waits; its clone stays, for the next request.
        let clone = self.inner.clone();
        let waiting = mem::replace(&mut self.inner, clone);
        ResponseFuture::waiting(waiting, request)
    }
}
