//! Dispatching where there are extensions: each message is shown to them on its way in, and each reply on its way out.

use std::sync::Arc;

use tokio::{task::coop::consume_budget, time::Instant};

use super::{Dispatched, Exchange, Outcome, handshake::handshake, is_handshake, note_refused};
use crate::{
    Transport,
    extension::{Extensions, Fate, Incoming, IncomingContext, OutgoingContext},
    protocol::{BayeuxError, Inbound, MutableMessage, Reconnect, Reply, meta::CONNECT},
    server::State,
    session::{Lease, ServerSession, Session},
};

/// As [`dispatch`](super::dispatch), with the extensions asked.
pub(crate) async fn dispatch_extended(exchange: &Exchange<'_>, mut messages: Vec<MutableMessage>) -> Dispatched {
    let mut dispatched = Dispatched::begin(messages.len());
    if let Some(index) = messages.iter().position(|message| is_handshake(&message.view())) {
        let handshake = messages.swap_remove(index);
        messages = vec![handshake];
    }
    let first = messages.first().map(MutableMessage::view);
    let batch = exchange.batch(first.as_ref(), messages.len());
    for message in messages {
        process(exchange, message, &mut dispatched).await;
        consume_budget().await;
    }
    drop(batch);
    dispatched.pace(exchange).await;
    dispatched
}

async fn process(exchange: &Exchange<'_>, mut message: MutableMessage, dispatched: &mut Dispatched) {
    let session = exchange.session_of(&message.view());
    let context = IncomingContext {
        session: session.as_ref(),
        request: exchange.request,
    };
    let asked = exchange.state.extensions.incoming(&mut message, context).await;
    let view = message.view();
    let (reply, session) = match asked {
        Incoming::Pass if is_handshake(&view) => {
            let (mut reply, made) = handshake(exchange, &view).await;
            if made.is_none() {
                dispatched.refuse(exchange, &mut reply);
            }
            let session = made.as_ref().map(|made| ServerSession::new(Arc::clone(&made.session)));
            dispatched.note_made(made);
            (MutableMessage::of(&reply), session)
        }
        Incoming::Pass => match exchange.process(&view).await {
            Outcome::Reply(reply) => {
                dispatched.note_named(exchange, &view, reply.successful);
                (MutableMessage::of(&reply), session)
            }
            Outcome::UnknownSession(mut reply) => {
                dispatched.note_unknown_session(exchange);
                dispatched.refuse(exchange, &mut reply);
                (MutableMessage::of(&reply), session)
            }
            Outcome::Refused(mut reply) => {
                dispatched.refuse(exchange, &mut reply);
                (MutableMessage::of(&reply), session)
            }
            Outcome::Connect(connect) => {
                let connect = connect.remember(message.clone());
                dispatched.connects.push(connect);
                return;
            }
        },
        Incoming::Delete => {
            exchange.note_deleted(&view);
            (MutableMessage::of(&exchange.deleted(&view)), session)
        }
        Incoming::Answer(answer) => {
            let reply = exchange.complete(answer, &view);
            let is_successful = reply.raw_field("successful") == Some("true");
            dispatched.note_named(exchange, &view, is_successful && !is_handshake(&view));
            (reply, session)
        }
    };
    dispatched.push_extended(exchange.state, reply, session.as_ref(), Some(&message));
}

/// Whether the extensions let the stream of a session be opened. It is opened without a message; what they are shown is the
/// connect that it stands for.
pub(crate) async fn may_stream(exchange: &Exchange<'_>, session: &Arc<Session>) -> bool {
    if !exchange.state.hub.is_extended() {
        return true;
    }
    // They may take their time.
    session.touch();
    let session = ServerSession::new(Arc::clone(session));
    let context = IncomingContext {
        session: Some(&session),
        request: exchange.request,
    };
    let mut connect = MutableMessage::new(CONNECT);
    // Texts can always be written.
    let _ = connect.set_field("clientId", session.id());
    let _ = connect.set_field("connectionType", Transport::EventSource.as_str());
    let asked = exchange.state.extensions.incoming(&mut connect, context).await;
    matches!(asked, Incoming::Pass)
}

/// Shows what a connect delivers to the extensions of its session, and its reply to all: the reply as JSON, or nothing.
pub(super) fn connect_reply(
    state: &State,
    reply: &Reply<'_>,
    lease: &mut Lease,
    incoming: Option<&MutableMessage>,
) -> Vec<u8> {
    show_events(lease);
    let session = ServerSession::new(Arc::clone(lease.session()));
    let mut json = Dispatched::default();
    json.push_extended(state, MutableMessage::of(reply), Some(&session), incoming);
    json.replies
}

/// Shows what goes out to the extensions of its session.
pub(crate) fn show_events(lease: &mut Lease) {
    let session = ServerSession::new(Arc::clone(lease.session()));
    if let Some(extensions) = Extensions::of_session(&session) {
        lease.rewrite(|event| extensions.event(&session, event).map(|event| event.to_json().into()));
    }
}

impl Dispatched {
    fn push_extended(
        &mut self,
        state: &State,
        mut reply: MutableMessage,
        session: Option<&ServerSession>,
        incoming: Option<&MutableMessage>,
    ) {
        let context = OutgoingContext {
            session,
            sender: None,
            incoming,
        };
        if state.extensions.reply(&mut reply, context) == Fate::Pass {
            self.separate();
            self.replies.extend_from_slice(reply.to_json().as_bytes());
        }
    }
}

impl Exchange<'_> {
    /// The session that a message names and may use: a live one, or one whose farewell its next connect may get.
    fn session_of(&self, message: &Inbound<'_>) -> Option<ServerSession> {
        if is_handshake(message) {
            return None;
        }
        let session = self
            .known(message, Instant::now())
            .filter(|session| session.may_be_served())?;
        session.touch();
        Some(ServerSession::new(session))
    }

    fn note_deleted(&self, message: &Inbound<'_>) {
        let channel = message.channel().ok();
        note_refused(self.state, channel.as_deref(), &BayeuxError::MessageDeleted.into());
    }

    /// The reply to a message that an extension has deleted.
    fn deleted<'m>(&self, message: &Inbound<'m>) -> Reply<'m> {
        let deleted = BayeuxError::MessageDeleted.into();
        if !is_handshake(message) {
            return self.fail(message, message.channel().ok(), deleted);
        }
        let advice = self.handshake_advice(Reconnect::None, self.state.config.interval);
        self.refuse(message.id().ok().flatten(), deleted, advice)
    }

    /// The reply that an extension gives, with what is missing in it.
    fn complete(&self, mut answer: MutableMessage, message: &Inbound<'_>) -> MutableMessage {
        let successful = answer.raw("error").is_none();
        if !successful {
            self.note_deleted(message);
        }
        let reply = Reply {
            successful,
            ..self.deleted(message)
        };
        for (name, value) in MutableMessage::of(&reply).fields() {
            let is_wanted = answer.raw(name).is_none() && (name != "error" || !successful);
            if is_wanted {
                answer.set_raw(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}
