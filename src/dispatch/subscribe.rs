//! `/meta/subscribe`: all of the channels, or none.

use std::sync::Arc;

use tokio::task::coop::consume_budget;

use super::{CONNECT, DISCONNECT, Exchange, HANDSHAKE, SUBSCRIBE, UNSUBSCRIBE, unknown};
use crate::{
    Reason,
    policy::Operation,
    protocol::{BayeuxError, ChannelName, Denied, Inbound, Json},
    server::NotSubscribed,
    session::Session,
};

/// Subscribes the session and returns what the reply echoes. Service channels are accepted without effect: only the
/// server hears them.
pub(super) async fn subscribe<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    session: &Arc<Session>,
) -> Result<Json<'m>, Denied<'m>> {
    let subscriptions = message.subscriptions()?;
    if let Some(channel) = subscriptions.channels.iter().find(|channel| channel.is_meta()) {
        return Err(refuse_meta(channel));
    }
    let mut channels = subscriptions.channels;
    if let Some(channel) = channels.iter().find(|channel| !exchange.may_use(channel.as_str())) {
        return Err(Denied::on_channel(
            BayeuxError::SubscriptionInvalid,
            channel.to_string(),
        ));
    }
    channels.retain(ChannelName::is_broadcast);
    exchange.check_room(session, &channels)?;
    for channel in &channels {
        let subscribe = (Operation::Subscribe, BayeuxError::SubscribeDenied);
        exchange
            .permit(
                subscribe,
                BayeuxError::CreateDenied,
                Some(session),
                channel.as_str(),
                message,
            )
            .await?;
        // There may be thousands.
        consume_budget().await;
    }
    // Others may have come first while the policy was asked.
    exchange.check_room(session, &channels)?;
    exchange
        .state
        .subscribe(session, &channels, exchange.request)
        .map_err(|refused| match refused {
            NotSubscribed::SessionClosed => unknown(message),
            NotSubscribed::TooMany => {
                exchange.state.hub.counters.limited(Reason::SubscriptionsFull);
                BayeuxError::SubscribeFailed.into()
            }
        })?;
    Ok(subscriptions.echo)
}

/// CometD tells meta channels that exist from those that would have to be created.
fn refuse_meta<'m>(channel: &ChannelName) -> Denied<'m> {
    let error = match channel.as_str() {
        HANDSHAKE | CONNECT | SUBSCRIBE | UNSUBSCRIBE | DISCONNECT => BayeuxError::SubscribeDenied,
        _ => BayeuxError::CreateDenied,
    };
    Denied::by_policy(error, channel.to_string())
}
