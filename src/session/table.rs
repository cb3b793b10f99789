//! The shared table of sessions.

use std::sync::{Arc, RwLock};

use super::{Session, shard::Shard};
use crate::{
    panics::contain,
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
        write(self.shard(&session.id)).insert(session);
    }

    pub(crate) fn get(&self, id: &ClientId) -> Option<Arc<Session>> {
        read(self.shard(id)).get(id).cloned()
    }

    pub(crate) fn remove(&self, id: &ClientId) {
        let removed = write(self.shard(id)).remove(id);
        // The last reference may be this one; what the session owns is dropped without the lock.
        drop(removed);
    }

    /// From now on the session may expire sooner than the server's times say.
    pub(crate) fn has_own_times(&self, id: &ClientId) {
        write(self.shard(id)).has_own_times(id);
    }

    /// Calls `visit` for each session, with no lock held; one shard is copied out at a time.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Session>)) {
        let mut sessions = Vec::new();
        for shard in &self.shards {
            sessions.extend_from_slice(read(shard).sessions());
            for session in sessions.drain(..) {
                visit(&session);
            }
        }
    }

    /// Calls `visit` for each session of one shard whose deadline has passed, with no lock held. What the application has
    /// attached goes with the last reference to a session, and may panic: the others are to expire all the same.
    pub(crate) fn for_each_expired(&self, shard: usize, now: u64, visit: impl Fn(&Arc<Session>)) {
        let Some(shard) = self.shards.get(shard) else { return };
        let expired = write(shard).expired(now);
        for session in expired {
            contain(|| {
                visit(&session);
                drop(session);
            });
        }
    }
}
