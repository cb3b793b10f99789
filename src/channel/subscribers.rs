//! The subscribers of one channel name or pattern.

use std::{
    cell::Cell,
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, RwLock},
};

use super::{Feed, Message};
use crate::{
    session::{Delivery, Session},
    sync::{read, write},
};

/// How many subscribers are served before the list is released: nobody who subscribes waits for a whole fan-out.
const CHUNK: usize = 256;

/// A session, or a stream of the application's.
#[derive(Clone, Debug)]
pub(crate) enum Subscriber {
    Session(Arc<Session>),
    Feed(Arc<Feed>),
}

impl Subscriber {
    /// An address to tell subscribers apart by while they are alive.
    fn address(&self) -> usize {
        match self {
            Self::Session(session) => Arc::as_ptr(session).addr(),
            Self::Feed(feed) => Arc::as_ptr(feed).addr(),
        }
    }

    const fn is_session(&self) -> bool {
        matches!(self, Self::Session(_))
    }

    fn offer(&self, message: &Message, delivery: &mut Delivery<'_>) {
        match self {
            // A session that has just ended, or is full, has been counted by itself.
            Self::Session(session) if !message.is_service() && !delivery.leaves_out(session) => {
                let _ = session.offer(message.json(), delivery);
            }
            Self::Session(_) => {}
            Self::Feed(feed) => feed.offer(message.clone(), delivery),
        }
    }
}

/// Subscribers in the order in which they joined, each with a number of its own. The numbers only grow, so a walk that
/// lets go of the list finds its place again, whoever came or went meanwhile.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    list: RwLock<List>,
}

#[derive(Debug, Default)]
struct List {
    /// Sorted by number; those that have left leave a gap until the next [`compact`](List::compact).
    entries: Vec<(u64, Option<Subscriber>)>,
    next: u64,
    gaps: usize,
    /// How many of them are sessions.
    sessions: usize,
}

/// A subscriber taken out of its list, to be dropped once no lock is held.
pub(super) struct Removed {
    _subscriber: Option<Subscriber>,
    pub(super) was_last: bool,
}

impl List {
    fn live(&self) -> usize {
        self.entries.len() - self.gaps
    }

    /// The entries from a number on.
    fn from(&self, number: u64) -> &[(u64, Option<Subscriber>)] {
        let start = self.entries.partition_point(|(each, _)| *each < number);
        self.entries.get(start..).unwrap_or_default()
    }

    /// Closes the gaps when they are the larger part: every publish walks over them.
    fn compact(&mut self) {
        if self.gaps > self.entries.len() / 2 {
            self.entries.retain(|(_, subscriber)| subscriber.is_some());
            self.entries.shrink_to(self.entries.len() * 2);
            self.gaps = 0;
        }
    }
}

impl Subscribers {
    /// Adds a subscriber and returns its number.
    pub(super) fn insert(&self, subscriber: Subscriber) -> u64 {
        let mut list = write(&self.list);
        let number = list.next;
        list.next += 1;
        list.sessions += usize::from(subscriber.is_session());
        list.entries.push((number, Some(subscriber)));
        number
    }

    pub(super) fn remove(&self, number: u64) -> Removed {
        let mut list = write(&self.list);
        let found = list.entries.binary_search_by_key(&number, |(each, _)| *each);
        let subscriber = found
            .ok()
            .and_then(|index| list.entries.get_mut(index))
            .and_then(|(_, subscriber)| subscriber.take());
        list.gaps += usize::from(subscriber.is_some());
        list.sessions -= usize::from(subscriber.as_ref().is_some_and(Subscriber::is_session));
        list.compact();
        Removed {
            _subscriber: subscriber,
            was_last: list.live() == 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        read(&self.list).live() == 0
    }

    pub(super) fn session_count(&self) -> usize {
        read(&self.list).sessions
    }

    /// Queues a message for every subscriber that is not in `seen` yet. Who joins meanwhile is not served: it may have
    /// been, under an earlier number.
    pub(super) fn deliver(&self, message: &Message, mut seen: Option<&mut Seen>, delivery: &mut Delivery<'_>) {
        let mut next = 0;
        let mut end = None;
        loop {
            let list = read(&self.list);
            let end = *end.get_or_insert(list.next);
            let rest = list.from(next);
            let chunk = rest.iter().take(CHUNK).take_while(|(number, _)| *number < end);
            let mut walked = 0;
            for (number, subscriber) in chunk {
                walked += 1;
                next = number + 1;
                let Some(subscriber) = subscriber else { continue };
                if seen.as_mut().is_none_or(|seen| seen.is_new(subscriber)) {
                    subscriber.offer(message, delivery);
                }
            }
            drop(list);
            delivery.flush();
            if walked < CHUNK {
                return;
            }
        }
    }
}

/// The most room that a set keeps where little of it was needed: each use of it clears all of that.
const KEPT: usize = 4096;

type AddressSet = HashSet<usize, BuildHasherDefault<AddressHasher>>;

thread_local! {
    /// Kept between publishes, so that a fan-out over several patterns allocates nothing once warm, unless it is a large one.
    static SPARE: Cell<AddressSet> = Cell::default();
}

/// The subscribers that a message has already gone to.
pub(super) struct Seen(AddressSet);

impl Seen {
    /// Takes this thread's set; a publish from within a publish, or from a thread that is ending, gets a fresh one.
    pub(super) fn borrow() -> Self {
        Self(SPARE.try_with(Cell::take).unwrap_or_default())
    }

    fn is_new(&mut self, subscriber: &Subscriber) -> bool {
        self.0.insert(subscriber.address())
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        let mut set = std::mem::take(&mut self.0);
        if set.capacity() > KEPT && set.len() < set.capacity() / 8 {
            return;
        }
        set.clear();
        // A thread that is ending has no place for it any more.
        let _ = SPARE.try_with(|spare| spare.set(set));
    }
}

/// Addresses are not chosen by anyone outside; one multiplication spreads them well enough.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, address: usize) {
        let mixed = (self.0 ^ address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The room of this thread's set after so many subscribers.
    fn room_after(subscribers: usize) -> usize {
        let mut seen = Seen::borrow();
        seen.0.extend(0..subscribers);
        drop(seen);
        let seen = Seen::borrow();
        assert!(seen.0.is_empty());
        seen.0.capacity()
    }

    #[test]
    fn the_set_of_a_thread_is_kept_unless_it_is_much_too_large() {
        assert!(room_after(1000) >= 1000);
        assert!(room_after(10) >= 1000, "it is the same one");
        assert!(room_after(KEPT * 2) >= KEPT * 2, "whoever needs it may need it again");
        assert!(room_after(10) <= KEPT);
    }
}
