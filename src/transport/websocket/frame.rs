//! Frames on their way out, and the messages in them.

use std::{collections::VecDeque, mem};

use bytes::Bytes;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        self,
        coding::{Data, OpCode},
    },
};

use crate::{
    dispatch::ConnectReply,
    server::State,
    session::{Lease, Taken},
    transport::outgoing,
};

/// What is larger goes out in fragments of this size, in bytes. The library's buffer grows to the largest that it is given,
/// and stays so while the socket is open.
pub(super) const FRAGMENT: usize = 64 * 1024;

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
    fn commit(self) {
        match self {
            Self::Pushed(lease) => lease.commit_pushed(),
            Self::Answer(mut lease) => lease.commit(),
        }
    }
}

/// A frame that is being written, until all of it is with the operating system.
pub(super) struct InFlight {
    rest: Bytes,
    data: Data,
    messages: Option<Messages>,
}

impl From<Frame> for InFlight {
    fn from(Frame { json, messages }: Frame) -> Self {
        Self {
            rest: json,
            data: Data::Text,
            messages,
        }
    }
}

impl InFlight {
    /// The next fragment, if there is one left.
    pub(super) fn next(&mut self) -> Option<Message> {
        if self.rest.is_empty() {
            return None;
        }
        let fragment = self.rest.split_to(FRAGMENT.min(self.rest.len()));
        let data = OpCode::Data(mem::replace(&mut self.data, Data::Continue));
        let is_last = self.rest.is_empty();
        Some(Message::Frame(frame::Frame::message(fragment, data, is_last)))
    }

    /// Whether nothing is left to be written.
    pub(super) const fn is_written(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether it has messages that would have to go back.
    pub(super) const fn has_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// All of it is with the operating system.
    pub(super) fn commit(self) {
        if let Some(messages) = self.messages {
            messages.commit();
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
