//! A publish: any channel that is not `/meta/…`.

use std::{borrow::Cow, sync::Arc};

use super::Exchange;
use crate::{
    channel::Message,
    protocol::{BayeuxError, Denied, Frame, Inbound, replace_lone_surrogates},
    session::{ServerSession, Session},
};

/// Publishes the message's data. The publisher's `id`, `clientId` and any other field stay here; `ext` goes on only if
/// the server is configured so.
pub(super) fn publish<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    session: Arc<Session>,
    channel: &Cow<'m, str>,
    name: &str,
) -> Result<(), Denied<'m>> {
    if name.starts_with("/meta/") {
        return Err(Denied::by_policy(BayeuxError::ChannelCreateDenied, channel.clone()));
    }
    if name.ends_with('*') {
        return Err(Denied::on_channel(BayeuxError::ChannelInvalid, channel.clone()));
    }
    let data = replace_lone_surrogates(message.data());
    let ext = message
        .ext()
        .filter(|_| exchange.state.config.forward_ext)
        .map(replace_lone_surrogates);
    // On the channel as it was written: a client that listens to `/a/` waits for exactly that.
    let frame = Frame::from_json(channel, &data, ext.as_deref());
    exchange
        .state
        .publish(&Message::new(frame, Some(ServerSession::new(session))));
    Ok(())
}
