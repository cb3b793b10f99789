//! The `long-polling` transport: JSON by POST.

use std::sync::Arc;

use http::{Response, request::Parts};
use http_body::Body;
use tokio::time::timeout;

use super::{
    AnswerBody,
    answer::Form,
    polling::{self, Processed},
    request::{self, Refusal},
};
use crate::server::State;

/// Serves one request, from its body to the answer. Everything of the request is dropped before a connect is held; the
/// first part is boxed, so that a held connect does not carry the room that it took.
pub(super) async fn serve<B>(state: Arc<State>, request: Arc<Parts>, body: B) -> Response<AnswerBody>
where
    B: Body,
{
    let processed = Box::pin(read_and_process(&state, request, body)).await;
    polling::finish(state, processed, Form::Json).await
}

async fn read_and_process<B>(state: &State, request: Arc<Parts>, body: B) -> Result<Processed, Refusal>
where
    B: Body,
{
    let config = &state.config;
    let read = timeout(config.body_timeout, request::read(body, config.max_body_bytes));
    let body = read.await.unwrap_or(Err(Refusal::Slow))?;
    polling::process(state, request, &request::texts(&body)?, &Form::Json).await
}
