//! One shard of the table of sessions.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use super::Session;
use crate::protocol::ClientId;

/// A session that is looked at in each round, because its times may change.
const ALWAYS: u64 = 0;

/// Room for so many sessions that is never given back.
const SPARE: usize = 64;

/// Sessions by id; and apart from them what the sweeper has to know without a look at the session itself, which would cost
/// a cache miss each in a table of a million. A round reads eight bytes of each session, one beside the other.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Where in both lists a session stands.
    places: HashMap<ClientId, u32, BuildHasherDefault<IdHasher>>,
    sessions: Vec<Arc<Session>>,
    /// Before then a session can't expire.
    safe_until: Vec<u64>,
}

impl Shard {
    pub(super) fn insert(&mut self, session: Arc<Session>) {
        #[expect(clippy::cast_possible_truncation, reason = "no memory holds four billion sessions")]
        let place = self.sessions.len() as u32;
        self.places.insert(session.id, place);
        self.safe_until.push(session.safe_until().max(ALWAYS + 1));
        self.sessions.push(session);
    }

    pub(super) fn get(&self, id: &ClientId) -> Option<&Arc<Session>> {
        self.sessions.get(self.place(id)?)
    }

    fn place(&self, id: &ClientId) -> Option<usize> {
        self.places.get(id).map(|place| *place as usize)
    }

    /// Takes a session out. The last one takes its place.
    pub(super) fn remove(&mut self, id: &ClientId) -> Option<Arc<Session>> {
        let place = self.places.remove(id)?;
        let removed = self.sessions.swap_remove(place as usize);
        self.safe_until.swap_remove(place as usize);
        if let Some(moved) = self.sessions.get(place as usize)
            && let Some(its_place) = self.places.get_mut(&moved.id)
        {
            *its_place = place;
        }
        self.shrink();
        Some(removed)
    }

    /// After a peak, gives back most of the room that nobody needs any more; seldom, so that it costs each session little.
    fn shrink(&mut self) {
        let needed = self.sessions.len() * 2 + SPARE;
        if self.sessions.capacity() > needed * 2 {
            self.sessions.shrink_to(needed);
            self.safe_until.shrink_to(needed);
            self.places.shrink_to(needed);
        }
    }

    /// From now on the session may expire sooner than the server's times say.
    pub(super) fn has_own_times(&mut self, id: &ClientId) {
        if let Some(place) = self.place(id)
            && let Some(safe_until) = self.safe_until.get_mut(place)
        {
            *safe_until = ALWAYS;
        }
    }

    pub(super) fn sessions(&self) -> &[Arc<Session>] {
        &self.sessions
    }

    /// Those whose deadline has passed. Of the others it notes until when they surely do not expire.
    pub(super) fn expired(&mut self, now: u64) -> Vec<Arc<Session>> {
        let mut expired = Vec::new();
        for (session, safe_until) in self.sessions.iter().zip(&mut self.safe_until) {
            if *safe_until > now {
                continue;
            }
            if session.has_expired(now) {
                expired.push(Arc::clone(session));
            } else if *safe_until != ALWAYS {
                *safe_until = session.safe_until();
            }
        }
        expired
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
    use crate::{BayeuxServer, random::Random, session::table::SHARDS};

    fn shard(sessions: usize) -> (Shard, Vec<ClientId>) {
        let hub = Arc::clone(&BayeuxServer::new().state().hub);
        let mut shard = Shard::default();
        let session = || Session::new(ClientId::generate(&hub.random), None, Arc::clone(&hub));
        let ids = (0..sessions).map(|_| {
            let session = session();
            let id = session.id;
            shard.insert(session);
            id
        });
        let ids = ids.collect();
        (shard, ids)
    }

    #[test]
    fn whichever_is_removed_the_others_are_found() {
        for removed in [0, 4, 9] {
            let (mut shard, mut ids) = shard(10);
            let gone = ids.remove(removed);
            assert_eq!(shard.remove(&gone).map(|session| session.id), Some(gone));
            assert!(shard.get(&gone).is_none());
            assert!(shard.remove(&gone).is_none());
            for id in ids {
                assert_eq!(shard.get(&id).map(|session| session.id), Some(id));
            }
        }
    }

    #[test]
    fn the_room_of_a_peak_is_given_back() {
        let (mut shard, ids) = shard(10_000);
        let (gone, kept) = ids.split_at(9_900);
        gone.iter().for_each(|id| drop(shard.remove(id)));
        assert!(kept.iter().all(|id| shard.get(id).is_some()));
        assert!(shard.sessions.capacity() < 1_000);
        assert!(shard.safe_until.capacity() < 1_000);
        assert!(shard.places.capacity() < 2_000);
    }

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
