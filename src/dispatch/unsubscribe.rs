//! `/meta/unsubscribe`. Giving up what one does not have succeeds: the outcome is what was asked for.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Exchange;
use crate::{
    event::Event,
    protocol::{BayeuxError, Denied, Inbound},
    session::Session,
};

/// Unsubscribes the session and returns what the reply echoes.
pub(super) fn unsubscribe<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    session: &Arc<Session>,
) -> Result<&'m RawValue, Denied<'m>> {
    let subscriptions = message.subscriptions()?;
    if let Some(channel) = subscriptions.channels.iter().find(|channel| channel.is_meta()) {
        return Err(Denied::on_channel(BayeuxError::UnsubscribeFailed, channel.to_string()));
    }
    let removed = exchange.state.unsubscribe(session, &subscriptions.channels);
    if !removed.is_empty() {
        exchange.state.emit(|| Event::Unsubscribed {
            session: Exchange::handle(session),
            channels: removed,
            request: Some(Arc::clone(exchange.request)),
        });
    }
    Ok(subscriptions.echo)
}
