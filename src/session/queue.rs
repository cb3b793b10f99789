//! The bounded queue of a session.

use std::{collections::VecDeque, mem};

use bytes::Bytes;

/// What happens when a message comes to a session whose queue is full.
///
/// Whatever the policy, neither the publisher nor any other subscriber waits.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// The session ends with [`QueueOverflow`](crate::Reason::QueueOverflow). Its client is told to handshake again and so learns that it
    /// missed something.
    #[default]
    Disconnect,
    /// The oldest messages make room. Those that a client has not [acknowledged](crate::BayeuxBuilder::acknowledgement) yet
    /// can't: where they alone fill the bounds, the new message is dropped, and counts as
    /// [`NewestDropped`](crate::Reason::NewestDropped).
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

/// How much a queue may hold. One message always fits into an empty queue, however large it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) overflow: OverflowPolicy,
}

/// Messages in order of arrival, serialised. Owns no memory until there are two: most answers carry one. From then on it
/// keeps room for a few, until nothing comes any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// The oldest. Without it there are no others either.
    first: Option<Bytes>,
    others: VecDeque<Bytes>,
    bytes: usize,
}

/// What became of a message that was offered to a queue.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Pushed {
    /// It is queued; this many older messages of so many bytes had to go for it.
    Queued { evicted: usize, evicted_bytes: usize },
    /// It was dropped.
    Dropped,
    /// The queue is full and the policy is to end the session.
    Overflow,
}

/// The most room that a queue keeps when its messages are taken. Who publishes is on another thread than who takes, and
/// memory that one of them allocates and the other frees costs both.
const KEPT: usize = 8;

impl Queue {
    /// Queues a message, within the limits. `kept` is what the session keeps besides, and counts towards them.
    #[inline]
    pub(crate) fn push(&mut self, message: Bytes, limits: &QueueLimits, kept: (usize, usize)) -> Pushed {
        if self.is_full_for(message.len(), limits, kept) {
            return self.push_into_full(message, limits, kept);
        }
        self.push_unbounded(message);
        Pushed::Queued {
            evicted: 0,
            evicted_bytes: 0,
        }
    }

    #[cold]
    fn push_into_full(&mut self, message: Bytes, limits: &QueueLimits, kept: (usize, usize)) -> Pushed {
        // What is kept besides can't be dropped; where it leaves no room, dropping what is queued would make none.
        let (count, bytes) = kept;
        let is_kept_full = count >= limits.messages || bytes.saturating_add(message.len()) > limits.bytes;
        if count > 0 && is_kept_full && limits.overflow == OverflowPolicy::DropOldest {
            return Pushed::Dropped;
        }
        let mut evicted = 0;
        let mut evicted_bytes = 0;
        while self.is_full_for(message.len(), limits, kept) {
            match limits.overflow {
                OverflowPolicy::Disconnect => return Pushed::Overflow,
                OverflowPolicy::DropNewest => return Pushed::Dropped,
                OverflowPolicy::DropOldest => {
                    let Some(oldest) = self.pop() else { break };
                    evicted += 1;
                    evicted_bytes += oldest.len();
                }
            }
        }
        self.push_unbounded(message);
        Pushed::Queued { evicted, evicted_bytes }
    }

    fn is_full_for(&self, bytes: usize, limits: &QueueLimits, (kept, kept_bytes): (usize, usize)) -> bool {
        let messages = self.len() + kept;
        let bytes_in_all = self.bytes.saturating_add(kept_bytes).saturating_add(bytes);
        messages > 0 && (messages >= limits.messages || bytes_in_all > limits.bytes)
    }

    /// Queues a message of the server's own, which must not fail.
    #[inline]
    pub(crate) fn push_unbounded(&mut self, message: Bytes) {
        self.bytes += message.len();
        if self.first.is_none() {
            self.first = Some(message);
        } else {
            self.others.push_back(message);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let oldest = self.first.take()?;
        self.first = self.others.pop_front();
        self.bytes -= oldest.len();
        Some(oldest)
    }

    /// Takes everything.
    pub(crate) fn take(&mut self) -> Self {
        mem::take(self)
    }

    /// Takes the oldest messages, `most` of them.
    pub(crate) fn take_oldest(&mut self, most: usize) -> Self {
        if self.len() <= most {
            return self.take_and_keep_room();
        }
        let mut taken = Self::default();
        for _ in 0..most {
            self.pop().into_iter().for_each(|message| taken.push_unbounded(message));
        }
        taken
    }

    /// As [`take`](Self::take), but the next messages need not allocate again where these were few. Who gets none needs no
    /// room.
    fn take_and_keep_room(&mut self) -> Self {
        if self.is_empty() || !(1..=KEPT).contains(&self.others.capacity()) {
            return self.take();
        }
        Self {
            first: self.first.take(),
            others: self.others.drain(..).collect(),
            bytes: mem::take(&mut self.bytes),
        }
    }

    /// Puts others behind its own.
    pub(crate) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.bytes += other.bytes;
        self.others.extend(other.first.take());
        self.others.append(&mut other.others);
    }

