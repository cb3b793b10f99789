//! A bounded queue between the server and one reader of the application's.
//!
//! Unlike a channel of tokio's, it hands the reader's waker to the sender instead of waking it: so an item can be put in
//! its place under a lock, and the reader be woken after that lock's release.

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use tokio::task::coop::poll_proceed;

use crate::sync::{Mutex, lock, wake};

/// Makes both ends of a queue that holds `capacity` items, but at least one.
pub(crate) fn mailbox<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        capacity: capacity.max(1),
        state: Mutex::new(State::default()),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

#[derive(Debug)]
struct Shared<T> {
    capacity: usize,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<Item<T>>,
    waker: Option<Waker>,
    /// Items that did not fit since the last one that did.
    missed: u64,
    missed_in_all: u64,
    sender_is_gone: bool,
    reader_is_gone: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            waker: None,
            missed: 0,
            missed_in_all: 0,
            sender_is_gone: false,
            reader_is_gone: false,
        }
    }
}

#[derive(Debug)]
struct Item<T> {
    /// How many items are missing right before this one, and not told yet.
    missed_before: u64,
    value: T,
}

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum Received<T> {
    Value(T),
    /// So many items are missing here.
    Missed(u64),
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Received<T>> {
        let missed = match self.items.front_mut() {
            Some(item) => mem::take(&mut item.missed_before),
            None if self.sender_is_gone => mem::take(&mut self.missed),
            None => return None,
        };
        if missed > 0 {
            return Some(Received::Missed(missed));
        }
        self.items.pop_front().map(|item| Received::Value(item.value))
    }
}

/// What became of an item.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It is queued; this waker is to be woken once no lock is held.
    Queued(Option<Waker>),
    /// There was no room.
    Missed,
    /// Nobody reads any more.
    Gone,
}

/// The server's end. The reader finds the end of the queue once it is dropped.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Shared<T>>);

impl<T> Sender<T> {
    pub(crate) fn send(&self, value: T) -> Sent {
        let mut state = lock(&self.0.state);
        if state.reader_is_gone {
            return Sent::Gone;
        }
        if state.items.len() >= self.0.capacity {
            state.missed += 1;
            state.missed_in_all += 1;
            return Sent::Missed;
        }
        let missed_before = mem::take(&mut state.missed);
        state.items.push_back(Item { missed_before, value });
        Sent::Queued(state.waker.take())
    }

    pub(crate) fn is_read(&self) -> bool {
        !lock(&self.0.state).reader_is_gone
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.sender_is_gone = true;
        let waker = state.waker.take();
        drop(state);
        wake(waker);
    }
}

/// The application's end.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Shared<T>>);

impl<T> Receiver<T> {
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Received<T>>> {
        // A reader of a busy stream gives way to its neighbours, as with any resource of tokio's.
        let cooperation = ready!(poll_proceed(cx));
        // A waker's own clone and drop may run anything, so never under the lock.
        let waker = cx.waker().clone();
        let mut state = lock(&self.0.state);
        let received = state.take();
        if received.is_some() || state.sender_is_gone {
            drop(state);
            cooperation.made_progress();
            return Poll::Ready(received);
        }
        let replaced = state.waker.replace(waker);
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    pub(crate) fn missed_in_all(&self) -> u64 {
        lock(&self.0.state).missed_in_all
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.reader_is_gone = true;
        let unread = mem::take(&mut state.items);
        let waker = state.waker.take();
        drop(state);
        drop((unread, waker));
    }
}
