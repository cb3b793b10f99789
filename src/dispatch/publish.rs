//! A publish: any channel that is not `/meta/…`.

use std::{borrow::Cow, sync::Arc};

use serde_json::value::RawValue;

use super::{Exchange, pay_for};
use crate::{
    call::Call,
    channel::Message,
    policy::Operation,
    protocol::{BayeuxError, Denied, Frame, Inbound, replace_lone_surrogates},
    session::{Attempt, Delivery, ServerSession, Session},
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
    let Some(mut attempt) = attempt(exchange, session.as_ref(), name, message) else {
        return Ok(());
    };
    let data = replace_lone_surrogates(message.data());
    let ext = message
        .ext()
        .filter(|_| exchange.state.config.forward_ext)
        .map(replace_lone_surrogates);
    // On the channel as it was written: a client that listens to `/a/` waits for exactly that.
    let frame = Frame::from_json(channel, &data, ext.as_deref());
    let callable = !exchange.state.services.is_empty();
    let caller = session.as_ref().filter(|_| callable).cloned();
    let message_of = Message::new(frame, session.map(ServerSession::new));
    let published = exchange.state.vet(message_of, message.whole(), Some(exchange.request));
    let published = published.ok_or(BayeuxError::MessageDeleted)?;
    if !attempt.is_heard() {
        let deliveries = exchange.state.publish(&published);
        if callable {
            attempt.heard();
        } else {
            attempt.done();
        }
        pay_for(deliveries).await;
    }
    if callable {
        // In a box, so that it takes no room in the future of every other request.
        Box::pin(call_services(exchange, message, channel, &published, caller.as_ref())).await;
        attempt.done();
    }
    Ok(())
}

/// Calls the services on the channel, and sends their answers to the caller alone. The message itself is on its way
/// already: neither a slow handler nor a panic in one keeps it from anybody.
async fn call_services(
    exchange: &Exchange<'_>,
    message: &Inbound<'_>,
    channel: &str,
    published: &Message,
    caller: Option<&Arc<Session>>,
) {
    let state = exchange.state;
    let id = message.id().ok().flatten();
    let call = Call::new(published, message.ext(), exchange.request, state);
    let answer = |successful, data: &RawValue| {
        let Some(caller) = caller else { return };
        let mut answer = Frame::answer(channel, id, successful, data);
        if state.hub.is_extended() {
            let session = ServerSession::new(Arc::clone(caller));
            let Some(extended) = state.extend(&session, &answer, message.whole()) else {
                return;
            };
            answer = extended.to_json().into();
        }
        let mut delivery = Delivery::new(&state.hub);
        // A session that has ended meanwhile, or is full, has been counted by itself.
        let _ = caller.offer(&answer, &mut delivery);
        delivery.flush();
    };
    state.services.call(&call, answer).await;
}

/// The session that publishes; none if the message names none and the server takes such messages.
fn publisher<'m>(exchange: &Exchange<'_>, message: &Inbound<'m>) -> Result<Option<Arc<Session>>, Denied<'m>> {
    if exchange.state.config.unconnected_publish && !message.has_client_id() {
        return Ok(None);
    }
    exchange.sender(message).map(Some)
}

/// Begins to publish; `None` if the session has lately published this message: then its reply was lost, and this is another
/// try. A client that has begun to count anew uses the `id` of another one, so the `id` alone says nothing.
fn attempt(
    exchange: &Exchange<'_>,
    session: Option<&Arc<Session>>,
    name: &str,
    message: &Inbound<'_>,
) -> Option<Attempt> {
    let window = exchange.state.config.duplicate_window;
    match (session, message.id()) {
        (Some(session), Ok(Some(id))) if window > 0 => {
            Attempt::begin(session, window, [name, id.get(), message.data()])
        }
        _ => Some(Attempt::default()),
    }
}
