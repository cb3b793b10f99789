//! The server's side of one client.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    Admitted, Delivery, Hub,
    acks::Acks,
    gather::Pace,
    published::Published,
    queue::{Pushed, Queue},
    rate::{Bucket, MessageRate},
    times::{OwnTimes, Times},
};
use crate::{
    Reason,
    attributes::{Attributes, Value},
    protocol::{BrowserId, ChannelName, ClientId},
    sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, lock, wake},
    trouble::Trouble,
};

/// "No deadline": a connect is in progress.
const NEVER: u64 = u64::MAX;

/// The browser cookie that a session was made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) browser: BrowserId,
    /// Whether the client brought it, and so is known to keep cookies.
    pub(crate) returned: bool,
}

/// One session: identity, queue, held connect, subscriptions. Its fields stay in this order: what a message and a connect
/// touch comes first and is close together, about four lines of memory instead of six.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Session {
    /// When the session expires, in the hub's milliseconds; `NEVER` while a connect is in progress.
    pub(super) deadline: AtomicU64,
    pub(super) hub: Arc<Hub>,
    state: Mutex<State>,
    pub(crate) id: ClientId,
    browser: Option<BrowserId>,
    /// Whether the client ever sent the cookie back.
    bound: AtomicBool,
    /// Whether the session does not get what it publishes itself.
    hears_others_only: AtomicBool,
    /// What is left of the connects that may be answered at once with nothing to deliver.
    connects: Bucket,
    /// What is left of the messages that the client may send, where they are limited.
    bucket: Bucket,
    subscriptions: Mutex<SubscriptionMap>,
    pub(super) attributes: Attributes,
}

/// A session's subscriptions, each with its number in the channel's subscriber list. `closed` stops late comers; the
/// names stay readable after the end, for whoever handles the event.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionMap {
    pub(crate) numbers: HashMap<ChannelName, u64>,
    pub(crate) closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queue: Queue,
    /// The newest connect; an older one finds that it has been superseded.
    pub(super) generation: u64,
    /// Wakes the held connect, or the task of the transport that pushes and holds a connect besides.
    pub(super) waker: Option<Waker>,
    /// Whether the newest consumer pushes.
    pub(super) is_pushed: bool,
    /// How many that push there have been; tells the newest from older ones.
    pub(super) pushes: u32,
    /// Whether a connect was ever answered: the first is never held.
    pub(super) connected: bool,
    /// Answers taken from the queue so far; tells whether a given-back one would break the order.
    pub(super) answers: u64,
    pub(super) closed: Option<Reason>,
    pub(super) pace: Pace,
    /// What is not known to have arrived, if the client acknowledges.
    pub(super) acks: Option<Box<Acks>>,
    /// The latest publishes, if they are to be remembered.
    pub(super) published: Option<Box<Published>>,
    /// How many batches are open.
    pub(super) batches: u32,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few sessions have, so that the others do not pay for it.
#[derive(Debug, Default)]
pub(super) struct Rare {
    pub(super) times: OwnTimes,
    /// Until when the queue may stay where it is, if all in it is lazy.
    pub(super) lazy_until: Option<Instant>,
    /// The right to the session, where there are so many for each.
    pub(super) admitted: Option<Admitted>,
}

/// Why a session did not take a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    /// The session had ended.
    Closed(Reason),
    /// The queue was full.
    Full(Reason),
}

impl Session {
    pub(crate) fn new(id: ClientId, origin: Option<Origin>, hub: Arc<Hub>) -> Arc<Self> {
        let deadline = hub.deadline(hub.times.life(hub.times.interval));
        Arc::new(Self {
            id,
            browser: origin.map(|origin| origin.browser),
            bound: AtomicBool::new(origin.is_some_and(|origin| origin.returned)),
            hears_others_only: AtomicBool::new(false),
            deadline: AtomicU64::new(deadline),
            subscriptions: Mutex::default(),
            state: Mutex::default(),
            attributes: Attributes::default(),
            bucket: Bucket::default(),
            connects: Bucket::default(),
            hub,
        })
    }

    /// The cookie that the session was made with.
    pub(crate) const fn browser(&self) -> Option<BrowserId> {
        self.browser
    }

