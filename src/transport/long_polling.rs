//! The `long-polling` transport: a POST with messages, answered at once or, if it is a lone connect, when there is
//! something to say.

use std::{borrow::Cow, sync::Arc};

use http::{Response, header::SET_COOKIE, request::Parts};
use http_body::Body;
use tokio::time::timeout;

use super::{
    AnswerBody,
    answer::{Answer, refuse},
    cookie,
    request::{self, Refusal},
};
use crate::{
    dispatch::{ConnectReply, Dispatched, Exchange, PendingConnect, dispatch, dispatch_extended},
    protocol::Inbound,
    server::State,
    session::Taken,
};

/// The connection types that this transport serves. The second is what Faye calls the same thing when it crosses
/// origins.
const CONNECTION_TYPES: &[&str] = &["long-polling", "cross-origin-long-polling"];

/// Serves one request, from its body to the answer. Everything of the request is dropped before a connect is held; the
/// first part is boxed, so that a held connect does not carry the room that it took.
///
/// Between the end of the wait and the response there is no other wait, so that messages are never out of the queue and
/// not yet in a response when the request is dropped.
pub(crate) async fn serve<B>(state: Arc<State>, request: Arc<Parts>, body: B) -> Response<AnswerBody>
where
    B: Body,
{
    let processed = Box::pin(read_and_process(&state, request, body)).await;
    let (reply, held) = match processed {
        Ok(Processed::Lone(connect)) => connect.answer(),
        Ok(Processed::Answered(response)) => return response,
        Err(refusal) => return refuse(refusal, &state.config),
    };
    let taken = held.await;
    let mut answer = Answer::new(Vec::new());
    add(&mut answer, &state, &reply, taken);
    answer.into_response(&state.config)
}

async fn read_and_process<B>(state: &State, request: Arc<Parts>, body: B) -> Result<Processed, Refusal>
where
    B: Body,
{
    let config = &state.config;
    let read = timeout(config.body_timeout, request::read(body, config.max_body_bytes));
    let body = read.await.unwrap_or(Err(Refusal::Slow))?;
    process(state, request, &body).await
}

/// How far a request could be taken without waiting.
enum Processed {
    Answered(Response<AnswerBody>),
    /// A single connect, which may be held.
    Lone(PendingConnect),
}

async fn process(state: &State, request: Arc<Parts>, body: &[u8]) -> Result<Processed, Refusal> {
    let texts = request::texts(body)?;
    let exchange = Exchange {
        state,
        request: &request,
        cookies: &cookie::read(&request.headers, &state.config),
        connection_types: CONNECTION_TYPES,
    };
    let mut dispatched = dispatch_texts(&exchange, &texts).await?;
    if let Some(connect) = dispatched.lone_connect() {
        return Ok(Processed::Lone(connect));
    }
    Ok(Processed::Answered(answer(state, dispatched)))
}

/// Extensions need to see whole messages; where there are none, nobody takes them apart.
async fn dispatch_texts(exchange: &Exchange<'_>, texts: &[Cow<'_, str>]) -> Result<Dispatched, Refusal> {
    let max = exchange.state.config.max_batch;
    if exchange.state.hub.is_extended() {
        // In a box, so that it takes no room in the future of every other request.
        let messages = request::messages(texts, max)?;
        return Ok(Box::pin(dispatch_extended(exchange, messages)).await);
    }
    let messages: Vec<Inbound<'_>> = request::messages(texts, max)?;
    Ok(dispatch(exchange, &messages).await)
}

/// Answers now: a connect that shares its request is never held, or the others would wait for it.
fn answer(state: &State, dispatched: Dispatched) -> Response<AnswerBody> {
    let mut answer = Answer::new(dispatched.replies);
    if dispatched.unknown_session {
        answer.unknown_session();
    }
    for connect in dispatched.connects {
        let (reply, taken) = connect.answer_now();
        add(&mut answer, state, &reply, taken);
    }
    let mut response = answer.into_response(&state.config);
    let cookie = dispatched
        .new_browser
        .and_then(|browser| cookie::write(browser, &state.config.browser_cookie));
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn add(answer: &mut Answer, state: &State, reply: &ConnectReply, mut taken: Taken) {
    let json = reply.render(state, &mut taken);
    answer.connect(taken, &json);
}
