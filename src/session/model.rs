//! Every order in which threads may come to a session's locks, tried by loom: the queue and the held connect, as they are.
//!
//! `tests/run model` runs these. A wake-up that gets lost shows as a deadlock, which loom reports. `LOOM_MAX_PREEMPTIONS`
//! bounds how often a thread is interrupted where it need not be; without it, all orders are tried.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use loom::thread;
use tokio::time::Instant;

use super::{
    AdmissionLimits, Asked, Batch, Connect, Delivery, Held, Host, Hub, MessageRate, OverflowPolicy, QueueLimits, Role,
    ServerSession, Session, Settings, Taken, Times,
};
use crate::{
    Reason,
    protocol::{ClientId, Frame},
};

/// There is no floor above.
struct Nobody;

impl Host for Nobody {
    fn remove(&self, _: &Arc<Session>, _: Reason) {}

    fn extend(&self, _: &ServerSession, frame: Frame) -> Option<Frame> {
        Some(frame)
    }

    fn bury(&self, _: &ClientId) {}

    fn has_own_times(&self, _: &ClientId) {}

    fn sweep(&self, _: usize) {}
}

const A_WHILE: Duration = Duration::from_secs(30);

/// Tries `body` in every order. Timers are made, but no time passes.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let mut model = loom::model::Builder::new();
    // Bugs show with two; more take their time.
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.check(body);
}

/// Loom's waker does not know its clones, as those of runtimes do; and a held connect looks at that.
struct Known(Waker);

impl Wake for Known {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut known = None;
    loom::future::block_on(poll_fn(|cx| {
        let waker = known.get_or_insert_with(|| Waker::from(Arc::new(Known(cx.waker().clone()))));
        assert!(waker.will_wake(&waker.clone()));
        future.as_mut().poll(&mut Context::from_waker(waker))
    }))
}

/// A session that was connected before, so that its connects are held.
fn session() -> Arc<Session> {
    let rate = MessageRate::per_second(u32::MAX);
    let settings = Settings {
        limits: QueueLimits {
            messages: 16,
            bytes: 1024,
            overflow: OverflowPolicy::Disconnect,
        },
        held_per_browser: usize::MAX,
        admission: AdmissionLimits {
            sessions_per_address: usize::MAX,
            sessions_per_browser: usize::MAX,
            handshake_rate: rate,
        },
        refusal_rate: rate,
        connect_rate: rate,
        times: Times::new(A_WHILE, Duration::ZERO, A_WHILE),
        max_lazy_timeout: A_WHILE,
        gather: Duration::ZERO,
    };
    let hub = Hub::new(settings, Weak::<Nobody>::new());
    let session = Session::new(ClientId::generate(&hub.random), None, Arc::new(hub));
    connect(&session).answer_now().lease.commit();
    session
}

fn connect(session: &Arc<Session>) -> Connect {
    connect_as(session, Role::Polls)
}

fn connect_as(session: &Arc<Session>, role: Role) -> Connect {
    let asked = Asked {
        role,
        interval: None,
        acknowledged: None,
        at: Instant::now(),
    };
    Connect::begin(Arc::clone(session), asked).0
}

fn held(session: &Arc<Session>) -> Held {
    connect(session).hold(Some(A_WHILE))
}

fn offer(session: &Arc<Session>, message: &'static str) {
    let hub = Arc::clone(&session.hub);
    let mut delivery = Delivery::new(&hub);
    let _closed = session.offer(&Bytes::from_static(message.as_bytes()), &mut delivery);
    delivery.flush();
}

/// What an answer brings, once it is sent.
fn sent(mut taken: Taken) -> Vec<Bytes> {
    let messages = taken.lease.messages().iter().cloned().collect();
    taken.lease.commit();
    messages
}

fn rest(session: &Arc<Session>) -> Vec<Bytes> {
    sent(connect(session).answer_now())
}

#[test]
fn a_message_always_wakes_the_held_connect() {
    model(|| {
        let session = session();
        let held = held(&session);
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || offer(&publisher, "a"));
        let taken = block_on(held);
        assert_eq!(taken.reason, Reason::Delivered);
        assert_eq!(sent(taken), ["a"]);
        publisher.join().unwrap();
    });
}

#[test]
fn each_publisher_is_heard_once_and_in_order() {
    model(|| {
        let session = session();
        let publishers = [["a1", "a2"], ["b1", "b2"]].map(|messages| {
            let session = Arc::clone(&session);
            thread::spawn(move || messages.iter().for_each(|message| offer(&session, message)))
        });
        let mut all = sent(block_on(held(&session)));
        for publisher in publishers {
            publisher.join().unwrap();
        }
        all.extend(rest(&session));
        let of = |publisher: &[u8]| {
            all.iter()
                .filter(|message| message.starts_with(publisher))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(b"a"), ["a1", "a2"]);
        assert_eq!(of(b"b"), ["b1", "b2"]);
    });
}

#[test]
fn a_replaced_connect_always_ends_and_a_message_goes_to_one_of_both() {
    model(|| {
        let session = session();
        let older = held(&session);
        let older = thread::spawn(move || block_on(older));
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || offer(&publisher, "a"));
        let mut all = rest(&session);
        let older = older.join().unwrap();
        assert!(matches!(older.reason, Reason::Superseded | Reason::Delivered));
        all.extend(sent(older));
        publisher.join().unwrap();
        all.extend(rest(&session));
        assert_eq!(all, ["a"]);
    });
}