    /// Whether the client has ever returned that cookie.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound.load(Relaxed)
    }

    pub(crate) fn bind(&self) {
        // Not written where nothing changes: others read what stands beside it.
        if !self.is_bound() {
            self.bound.store(true, Relaxed);
        }
    }

    /// Whether the session, for its part, gets what it publishes.
    pub(crate) fn hears_itself(&self) -> bool {
        !self.hears_others_only.load(Relaxed)
    }

    pub(super) fn set_hears_itself(&self, hears: bool) {
        self.hears_others_only.store(!hears, Relaxed);
    }

    /// Takes one of the messages that the client may send, if there is one left.
    pub(crate) fn may_send(&self, rate: MessageRate) -> bool {
        self.bucket.take(rate, self.hub.now_in_nanos())
    }

    /// How long a connect that would be answered at once is to wait, if there were too many of the kind.
    pub(crate) fn connect_pause(&self) -> Option<Duration> {
        let rate = self.hub.connect_rate;
        if !rate.is_limit() {
            return None;
        }
        self.connects.take_or_wait(rate, self.hub.now_in_nanos())
    }

    /// Whether a connect is in progress, or something pushes.
    pub(crate) fn has_consumer(&self) -> bool {
        self.deadline.load(Relaxed) == NEVER
    }

    /// Whether the client comes back before its pause is over: its deadline lies further ahead than a sign of life alone
    /// would move it. Asked before the connect is begun.
    pub(super) fn is_early(&self, now: Instant, times: &Times) -> bool {
        /// What a client's clock and timers may be off.
        const LEEWAY: Duration = Duration::from_millis(200);
        let deadline = self.deadline.load(Relaxed);
        !times.interval.is_zero()
            && deadline != NEVER
            && deadline > self.hub.deadline_from(now, times.max_interval.saturating_add(LEEWAY))
    }

    /// Keeps the right to the session until its end.
    pub(crate) fn keep(&self, admitted: Admitted) {
        self.state().rare.get_or_insert_default().admitted = Some(admitted);
    }

    /// Whether nobody has ended it yet.
    pub(crate) fn is_open(&self) -> bool {
        self.state().closed.is_none()
    }

    /// Attaches values before the session is known to anybody.
    pub(crate) fn attach(&self, attributes: Vec<Value>) {
        for value in attributes {
            self.attributes.put(value);
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The subscriptions, locked. The channel index may be changed under this lock, never the other way round.
    pub(crate) fn subscriptions(&self) -> MutexGuard<'_, SubscriptionMap> {
        lock(&self.subscriptions)
    }

    /// A sign of life: at least `max_interval` from now, unless the session has ended.
    pub(crate) fn touch(&self) {
        let state = self.state();
        if state.closed.is_none() {
            let deadline = self.hub.deadline(self.times_in(&state).max_interval);
            self.deadline.fetch_max(deadline, Relaxed);
        }
    }

    /// Takes the deadline away while a connect is in progress.
    pub(super) fn suspend_expiry(&self) {
        self.deadline.store(NEVER, Relaxed);
    }

    /// Sets the deadline anew when a connect of a client that pauses for `interval` has ended, or what pushes has; called
    /// under the state lock, by the newest consumer only.
    pub(super) fn arm_expiry(&self, now: Instant, times: &Times, interval: Duration) {
        let deadline = self.hub.deadline_from(now, times.life(interval));
        self.deadline.store(deadline, Relaxed);
    }

    pub(crate) fn has_expired(&self, now: u64) -> bool {
        self.deadline.load(Relaxed) <= now
    }

    /// Until when the session surely does not expire, as long as it has no times of its own: after whatever connect ends
    /// from now on, it stays for the server's `max_interval` at least.
    pub(super) fn safe_until(&self) -> u64 {
        let deadline = self.deadline.load(Relaxed);
        deadline.min(self.hub.deadline(self.hub.times.max_interval))
    }

    /// Queues a message. What must not happen under a lock is left to `delivery`.
    pub(crate) fn offer(self: &Arc<Self>, message: &Bytes, delivery: &mut Delivery<'_>) -> Result<(), Refused> {
        delivery.count_offer();
        let size = signed(message.len());
        let limits = &self.hub.limits;
        let mut state = self.state();
        if let Some(reason) = state.closed {
            return Err(Refused::Closed(reason));
        }
        let kept = state.acks.as_ref().map_or((0, 0), |acks| acks.size());
        match state.queue.push(message.clone(), limits, kept) {
            Pushed::Queued { evicted, evicted_bytes } => {
                if evicted > 0 {
                    self.evicted(evicted, &mut state);
                }
                delivery.queued(1 - signed(evicted), size - signed(evicted_bytes));
                state.gather_within(limits);
                if state.has_queued(delivery.lazy())
                    && state.gathers_until().is_none()
                    && state.batches == 0
                    && let Some(waker) = state.waker.take()
                {
                    delivery.wake(waker);
                }
                Ok(())
            }
            Pushed::Dropped => {
                self.count_overflow(Reason::NewestDropped, 1);
                Err(Refused::Full(Reason::NewestDropped))
            }
            Pushed::Overflow => {
                self.count_overflow(Reason::QueueOverflow, 1);
                delivery.overflowed(Arc::clone(self));
                Err(Refused::Full(Reason::QueueOverflow))
            }
        }
    }

    /// Messages have made room for a newer one.
    #[cold]
    fn evicted(&self, count: usize, state: &mut State) {
        self.count_overflow(Reason::OldestDropped, count);
        if let Some(acks) = &mut state.acks {
            acks.evicted(count);
        }
    }

    /// Rare, and kept out of the way of each message that is queued.
    #[cold]
    fn count_overflow(&self, reason: Reason, count: usize) {
        self.hub.counters.dropped.add(reason, count);
        self.hub.note(Trouble::SlowConsumers);
    }

    /// Whether another consumer than connects gets the messages.
    pub(crate) fn is_pushed(&self) -> bool {
        self.state().is_pushed
    }

    /// Wakes the held connect, so that it looks round.
    pub(crate) fn wake(&self) {
        let waker = self.state().waker.take();
        wake(waker);
    }
}

/// Sizes in memory are far below the sign bit.
pub(super) fn signed(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
