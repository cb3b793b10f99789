//! A message on its way out: what listeners and extensions make of it, and to whom it goes.

use std::sync::Arc;

use http::request::Parts;

use super::State;
use crate::{
    Reason,
    channel::{Manner, Message},
    extension::{Fate, OutgoingContext},
    listener::MessageContext,
    protocol::MutableMessage,
    session::{Delivery, ServerSession},
};

impl State {
    /// What listeners and extensions make of a message that is about to be published; `None` if one deletes it.
    /// `incoming` is the client's message, and `request` what brought it.
    pub(crate) fn vet(
        &self,
        message: Message,
        incoming: Option<&MutableMessage>,
        request: Option<&Arc<Parts>>,
    ) -> Option<Message> {
        if self.listeners.is_empty() && !self.hub.is_extended() {
            return Some(message);
        }
        let mut fields = message.open();
        let context = MessageContext {
            channel: message.channel(),
            sender: message.sender(),
            request,
        };
        let mut fate = self.listeners.ask(&mut fields, &context);
        // What goes to the server alone does not go out.
        if fate == Fate::Pass && !message.is_service() {
            let context = OutgoingContext {
                session: None,
                sender: message.sender(),
                incoming,
            };
            fate = self.extensions.outgoing(&mut fields, context);
        }
        if fate == Fate::Delete {
            self.hub.counters.dropped.add(Reason::Deleted, 1);
            return None;
        }
        Some(message.with(&fields))
    }

    /// What the extensions make of an event for one session; `None` if one deletes it.
    pub(crate) fn extend(
        &self,
        session: &ServerSession,
        event: &[u8],
        incoming: Option<&MutableMessage>,
    ) -> Option<MutableMessage> {
        let mut message = MutableMessage::parse(event)?;
        let context = OutgoingContext {
            session: Some(session),
            sender: None,
            incoming,
        };
        if self.extensions.outgoing(&mut message, context) == Fate::Delete {
            self.hub.counters.dropped.add(Reason::Deleted, 1);
            return None;
        }
        Some(message)
    }

    /// Queues a message for every subscriber, the one path of all publishes, and says how many there were.
    pub(crate) fn publish(&self, message: &Message) -> usize {
        let mut delivery = self.delivery(message);
        delivery.count_published();
        self.channels.publish(message, &mut delivery);
        delivery.offered()
    }

    /// How a message goes out, by what server, channel and session say.
    fn delivery<'a>(&'a self, message: &'a Message) -> Delivery<'a> {
        let max_lazy_timeout = self.config.max_lazy_timeout;
        let manner = Manner {
            lazy: message.is_lazy().then_some(max_lazy_timeout),
            broadcast_to_publisher: self.config.broadcast_to_publisher,
        };
        let manner = self.configured.manner(|| message.channel(), max_lazy_timeout, manner);
        let sender = message.sender().map(|sender| &**sender.record());
        let except = sender.filter(|sender| !(manner.broadcast_to_publisher && sender.hears_itself()));
        Delivery::new(&self.hub).lazily(manner.lazy).except(except)
    }
}
