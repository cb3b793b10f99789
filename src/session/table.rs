//! The shared table of sessions.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, RwLock},
};

use super::Session;
use crate::{
    protocol::ClientId,
    sync::{read, write},
};

pub(super) const SHARDS: usize = 64;

/// All sessions by id, in shards, so that requests of different sessions seldom meet at a lock, and looked at side by
/// side, so that those who guess ids keep nobody waiting. Deliveries never come
/// here: subscriber lists hold the sessions themselves.
#[derive(Debug)]
pub(crate) struct SessionTable {
    shards: [RwLock<Shard>; SHARDS],
}

type Shard = HashMap<ClientId, Entry, BuildHasherDefault<IdHasher>>;

/// A session, and what the sweeper has to know of it without a look at the session itself: that would cost a cache miss
/// each, in a table of a million.
#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    /// Before then it can't expire.
    safe_until: u64,
    /// Whether that holds no more, because its times may change.
    has_own_times: bool,
}

impl Entry {
    /// Whether the session has expired; if not, notes until when it surely will not.
    fn has_expired(&mut self, now: u64) -> bool {
        if self.safe_until > now {
            return false;
        }
        if self.session.has_expired(now) {
            return true;
        }
        if !self.has_own_times {
            self.safe_until = self.session.safe_until();
        }
        false
    }
}

impl Default for SessionTable {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
        }
    }
}

impl SessionTable {
    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the number of shards")]
    fn shard(&self, id: &ClientId) -> &RwLock<Shard> {
        &self.shards[id.spread() % SHARDS]
    }

    pub(crate) fn insert(&self, session: Arc<Session>) {
        let entry = Entry {
            safe_until: session.safe_until(),
            has_own_times: false,
            session: Arc::clone(&session),
        };
        write(self.shard(&session.id)).insert(session.id, entry);
    }

    pub(crate) fn get(&self, id: &ClientId) -> Option<Arc<Session>> {
        read(self.shard(id)).get(id).map(|entry| Arc::clone(&entry.session))
    }

    pub(crate) fn remove(&self, id: &ClientId) {
        let removed = write(self.shard(id)).remove(id);
        // The last reference may be this one; what the session owns is dropped without the lock.
        drop(removed);
    }

    /// From now on the session may expire sooner than the server's times say.
    pub(crate) fn has_own_times(&self, id: &ClientId) {
        if let Some(entry) = write(self.shard(id)).get_mut(id) {
            entry.has_own_times = true;
            entry.safe_until = 0;
        }
    }

    /// Calls `visit` for each session, with no lock held; one shard is copied out at a time.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Session>)) {
        let mut sessions = Vec::new();
        for shard in &self.shards {
            sessions.extend(read(shard).values().map(|entry| Arc::clone(&entry.session)));
            for session in sessions.drain(..) {
                visit(&session);
            }
        }
    }

    /// Calls `visit` for each session of one shard whose deadline has passed, with no lock held.
    pub(crate) fn for_each_expired(&self, shard: usize, now: u64, visit: impl FnMut(&Arc<Session>)) {
        let Some(shard) = self.shards.get(shard) else { return };
        let expired: Vec<_> = write(shard)
            .values_mut()
            .filter_map(|entry| entry.has_expired(now).then(|| Arc::clone(&entry.session)))
            .collect();
        expired.iter().for_each(visit);
    }
}

/// Takes the hash of an id from its random bytes. Who asks for ids of his own choice can't crowd the table with them: it
/// holds only those that were made here. The last byte is left out: all ids of a shard share bits of it.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, id: &[u8]) {
        if let Some((_, random)) = id.split_at_checked(8)
            && let Some(random) = random.first_chunk()
        {
            self.0 = u64::from_ne_bytes(*random);
        }
    }

    /// The length, which is that of all.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::Hash};

    use super::*;
    use crate::random::Random;

    #[test]
    fn ids_of_one_shard_have_hashes_of_their_own() {
        let random = Random::new();
        let ids = (0..10_000)
            .map(|_| ClientId::generate(&random))
            .filter(|id| id.spread() % SHARDS == 0);
        let hashes: Vec<u64> = ids
            .map(|id| {
                let mut hasher = IdHasher::default();
                id.hash(&mut hasher);
                hasher.finish()
            })
            .collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        // A table takes its places from the lowest bits and its tags from the highest.
        for bits in [|hash: &u64| hash & 0x7f, |hash: &u64| hash >> 57] {
            assert!(hashes.iter().map(bits).collect::<HashSet<_>>().len() > 64);
        }
    }
}
