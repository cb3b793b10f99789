//! The `long-polling` transport: JSON by POST.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::request::Parts;
use http_body::Body;
use tokio::time::timeout;

use super::{
    answer::Form,
    polling::{self, Processed},
    request::{self, Refusal},
};
use crate::server::{Config, State};

/// Serves one request, from its body to the answer or to where its connect is held.
pub(super) async fn serve<B>(state: Arc<State>, request: Arc<Parts>, body: B) -> Processed
where
    B: Body,
{
    let body = match read(body, &state.config).await {
        Ok(body) => body,
        Err(refusal) => return Processed::refused(refusal, &Form::Json, &state),
    };
    match request::texts(&body) {
        Ok(texts) => polling::process(&state, &request, &texts, Form::Json).await,
        Err(refusal) => Processed::refused(refusal, &Form::Json, &state),
    }
}

/// Reads a whole body while there is time for it. Most are there at once, and need no timer.
async fn read<B>(body: B, config: &Config) -> Result<Bytes, Refusal>
where
    B: Body,
{
    let mut read = pin!(request::read(body, config.max_body_bytes));
    let at_once = poll_fn(|cx| match read.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending => Poll::Ready(None),
    });
    match at_once.await {
        Some(read) => read,
        None => timeout(config.body_timeout, read).await.unwrap_or(Err(Refusal::Slow)),
    }
}
