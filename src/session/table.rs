//! The shared table of sessions.

use std::{collections::HashMap, sync::Arc};

use super::Session;
use crate::{
    protocol::ClientId,
    sync::{Mutex, lock},
};

pub(super) const SHARDS: usize = 64;

/// All sessions by id, in shards, so that requests of different sessions seldom meet at a lock. Deliveries never come
/// here: subscriber lists hold the sessions themselves.
#[derive(Debug)]
pub(crate) struct SessionTable {
    shards: [Mutex<HashMap<ClientId, Arc<Session>>>; SHARDS],
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
    fn shard(&self, id: &ClientId) -> &Mutex<HashMap<ClientId, Arc<Session>>> {
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
