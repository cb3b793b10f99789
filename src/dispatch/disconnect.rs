//! `/meta/disconnect`: the client leaves.

use std::sync::Arc;

use super::Exchange;
use crate::{Reason, session::Session};

/// Ends the session; its held connect is answered at once with `reconnect: none`.
pub(super) fn disconnect(exchange: &Exchange<'_>, session: &Arc<Session>) {
    exchange
        .state
        .remove_session(session, Reason::ClientDisconnect, Some(exchange.request));
}
