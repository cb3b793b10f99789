//! Which transport a request is for.

use http::{
    HeaderMap, Method, Request,
    header::{ACCEPT, CONNECTION, UPGRADE},
};

use super::{callback_polling, event_source};
use crate::{Transport, Transports};

/// The transport that a request on one of our paths is for, if it is one that is served. Anything else there, such as
/// the GET of a page or `OPTIONS`, is the application's.
pub(crate) fn choose<B>(request: &Request<B>, served: Transports) -> Option<Transport> {
    let transport = match *request.method() {
        // What goes up beside an event stream comes by POST, too.
        Method::POST if served.contains(Transport::EventSource) => return Some(Transport::LongPolling),
        Method::POST => Transport::LongPolling,
        Method::GET if is_upgrade(request.headers()) => Transport::WebSocket,
        Method::GET if is_stream(request) => Transport::EventSource,
        Method::GET if request.uri().query().is_some_and(callback_polling::has_messages) => Transport::CallbackPolling,
        _ => return None,
    };
    served.contains(transport).then_some(transport)
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    names(headers, UPGRADE, "websocket") && names(headers, CONNECTION, "upgrade")
}

fn is_stream<B>(request: &Request<B>) -> bool {
    names(request.headers(), ACCEPT, "text/event-stream") && event_source::client_id(request.uri().path()).is_some()
}

/// Whether a header with a list of words has this one.
fn names(headers: &HeaderMap, header: http::HeaderName, word: &str) -> bool {
    headers
        .get_all(header)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .any(|found| found.trim().eq_ignore_ascii_case(word))
}
