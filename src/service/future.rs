//! The future of a response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use crate::{ResponseBody, transport::Answering};

pin_project! {
    /// The future of a [`BayeuxService`](crate::BayeuxService). What goes to the inner service costs no allocation.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        kind: Kind<S, B>,
    }
}

pin_project! {
    #[project = KindProj]
    enum Kind<S, B>
    where
        S: Service<Request<B>>,
    {
        Inner { #[pin] future: S::Future },
        // The inner service was not ready; it is waited for here and nowhere else.
        Waiting { #[pin] future: Oneshot<S, Request<B>> },
        Bayeux { #[pin] answering: Answering<B> },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(super) const fn inner(future: S::Future) -> Self {
        Self {
            kind: Kind::Inner { future },
        }
    }

    pub(super) const fn waiting(service: S, request: Request<B>) -> Self {
        Self {
            kind: Kind::Waiting {
                future: Oneshot::new(service, request),
            },
        }
    }

    pub(super) const fn bayeux(answering: Answering<B>) -> Self {
        Self {
            kind: Kind::Bayeux { answering },
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    B: Body,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    // What it returns is large, and is not to be moved once more.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().kind.project() {
            KindProj::Inner { future } => ready!(future.poll(cx))?.map(ResponseBody::inner),
            KindProj::Waiting { future } => ready!(future.poll(cx))?.map(ResponseBody::inner),
            KindProj::Bayeux { answering } => ready!(answering.poll(cx)).map(ResponseBody::answer),
        };
        Poll::Ready(Ok(response))
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
