//! HTTP bytes in, Bayeux messages out, and back. Knows HTTP; what a message means is decided below.

mod answer;
mod answering;
mod body;
mod callback_polling;
mod choice;
mod cookie;
mod event_source;
mod inbox;
mod info;
mod local;
mod long_polling;
mod outgoing;
mod polling;
mod request;
#[cfg(feature = "websocket")]
mod websocket;

pub use body::ResponseBody;
pub use info::{AnswerInfo, Outcome};
pub use local::{LocalError, LocalHandshake, LocalSession};

pub(crate) use answering::Answering;
pub(crate) use body::AnswerBody;
pub(crate) use choice::choose;

use std::sync::Arc;

use http::Request;
#[cfg(not(feature = "websocket"))]
use http::Response;
use http_body::Body;

use crate::{Transport, server::State, striped::Share};
use long_polling::LongPolling;
use polling::Processed;

/// Serves one request by its transport.
#[inline]
pub(crate) fn serve<B>(state: Share<State>, transport: Transport, request: Request<B>) -> Answering<B>
where
    B: Body,
{
    let (request, body) = request.into_parts();
    if let Some(origins) = &state.config.origins
        && !origins.permit(&request, transport)
    {
        return Answering::process(async move {
            Processed::Answered(answer::refuse(request::Refusal::Origin, transport, &state))
        });
    }
    match transport {
        Transport::LongPolling => Answering::read(LongPolling::new(state, Arc::new(request), body)),
        Transport::CallbackPolling => Answering::process(callback_polling::serve(state, Arc::new(request))),
        Transport::EventSource => {
            let request = Arc::new(request);
            Answering::process(async move { Processed::Answered(event_source::open(&state, &request).await) })
        }
        #[cfg(feature = "websocket")]
        Transport::WebSocket => {
            Answering::process(async move { Processed::Answered(websocket::open(&state, request)) })
        }
        // It is never among those that are served.
        #[cfg(not(feature = "websocket"))]
        Transport::WebSocket => Answering::process(async { Processed::Answered(Response::default()) }),
    }
}
