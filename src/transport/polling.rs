//! What the polling transports share: a request with messages, answered at once or, if it is a lone connect, when there
//! is something to say.

use std::{borrow::Cow, sync::Arc};

use http::{Response, header::SET_COOKIE, request::Parts};

use super::{
    AnswerBody,
    answer::{Answer, Form, refuse},
    cookie, outgoing,
    request::{self, Refusal},
};
use crate::{
    dispatch::{Dispatched, Exchange, PendingConnect},
    server::State,
};

/// How far a request could be taken without waiting.
pub(super) enum Processed {
    Answered(Response<AnswerBody>),
    /// A single connect, which may be held.
    Lone(PendingConnect),
}

/// Processes the messages of one request.
pub(super) async fn process(
    state: &State,
    request: Arc<Parts>,
    texts: &[Cow<'_, str>],
    form: &Form,
) -> Result<Processed, Refusal> {
    let exchange = Exchange {
        state,
        request: &request,
        cookies: &cookie::read(&request.headers, &state.config),
        pushes: false,
    };
    let mut dispatched = request::process(&exchange, texts).await?;
    if let Some(connect) = dispatched.lone_connect() {
        return Ok(Processed::Lone(connect));
    }
    Ok(Processed::Answered(answer(state, dispatched, form)))
}

/// Makes the answer, now or after a hold.
///
/// Between the end of the wait and the response there is no other wait, so that messages are never out of the queue and
/// not yet in a response when the request is dropped.
pub(super) async fn finish(
    state: Arc<State>,
    processed: Result<Processed, Refusal>,
    form: Form,
) -> Response<AnswerBody> {
    let (reply, held) = match processed {
        Ok(Processed::Lone(connect)) => connect.answer(),
        Ok(Processed::Answered(response)) => return response,
        Err(refusal) => return refuse(refusal, form.transport(), &state),
    };
    let mut taken = held.await;
    let mut answer = Answer::new(Vec::new(), form.transport());
    let reply = outgoing::connect_reply(&state, &reply, &mut taken);
    answer.connect(taken, &reply);
    answer.into_response(&state.config, &form)
}

/// Answers now: a connect that shares its request is never held, or the others would wait for it.
fn answer(state: &State, dispatched: Dispatched, form: &Form) -> Response<AnswerBody> {
    let mut answer = Answer::new(dispatched.replies, form.transport());
    if dispatched.unknown_session {
        answer.unknown_session();
    }
    for connect in dispatched.connects {
        let (reply, mut taken) = connect.answer_now();
        let reply = outgoing::connect_reply(state, &reply, &mut taken);
        answer.connect(taken, &reply);
    }
    let mut response = answer.into_response(&state.config, form);
    let cookie = dispatched
        .new_browser
        .and_then(|browser| cookie::write(browser, &state.config.browser_cookie));
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}
