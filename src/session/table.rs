//! The shared table of sessions.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex},
};

use super::Session;
use crate::{protocol::ClientId, sync::lock};

pub(super) const SHARDS: usize = 64;

/// All sessions by id, in shards, so that requests of different sessions seldom meet at a lock. Deliveries never come
/// here: subscriber lists hold the sessions themselves.
#[derive(Debug)]
pub(crate) struct SessionTable {
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<ClientId, Arc<Session>, BuildHasherDefault<IdHasher>>;

/// Takes a part of an id for its hash: they are random already. A client may look up any id, but only what the server has
/// made up is stored, so that nobody can make sessions crowd in one place.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, id: &[u8]) {
        // Not the first bytes, which are a time, nor the last one, by which sessions are spread over shards.
        if let Some((_, [random @ .., _])) = id.split_first_chunk::<8>()
            && let Some(random) = random.first_chunk()
        {
            self.0 = u64::from_le_bytes(*random);
        }
    }

    /// The length of the id, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Default for SessionTable {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl SessionTable {
    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the number of shards")]
    fn shard(&self, id: &ClientId) -> &Mutex<Shard> {
        &self.shards[id.spread() % SHARDS]
    }

    pub(crate) fn insert(&self, session: Arc<Session>) {
        lock(self.shard(&session.id)).insert(session.id, session);
    }

    pub(crate) fn get(&self, id: &ClientId) -> Option<Arc<Session>> {
        lock(self.shard(id)).get(id).cloned()
    }

    pub(crate) fn remove(&self, id: &ClientId) {
        let removed = lock(self.shard(id)).remove(id);
        // The last reference may be this one; what the session owns is dropped without the lock.
        drop(removed);
    }

    /// Calls `visit` for each session, with no lock held; one shard is copied out at a time.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Session>)) {
        let mut sessions = Vec::new();
        for shard in &self.shards {
            sessions.extend(lock(shard).values().cloned());
            for session in sessions.drain(..) {
                visit(&session);
            }
        }
    }

    /// Calls `visit` for each session of one shard whose deadline has passed, with no lock held.
    pub(crate) fn for_each_expired(&self, shard: usize, now: u64, visit: impl FnMut(&Arc<Session>)) {
        let Some(shard) = self.shards.get(shard) else { return };
        let expired: Vec<_> = lock(shard)
            .values()
            .filter(|session| session.has_expired(now))
            .cloned()
            .collect();
        expired.iter().for_each(visit);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::Hash};

    use super::*;

    #[test]
    fn ids_of_one_shard_have_hashes_of_their_own() {
        let ids = (0..10_000)
            .map(|_| ClientId::generate())
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
