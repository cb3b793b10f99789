//! What the polling transports share: a request with messages, answered at once or, if it is a lone connect, when there
//! is something to say.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Response, header::SET_COOKIE, request::Parts};
use pin_project_lite::pin_project;

use super::{
    AnswerBody,
    answer::{Answer, Form, refuse, to_connect},
    cookie, outgoing,
    request::{Refusal, Request},
};
use crate::{
    dispatch::{ConnectReply, Dispatched, Exchange, PendingConnect},
    server::State,
    session::{Held, Taken},
    striped::Share,
};

/// How far a request could be taken without waiting for messages.
pub(super) enum Processed {
    Answered(Response<AnswerBody>),
    /// It may have to wait for the application.
    Waits(Processing),
    Held(Pin<Box<Hold>>),
}

/// What is yet to be processed.
pub(super) type Processing = Pin<Box<dyn Future<Output = Processed> + Send>>;

impl Processed {
    /// The answer to what is no Bayeux request.
    pub(super) fn refused(refusal: Refusal, form: &Form, state: &State) -> Self {
        Self::Answered(refuse(refusal, form.transport(), state))
    }
}

pin_project! {
    /// A lone connect that is held, and what it takes to answer it.
    pub(super) struct Hold {
        state: Share<State>,
        form: Form,
        reply: ConnectReply,
        #[pin]
        held: Held,
    }
}

/// Between the end of the wait and the response there is no other wait, so that messages are never out of the queue and
/// not yet in a response when the request is dropped.
impl Future for Hold {
    type Output = Response<AnswerBody>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<AnswerBody>> {
        let this = self.project();
        let taken = ready!(this.held.poll(cx));
        Poll::Ready(answer_connect(this.state, this.reply, taken, this.form))
    }
}

/// The connect of a request that holds nothing else and needs nothing to be waited for. Any other one is for [`process`],
/// one that is refused among them.
pub(super) fn lone_connect(state: &State, request: &Arc<Parts>, texts: &[Cow<'_, str>]) -> Option<PendingConnect> {
    let cookies = cookie::read(&request.headers, &state.config);
    let exchange = Exchange::new(state, request, &cookies, false);
    let mut request = Request::new(&exchange);
    request.read(&exchange, texts).ok()?;
    request.connect(&exchange)
}

/// Processes the messages of one request.
pub(super) async fn process(
    state: &Share<State>,
    request: &Arc<Parts>,
    texts: &[Cow<'_, str>],
    form: Form,
) -> Processed {
    let cookies = cookie::read(&request.headers, &state.config);
    let exchange = Exchange::new(state, request, &cookies, false);
    let mut request = Request::new(&exchange);
    if let Err(refusal) = request.read(&exchange, texts) {
        return Processed::refused(refusal, &form, state);
    }
    let mut dispatched = request.dispatch(&exchange).await;
    match dispatched.lone_connect() {
        Some(connect) => hold(state, connect, form),
        None => Processed::Answered(answer(state, dispatched, &form)),
    }
}

/// Answers a lone connect at once, or holds it.
#[inline]
pub(super) fn hold(state: &Share<State>, connect: PendingConnect, form: Form) -> Processed {
    if !connect.may_be_held() {
        let (reply, taken) = connect.answer_now();
        return Processed::Answered(answer_connect(state, &reply, taken, &form));
    }
    let (reply, held) = connect.answer();
    Processed::Held(Box::pin(Hold {
        state: Arc::clone(state),
        form,
        reply,
        held,
    }))
}

/// Makes the answer to a lone connect.
fn answer_connect(state: &State, reply: &ConnectReply, mut taken: Taken, form: &Form) -> Response<AnswerBody> {
    let written;
    let reply = match reply.prepared(state, &taken) {
        Some(pieces) => pieces,
        None => {
            written = outgoing::connect_reply(state, reply, &mut taken);
            [&*written, b"", b""]
        }
    };
    to_connect(taken, reply, &state.config, form)
}

/// Answers now: a connect that shares its request is never held, or the others would wait for it.
fn answer(state: &State, dispatched: Dispatched, form: &Form) -> Response<AnswerBody> {
    let mut answer = Answer::new(dispatched.replies, dispatched.connects.len(), form.transport());
    if dispatched.unknown_session {
        answer.unknown_session();
    }
    for connect in dispatched.connects {
        let (reply, mut taken) = connect.answer_now();
        let reply = outgoing::connect_reply(state, &reply, &mut taken);
        answer.connect(taken, reply);
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
