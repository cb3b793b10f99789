//! HTTP bytes in, Bayeux messages out, and back. Knows HTTP; what a message means is decided below.

mod answer;
mod body;
mod callback_polling;
mod choice;
mod cookie;
mod event_source;
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

pub(crate) use body::AnswerBody;
pub(crate) use choice::choose;

use std::sync::Arc;

use http::{Response, request::Parts};
use http_body::Body;

use crate::{Transport, server::State};

/// Serves one request by its transport.
pub(crate) async fn serve<B>(state: Arc<State>, transport: Transport, request: Parts, body: B) -> Response<AnswerBody>
where
    B: Body,
{
    if let Some(origins) = &state.config.origins
        && !origins.permit(&request)
    {
        return answer::refuse(request::Refusal::Origin, transport, &state);
    }
    match transport {
        Transport::LongPolling => long_polling::serve(state, Arc::new(request), body).await,
        Transport::CallbackPolling => callback_polling::serve(state, Arc::new(request)).await,
        Transport::EventSource => event_source::open(&state, &Arc::new(request)),
        #[cfg(feature = "websocket")]
        Transport::WebSocket => websocket::open(&state, request),
        // It is never among those that are served.
        #[cfg(not(feature = "websocket"))]
        Transport::WebSocket => Response::default(),
    }
}
