//! A publish: any channel that is not `/meta/…`.

use std::{borrow::Cow, sync::Arc};

use super::{Exchange, unknown};
use crate::{
    channel::Message,
    policy::Operation,
    protocol::{BayeuxError, Denied, Frame, Inbound, replace_lone_surrogates},
    session::{ServerSession, Session},
};

/// Publishes the message's data. The publisher's `id`, `clientId` and any other field stay here; `ext` goes on only if
/// the server is configured so.
pub(super) async fn publish<'m>(
    exchange: &Exchange<'_>,
    message: &Inbound<'m>,
    channel: &Cow<'m, str>,
    name: &str,
) -> Result<(), Denied<'m>> {
    let session = publisher(exchange, message)?;
    if name.ends_with('*') {
        return Err(Denied::on_channel(BayeuxError::ChannelInvalid, channel.clone()));
    }
    let publish = (Operation::Publish, BayeuxError::PublishDenied);
    exchange
        .permit(
            publish,
            BayeuxError::ChannelCreateDenied,
            session.as_ref(),
            name,
            message,
        )
        .await?;
    if session
        .as_deref()
        .is_some_and(|session| is_repeated(exchange, session, message))
    {
        return Ok(());
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
        .publish(&Message::new(frame, session.map(ServerSession::new)));
    Ok(())
}

/// The session that publishes; none if the message names none and the server takes such messages.
fn publisher<'m>(exchange: &Exchange<'_>, message: &Inbound<'m>) -> Result<Option<Arc<Session>>, Denied<'m>> {
    if exchange.state.config.unconnected_publish && !message.has_client_id() {
        return Ok(None);
    }
    exchange.session(message).map(Some).map_err(|_| unknown(message))
}

/// Whether the session has lately published a message of the same `id`: then its reply was lost, and this is another
/// try.
fn is_repeated(exchange: &Exchange<'_>, session: &Session, message: &Inbound<'_>) -> bool {
    let window = exchange.state.config.duplicate_window;
    match message.id() {
        Ok(Some(id)) if window > 0 => session.has_published(id.get(), window),
        _ => false,
    }
}
