//! `/meta/unsubscribe`. Giving up what one does not have succeeds: the outcome is what was asked for.

use std::sync::Arc;

use super::Exchange;
use crate::{
    protocol::{BayeuxError, Denied, Inbound, Json},
    session::Session,
};

/// Unsubscribes the session and returns what the reply echoes.
pub(super) fn unsubscribe<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    session: &Arc<Session>,
) -> Result<Json<'m>, Denied<'m>> {
    let subscriptions = message.subscriptions()?;
    if let Some(channel) = subscriptions.channels.iter().find(|channel| channel.is_meta()) {
        return Err(Denied::on_channel(BayeuxError::UnsubscribeFailed, channel.to_string()));
    }
    exchange
        .state
        .unsubscribe(session, &subscriptions.channels, exchange.request);
    Ok(subscriptions.echo)
}
