//! What goes out to clients, whatever the transport: messages and replies as arrays, shown to extensions before.

use bytes::Bytes;

use crate::{
    dispatch::{ConnectReply, show_events},
    server::State,
    session::{Lease, Taken},
};

/// The messages that a session gets, each a JSON object.
pub(super) fn events(lease: &Lease) -> impl Iterator<Item = &[u8]> + Clone {
    lease.messages().iter().map(Bytes::as_ref)
}

/// Shows messages that are pushed to the extensions of their session.
pub(super) fn show(lease: &mut Lease) {
    if lease.is_extended() {
        show_events(lease);
    }
}

/// The reply to a connect that has ended, as a JSON object; nothing, if an extension deletes it. The messages that go out
/// with it are shown to extensions, too.
pub(super) fn connect_reply(state: &State, reply: &ConnectReply, taken: &mut Taken) -> Vec<u8> {
    reply.render(state, taken)
}

/// `[part,part,…]`
pub(super) fn array<'a>(parts: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let size: usize = parts.clone().map(|part| part.len() + 1).sum();
    let mut json = Vec::with_capacity(size.max(1) + 1);
    json.push(b'[');
    for (index, part) in parts.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        json.extend_from_slice(part);
    }
    json.push(b']');
    json.into()
}

/// `[event,…,reply,…]`: what all of these leases deliver, and then replies with commas between them, in pieces.
pub(super) fn answer(leases: &[Box<Lease>], replies: [&[u8]; 3]) -> Bytes {
    let queues = leases.iter().map(|lease| lease.messages());
    // Each event has a comma, and in the place of the last one comes the bracket, if there is no reply.
    let size_of_events: usize = queues.map(|queue| queue.bytes() + queue.len()).sum();
    let size_of_replies: usize = replies.iter().map(|piece| piece.len()).sum();
    let has_last_comma = size_of_events > 0 && size_of_replies == 0;
    let mut json = Vec::with_capacity(size_of_events + size_of_replies + 2 - usize::from(has_last_comma));
    json.push(b'[');
    for event in leases.iter().flat_map(|lease| lease.messages().iter()) {
        json.extend_from_slice(event);
        json.push(b',');
    }
    for piece in replies {
        json.extend_from_slice(piece);
    }
    if has_last_comma {
        json.pop();
    }
    json.push(b']');
    json.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_stand_in_one_array() {
        assert_eq!(answer(&[], [b"", b"", b""]), "[]");
        assert_eq!(answer(&[], [b"1,2", b"", b""]), "[1,2]");
        assert_eq!(answer(&[], [b"1", b",", b"2"]), "[1,2]");
    }

    #[test]
    fn parts_are_joined_in_a_buffer_of_their_size() {
        assert_eq!(array([].into_iter()), "[]");
        assert_eq!(array([&b"1"[..]].into_iter()), "[1]");
        assert_eq!(array([&b"1"[..], b"2,3", b"4"].into_iter()), "[1,2,3,4]");
    }
}
