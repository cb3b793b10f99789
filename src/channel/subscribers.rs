//! The subscribers of one channel name or pattern.

use std::{
    cell::Cell,
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, RwLock},
};

use slab::Slab;

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
}

/// Subscribers in slots that never move, so that a list can be walked in chunks while others come and go.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    slots: RwLock<Slab<Subscriber>>,
}

/// A subscriber taken out of its list, to be dropped once no lock is held.
pub(super) struct Removed {
    _subscriber: Option<Subscriber>,
    pub(super) was_last: bool,
}

impl Subscribers {
    pub(super) fn insert(&self, subscriber: Subscriber) -> usize {
        write(&self.slots).insert(subscriber)
    }

    pub(super) fn remove(&self, slot: usize) -> Removed {
        let mut slots = write(&self.slots);
        let subscriber = slots.try_remove(slot);
        // Every publish walks all slots, so a crowd that has gone must not leave its own behind. Shrinking costs as much
        // as a walk, so it is tried a few times on the way down and not at each step.
        if slots.len().is_power_of_two() && slots.len() < slots.capacity() / 4 {
            slots.shrink_to_fit();
        }
        Removed {
            _subscriber: subscriber,
            was_last: slots.is_empty(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        read(&self.slots).is_empty()
    }

    pub(super) fn session_count(&self) -> usize {
        read(&self.slots)
            .iter()
            .filter(|(_, subscriber)| matches!(subscriber, Subscriber::Session(_)))
            .count()
    }

    /// Queues a message for every subscriber that is not in `seen` yet.
    pub(super) fn deliver(&self, message: &Message, mut seen: Option<&mut Seen>, delivery: &mut Delivery<'_>) {
        let mut start = 0;
        loop {
            let slots = read(&self.slots);
            let end = slots.capacity().min(start + CHUNK);
            for subscriber in (start..end).filter_map(|slot| slots.get(slot)) {
                if seen.as_mut().is_some_and(|seen| !seen.is_new(subscriber)) {
                    continue;
                }
                match subscriber {
                    // A session that has just ended, or is full, has been counted by itself.
                    Subscriber::Session(session) if !message.is_service() => {
                        let _ = session.offer(message.json(), delivery);
                    }
                    Subscriber::Session(_) => {}
                    Subscriber::Feed(feed) => feed.offer(message.clone(), delivery),
                }
            }
            let done = end == slots.capacity();
            drop(slots);
            delivery.flush();
            if done {
                return;
            }
            start = end;
        }
    }
}

type AddressSet = HashSet<usize, BuildHasherDefault<AddressHasher>>;

thread_local! {
    /// Kept between publishes, so that a fan-out over several patterns allocates nothing once warm.
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