#[test]
fn a_connect_that_is_dropped_at_any_point_loses_nothing() {
    model(|| {
        let session = session();
        let held = held(&session);
        let broken = thread::spawn(move || {
            let mut held = Box::pin(held);
            // Ready or not, and whatever it has taken: all of it is dropped.
            drop(held.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        });
        offer(&session, "a");
        offer(&session, "b");
        broken.join().unwrap();
        assert_eq!(rest(&session), ["a", "b"]);
    });
}

#[test]
fn a_connect_that_takes_the_place_of_a_broken_one_is_woken() {
    model(|| {
        let session = session();
        let mut broken = Box::pin(held(&session));
        assert!(
            broken
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        let dropped = thread::spawn(move || drop(broken));
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || offer(&publisher, "a"));
        assert_eq!(sent(block_on(held(&session))), ["a"]);
        dropped.join().unwrap();
        publisher.join().unwrap();
        assert!(!session.has_expired(session.hub.now()));
    });
}

#[test]
fn what_comes_back_wakes_the_next_connect() {
    model(|| {
        let session = session();
        offer(&session, "a");
        let unsent = connect(&session).answer_now();
        let unsent = thread::spawn(move || drop(unsent));
        assert_eq!(sent(block_on(held(&session))), ["a"]);
        unsent.join().unwrap();
    });
}

#[test]
fn what_comes_back_never_follows_what_is_newer() {
    model(|| {
        let session = session();
        offer(&session, "a");
        let unsent = connect(&session).answer_now();
        let unsent = thread::spawn(move || drop(unsent));
        offer(&session, "b");
        let mut all = rest(&session);
        unsent.join().unwrap();
        all.extend(rest(&session));
        let lost = session.hub.counters.lost.load(Relaxed);
        if lost == 0 {
            assert_eq!(all, ["a", "b"])
        } else {
            assert_eq!((lost, &*all), (1, &["b".into()][..]))
        }
    });
}

#[test]
fn the_end_of_a_session_always_ends_its_connect() {
    model(|| {
        let session = session();
        let held = held(&session);
        let closer = Arc::clone(&session);
        let closer = thread::spawn(move || assert!(closer.close(Reason::ClientDisconnect)));
        let taken = block_on(held);
        assert_eq!(taken.reason, Reason::ClientDisconnect);
        assert!(sent(taken).is_empty());
        closer.join().unwrap();
    });
}

#[test]
fn the_farewell_comes_after_what_was_accepted() {
    model(|| {
        let session = session();
        let held = held(&session);
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || offer(&publisher, "a"));
        let closer = Arc::clone(&session);
        let closer = thread::spawn(move || assert!(closer.close(Reason::ServerDisconnect)));
        let mut all = sent(block_on(held));
        publisher.join().unwrap();
        closer.join().unwrap();
        all.extend(rest(&session));
        let farewell = all.pop().unwrap();
        assert_eq!(farewell, crate::protocol::FAREWELL);
        assert!(all.is_empty() || all == ["a"]);
    });
}

#[test]
fn a_session_expires_or_is_connected_but_never_both() {
    model(|| {
        let session = session();
        session.deadline.store(0, SeqCst);
        let sweeper = Arc::clone(&session);
        let sweeper = thread::spawn(move || sweeper.close(Reason::Expired));
        let taken = connect(&session).answer_now();
        let has_expired = sweeper.join().unwrap();
        // It may have expired right after the answer was made, but then the answer has armed it anew.
        assert_eq!(has_expired, taken.reason == Reason::Expired);
    });
}

#[test]
fn the_end_of_a_batch_wakes_the_held_connect() {
    model(|| {
        let session = session();
        let held = held(&session);
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || {
            let batch = Batch::begin(Arc::clone(&publisher));
            offer(&publisher, "a");
            offer(&publisher, "b");
            drop(batch);
        });
        assert_eq!(sent(block_on(held)), ["a", "b"]);
        publisher.join().unwrap();
    });
}

#[test]
fn a_shutdown_always_ends_a_connect() {
    model(|| {
        let session = session();
        let held = held(&session);
        let server = Arc::clone(&session);
        let server = thread::spawn(move || {
            server.hub.drain();
            server.wake();
        });
        assert_eq!(block_on(held).reason, Reason::Shutdown);
        server.join().unwrap();
    });
}

#[test]
fn whoever_takes_over_what_is_pushed_is_woken() {
    model(|| {
        let session = session();
        let older = super::Push::attach(Arc::clone(&session), false);
        let older = thread::spawn(move || take(older));
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || offer(&publisher, "a"));
        let newer = Arc::clone(&session);
        let mut all = rest(&newer);
        all.extend(older.join().unwrap());
        publisher.join().unwrap();
        all.extend(rest(&session));
        assert_eq!(all, ["a"]);
    });
}

#[test]
fn what_pushes_leaves_the_wake_up_to_the_connect_of_a_client_that_acknowledges() {
    model(|| {
        let session = session();
        session.keep_until_acknowledged();
        let mut push = super::Push::attach(Arc::clone(&session), false);
        let mut held = Box::pin(connect_as(&session, Role::Heartbeat).hold(Some(A_WHILE)));
        let publisher = Arc::clone(&session);
        let publisher = thread::spawn(move || offer(&publisher, "a"));
        // One task polls both, as that of a socket does.
        let taken = block_on(poll_fn(|cx| {
            let answer = held.as_mut().poll(cx);
            assert!(answer.is_ready() || push.poll_take(cx, 1).is_pending());
            answer
        }));
        assert_eq!(sent(taken), ["a"]);
        publisher.join().unwrap();
    });
}

/// What is pushed until somebody else takes over.
fn take(mut push: super::Push) -> Vec<Bytes> {
    let mut all = Vec::new();
    block_on(poll_fn(|cx| {
        loop {
            match push.poll_take(cx, 1) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(lease)) => {
                    all.extend(lease.messages().iter().cloned());
                    lease.commit_pushed();
                }
            }
        }
    }));
    all
}
