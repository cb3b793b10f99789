//! What a session has published lately, so that what its client sends again is not published again.

use std::{collections::VecDeque, hash::BuildHasher, sync::Arc};

use super::Session;

/// The latest messages, oldest first, each by a digest of its own.
#[derive(Debug, Default)]
pub(super) struct Published(VecDeque<(u64, Stage)>);

/// How far a message has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// It may yet fail.
    Begun,
    /// It is published, and its handlers are at work.
    Heard,
    /// It is published, but its request ended before its handlers were through.
    CutOff,
    Done,
}

impl Published {
    /// How far a message has come that comes again; `None` if it is new, and it is remembered among the last `window`.
    fn begin(&mut self, digest: u64, window: usize) -> Option<Stage> {
        if let Some(stage) = self.stage(digest) {
            let before = *stage;
            if before == Stage::CutOff {
                *stage = Stage::Heard;
            }
            return Some(before);
        }
        while self.0.len() >= window {
            self.0.pop_front();
        }
        self.0.push_back((digest, Stage::Begun));
        None
    }

    fn set(&mut self, digest: u64, stage: Stage) {
        if let Some(current) = self.stage(digest) {
            *current = stage;
        }
    }

    /// Nobody goes on with a message. What has failed is forgotten.
    fn give_up(&mut self, digest: u64) {
        match self.stage(digest) {
            Some(stage @ Stage::Heard) => *stage = Stage::CutOff,
            Some(Stage::Begun) => self.0.retain(|(each, _)| *each != digest),
            _ => {}
        }
    }

    fn stage(&mut self, digest: u64) -> Option<&mut Stage> {
        let found = self.0.iter_mut().find(|(each, _)| *each == digest);
        found.map(|(_, stage)| stage)
    }
}

/// A message that is being published, remembered if the server does so. If this is dropped before it is
/// [done](Self::done), what is not done yet is done when the client sends the message again.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    remembered: Option<(Arc<Session>, u64)>,
    is_heard: bool,
}

impl Attempt {
    /// Begins to publish a message, `None` if it is another try of one of the last `window` of the session, and nothing is
    /// left to do for it.
    pub(crate) fn begin(session: &Arc<Session>, window: usize, message: [&str; 3]) -> Option<Self> {
        // Not under the lock: the message may be large.
        let digest = session.hub.digests.hash_one(message);
        let stage = session.state().published.get_or_insert_default().begin(digest, window);
        match stage {
            None | Some(Stage::CutOff) => Some(Self {
                remembered: Some((Arc::clone(session), digest)),
                is_heard: stage.is_some(),
            }),
            Some(Stage::Begun | Stage::Heard | Stage::Done) => None,
        }
    }

    /// Whether an earlier try has published the message.
    pub(crate) const fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// The message is published; its handlers come next.
    pub(crate) fn heard(&self) {
        self.update(|published, digest| published.set(digest, Stage::Heard));
    }

    /// Nothing is left to do.
    pub(crate) fn done(&mut self) {
        self.update(|published, digest| published.set(digest, Stage::Done));
        self.remembered = None;
    }

    fn update(&self, change: impl FnOnce(&mut Published, u64)) {
        if let Some((session, digest)) = &self.remembered
            && let Some(published) = &mut session.state().published
        {
            change(published, *digest);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.update(Published::give_up);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_failed_is_new_and_what_was_cut_off_is_gone_on_with_by_one() {
        let mut published = Published::default();
        assert_eq!(published.begin(1, 2), None);
        assert_eq!(published.begin(1, 2), Some(Stage::Begun));
        published.give_up(1);
        assert_eq!(published.begin(1, 2), None);
        published.set(1, Stage::Heard);
        published.give_up(1);
        assert_eq!(published.begin(1, 2), Some(Stage::CutOff));
        assert_eq!(published.begin(1, 2), Some(Stage::Heard));
        published.set(1, Stage::Done);
        published.give_up(1);
        assert_eq!(published.begin(1, 2), Some(Stage::Done));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut published = Published::default();
        for digest in 0..100 {
            assert_eq!(published.begin(digest, 3), None);
            published.set(digest, Stage::Done);
        }
        assert_eq!(published.0.len(), 3);
        assert_eq!(published.begin(97, 3), Some(Stage::Done));
        published.set(0, Stage::Done);
        published.give_up(0);
        assert_eq!(published.0.len(), 3, "one that is not there any more is nobody's");
    }
}