    /// Puts what was taken back in front of what has come since.
    pub(crate) fn give_back(&mut self, mut taken: Self) {
        taken.append(self.take());
        *self = taken;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> + Clone {
        self.first.iter().chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limits(messages: usize, bytes: usize, overflow: OverflowPolicy) -> QueueLimits {
        QueueLimits {
            messages,
            bytes,
            overflow,
        }
    }

    fn queue(messages: &[&'static str]) -> Queue {
        let mut queue = Queue::default();
        for message in messages {
            queue.push_unbounded(Bytes::from_static(message.as_bytes()));
        }
        queue
    }

    fn texts(queue: &Queue) -> Vec<&str> {
        queue
            .iter()
            .map(|message| std::str::from_utf8(message).unwrap())
            .collect()
    }

    #[test]
    fn the_policy_decides_at_the_message_limit() {
        let mut full = queue(&["a", "b"]);
        assert_eq!(
            full.push("c".into(), &limits(2, 100, OverflowPolicy::Disconnect), (0, 0)),
            Pushed::Overflow
        );
        assert_eq!(
            full.push("c".into(), &limits(2, 100, OverflowPolicy::DropNewest), (0, 0)),
            Pushed::Dropped
        );
        assert_eq!(
            full.push("c".into(), &limits(2, 100, OverflowPolicy::DropOldest), (0, 0)),
            Pushed::Queued {
                evicted: 1,
                evicted_bytes: 1
            }
        );
        assert_eq!(texts(&full), ["b", "c"]);
    }

    #[test]
    fn bytes_are_limited_too_and_as_many_go_as_needed() {
        let mut full = queue(&["aaaa", "bbbb"]);
        let pushed = full.push("cccccccc".into(), &limits(10, 10, OverflowPolicy::DropOldest), (0, 0));
        assert_eq!(
            pushed,
            Pushed::Queued {
                evicted: 2,
                evicted_bytes: 8
            }
        );
        assert_eq!((full.len(), full.bytes()), (1, 8));
    }

    #[test]
    fn one_message_always_fits_into_an_empty_queue() {
        let mut empty = Queue::default();
        let pushed = empty.push(
            "larger than allowed".into(),
            &limits(0, 1, OverflowPolicy::Disconnect),
            (0, 0),
        );
        assert_eq!(
            pushed,
            Pushed::Queued {
                evicted: 0,
                evicted_bytes: 0
            }
        );
    }

    #[test]
    fn what_is_kept_besides_is_never_exceeded_by_dropping_the_oldest() {
        let limits = limits(3, 100, OverflowPolicy::DropOldest);
        let mut queue = queue(&["a"]);
        assert_eq!(queue.push("b".into(), &limits, (3, 3)), Pushed::Dropped);
        assert_eq!(queue.push("b".into(), &limits, (1, 100)), Pushed::Dropped);
        assert_eq!(texts(&queue), ["a"]);
        let evicted = Pushed::Queued {
            evicted: 1,
            evicted_bytes: 1,
        };
        assert_eq!(queue.push("b".into(), &limits, (2, 2)), evicted);
        assert_eq!(texts(&queue), ["b"]);
    }

    #[test]
    fn the_oldest_are_taken_first() {
        let mut queue = queue(&["a", "bb", "c"]);
        let taken = queue.take_oldest(2);
        assert_eq!((texts(&taken), taken.bytes()), (vec!["a", "bb"], 3));
        assert_eq!((texts(&queue), queue.bytes()), (vec!["c"], 1));
        assert!(queue.take_oldest(0).is_empty());
        assert_eq!(texts(&queue.take_oldest(2)), ["c"]);
        assert!(queue.is_empty());
    }

    #[test]
    fn an_emptied_queue_keeps_room_for_a_few_and_no_more() {
        let mut queue = queue(&["a"]);
        queue.take_oldest(usize::MAX);
        assert_eq!(queue.others.capacity(), 0);
        for (messages, keeps) in [(KEPT, true), (KEPT * 3, false), (KEPT / 2, true)] {
            (0..messages).for_each(|_| queue.push_unbounded("a".into()));
            let taken = queue.take_oldest(usize::MAX);
            assert_eq!((taken.len(), taken.bytes()), (messages, messages));
            assert_eq!((queue.len(), queue.bytes()), (0, 0));
            let room = queue.others.capacity();
            assert!(room <= KEPT && (room > 0) == keeps, "{room} after {messages}");
        }
        queue.push_unbounded("a".into());
        queue.take_oldest(usize::MAX);
        assert!(queue.others.capacity() > 0, "one message alone needs none of it");
        queue.take_oldest(usize::MAX);
        assert_eq!(queue.others.capacity(), 0, "there was nothing to take");
    }

    #[test]
    fn what_is_given_back_comes_first() {
        let mut queue = queue(&["a", "b"]);
        let taken = queue.take();
        assert!(queue.is_empty());
        queue.push_unbounded("c".into());
        queue.give_back(taken);
        assert_eq!(texts(&queue), ["a", "b", "c"]);
        assert_eq!(queue.bytes(), 3);
    }
}
