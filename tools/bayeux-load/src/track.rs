//! What the whole run has sent and got so far.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::Duration,
};

use hdrhistogram::Histogram;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    Checks, Error,
    ledger::{Arrival, Ledger, Sequence},
    message::Payload,
};

/// Longest latency that is told apart.
const MAX_LATENCY_US: u64 = 600_000_000;

/// Shared by all clients of a run.
#[derive(Debug)]
pub(crate) struct Track {
    start: Instant,
    pub(crate) deliveries: Cell<u64>,
    pub(crate) expected: Cell<u64>,
    /// Answers to connects that brought messages.
    pub(crate) answers: Cell<u64>,
    /// Messages published, or rounds done.
    pub(crate) operations: Cell<u64>,
    /// Those whose latency counts were to be sent after this moment.
    measured_from: Cell<u64>,
    pub(crate) latency: RefCell<Histogram<u64>>,
    pub(crate) checks: RefCell<Checks>,
    /// How many subscribers each channel has.
    members: RefCell<BTreeMap<u32, u32>>,
    sent: RefCell<HashMap<Sequence, u64>>,
    /// By publisher: how many have yet to get its last message.
    awaited: RefCell<HashMap<u32, Rc<Awaited>>>,
}

/// Deliveries that a publisher waits for.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    left: Cell<u32>,
    all_have_it: Notify,
}

impl Track {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self {
            start: Instant::now(),
            deliveries: Cell::default(),
            expected: Cell::default(),
            answers: Cell::default(),
            operations: Cell::default(),
            measured_from: Cell::new(u64::MAX),
            latency: RefCell::new(histogram()),
            checks: RefCell::default(),
            members: RefCell::default(),
            sent: RefCell::default(),
            awaited: RefCell::default(),
        })
    }

    /// Microseconds since the run began.
    pub(crate) fn at(&self, moment: Instant) -> u64 {
        micros(moment.saturating_duration_since(self.start))
    }

    pub(crate) fn measure_from_now(&self) {
        self.measured_from.set(self.at(Instant::now()));
    }

    pub(crate) fn awaited(&self, publisher: u32) -> Rc<Awaited> {
        Rc::clone(self.awaited.borrow_mut().entry(publisher).or_default())
    }

    /// Notes a subscriber of these channels.
    pub(crate) fn joined(&self, channels: &[u32]) {
        let mut members = self.members.borrow_mut();
        for channel in channels {
            *members.entry(*channel).or_default() += 1;
        }
    }

    /// The channels that somebody has subscribed to.
    pub(crate) fn channels_with_members(&self) -> Vec<u32> {
        self.members.borrow().keys().copied().collect()
    }

    /// Notes a message that is about to be sent, and gives it its number.
    pub(crate) fn sending(&self, sequence: Sequence, awaited: &Awaited) -> u64 {
        let members = self
            .members
            .borrow()
            .get(&sequence.channel)
            .copied()
            .unwrap_or_default();
        awaited.left.set(awaited.left.get() + members);
        self.expected.set(self.expected.get() + u64::from(members));
        self.operations.set(self.operations.get() + 1);
        let mut sent = self.sent.borrow_mut();
        let next = sent.entry(sequence).or_default();
        *next += 1;
        *next - 1
    }

    /// Notes a message that a subscriber has got.
    pub(crate) fn arrived(&self, ledger: &mut Ledger, awaited: &Awaited, payload: &Payload<'_>) {
        let sequence = Sequence {
            publisher: payload.p,
            channel: payload.c,
        };
        match ledger.arrived(sequence, payload.s) {
            Arrival::Duplicate => {
                self.checks.borrow_mut().duplicated += 1;
                return;
            }
            Arrival::Late => self.checks.borrow_mut().out_of_order += 1,
            Arrival::InOrder => {}
        }
        self.deliveries.set(self.deliveries.get() + 1);
        if payload.t >= self.measured_from.get() {
            self.record(self.at(Instant::now()).saturating_sub(payload.t));
        }
        awaited.left.set(awaited.left.get().saturating_sub(1));
        if awaited.left.get() == 0 {
            awaited.all_have_it.notify_one();
        }
    }

    pub(crate) fn record(&self, latency_us: u64) {
        self.latency.borrow_mut().saturating_record(latency_us);
    }

    /// Notes an operation that was to begin at a moment and has ended now.
    pub(crate) fn done(&self, began: Instant) {
        self.operations.set(self.operations.get() + 1);
        if self.at(began) >= self.measured_from.get() {
            self.record(micros(began.elapsed()));
        }
    }

    pub(crate) fn misrouted(&self) {
        self.checks.borrow_mut().misrouted += 1;
    }

    pub(crate) fn failed(&self, error: &Error) {
        let mut checks = self.checks.borrow_mut();
        checks.errors += 1;
        checks.first_error.get_or_insert_with(|| error.to_string());
    }

    pub(crate) fn not_set_up(&self, client: u32, error: &Error) {
        self.failed(&format!("client {client} could not be set up: {error}").into());
    }

    /// With no client there is nothing to measure: the first error is that of the run.
    pub(crate) fn check_anyone(&self, clients: usize) -> Result<(), Error> {
        match &self.checks.borrow().first_error {
            Some(error) if clients == 0 => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// Counts what a subscriber of these channels should have got and has not.
    pub(crate) fn count_lost(&self, ledger: &Ledger, channels: &[u32]) {
        let sent = self.sent.borrow();
        let of_its_channels = sent.iter().filter(|(sequence, _)| channels.contains(&sequence.channel));
        let lost: u64 = of_its_channels
            .map(|(sequence, sent)| ledger.lost(*sequence, *sent))
            .sum();
        self.checks.borrow_mut().lost += lost;
    }

    /// Waits until everything sent has come, or nothing has for a while.
    pub(crate) async fn drain(&self, stall: Duration) {
        let mut deliveries = self.deliveries.get();
        let mut since = Instant::now();
        while self.deliveries.get() < self.expected.get() && since.elapsed() < stall {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if deliveries != self.deliveries.get() {
                deliveries = self.deliveries.get();
                since = Instant::now();
            }
        }
    }
}

impl Awaited {
    /// Waits until all have what was sent; an error if none of them gets it for a while.
    pub(crate) async fn all(&self, stall: Duration) -> Result<(), Error> {
        let mut left = self.left.get();
        while left > 0 {
            let some_have_it = timeout(stall, self.all_have_it.notified()).await.is_ok() || self.left.get() < left;
            left = self.left.get();
            if left > 0 && !some_have_it {
                return Err(format!("{left} subscribers did not get a message within {stall:?}").into());
            }
        }
        Ok(())
    }
}

fn histogram() -> Histogram<u64> {
    // The bounds are valid: it can't fail, and if it did, it would still grow as needed.
    Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)
        .unwrap_or_else(|_| Histogram::new(3).expect("three digits are valid"))
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
