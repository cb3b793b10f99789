//! The `long-polling` transport: JSON by POST.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;
use memchr::memmem::Finder;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::{
    answer::Form,
    polling::{self, Processed},
    request::{self, Reading, Refusal},
};
use crate::{dispatch::PendingConnect, protocol::meta::CONNECT, server::State, striped::Share};

pin_project! {
    /// One request, from its body to the answer or to where its connect is held. No `async` function: most requests are
    /// connects, whose bodies are there at once, and need no memory of their own that way.
    pub(super) struct LongPolling<B> {
        state: Share<State>,
        request: Arc<Parts>,
        #[pin]
        reading: Reading<B>,
        // Rings when there was time enough for the body. Most bodies are there at once, and need none.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> LongPolling<B> {
    #[inline]
    pub(super) fn new(state: Share<State>, request: Arc<Parts>, body: B) -> Self {
        let reading = Reading::new(body, state.config.max_body_bytes);
        Self {
            state,
            request,
            reading,
            timer: None,
        }
    }
}

impl<B> Future for LongPolling<B>
where
    B: Body,
{
    type Output = Processed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Processed> {
        let this = self.project();
        let read = match this.reading.poll(cx) {
            Poll::Ready(read) => read,
            Poll::Pending => {
                let timeout = this.state.config.body_timeout;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
                ready!(timer.as_mut().poll(cx));
                Err(Refusal::Slow)
            }
        };
        Poll::Ready(match read {
            Ok(body) => process_now(this.state, this.request, body),
            Err(refusal) => Processed::refused(refusal, &Form::Json, this.state),
        })
    }
}

/// Processes a body at once, if it is a lone connect; if not, that may have to wait for the application.
fn process_now(state: &Share<State>, request: &Arc<Parts>, body: Bytes) -> Processed {
    if let Some(connect) = lone_connect(state, request, &body) {
        return polling::hold(state, connect, Form::Json);
    }
    Processed::Waits(Box::pin(process(Arc::clone(state), Arc::clone(request), body)))
}

/// The connect, if the body holds nothing else. What can't be one is not read for it.
fn lone_connect(state: &State, request: &Arc<Parts>, body: &[u8]) -> Option<PendingConnect> {
    static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(CONNECT));
    FINDER.find(body)?;
    polling::lone_connect(state, request, &request::texts(body).ok()?)
}

async fn process(state: Share<State>, request: Arc<Parts>, body: Bytes) -> Processed {
    match request::texts(&body) {
        Ok(texts) => polling::process(&state, &request, &texts, Form::Json).await,
        Err(refusal) => Processed::refused(refusal, &Form::Json, &state),
    }
}
