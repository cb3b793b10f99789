//! Frames on their way out, and the messages in them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    dispatch::ConnectReply,
    server::State,
    session::{Lease, Taken},
    transport::outgoing,
};

/// A frame that waits to be written, and the messages in it.
pub(super) struct Frame {
    pub(super) json: Bytes,
    pub(super) messages: Option<Messages>,
}

/// Messages that are on their way.
pub(super) enum Messages {
    Pushed(Lease),
    Answer(Box<Lease>),
}

impl Messages {
    pub(super) fn commit(self) {
        match self {
            Self::Pushed(lease) => lease.commit_pushed(),
            Self::Answer(mut lease) => lease.commit(),
        }
    }
}

/// Puts what a connect delivers and its reply into the outbox.
pub(super) fn answer(outbox: &mut VecDeque<Frame>, state: &State, reply: &ConnectReply, mut taken: Taken) {
    let json = outgoing::connect_reply(state, reply, &mut taken);
    let events = outgoing::events(&taken.lease).map(|event| Frame {
        json: outgoing::array([event].into_iter()),
        messages: None,
    });
    outbox.extend(events);
    outbox.push_back(Frame {
        json: outgoing::array([&*json].into_iter()),
        messages: Some(Messages::Answer(taken.lease)),
    });
}
