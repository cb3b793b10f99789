//! A server, and a model of it that is small enough to be believed.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_bayeux::{AnswerInfo, BayeuxServer, Event, EventStream, Outcome, OverflowPolicy, Reason};

use crate::common::{self, Answer, InFlight, RawResponse};

const TIMEOUT: Duration = Duration::from_millis(500);
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// How late the server may notice that a session has expired.
const SWEEP: Duration = Duration::from_millis(150);

/// One thing that happens. Clients, requests and responses are named by a number, whatever it is.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A client comes, and acknowledges what it gets or not.
    Handshake(bool),
    Subscribe(usize),
    Unsubscribe(usize),
    /// The application publishes so many messages.
    Publish(u64),
    ClientPublish(usize),
    /// A connect begins: one that may be held, or one that is not to be.
    Connect {
        client: usize,
        polls: bool,
    },
    /// A connect is dropped before anything has happened.
    ConnectUnpolled(usize),
    /// The connection of a held connect looks round.
    Poll(usize),
    /// The connection of a held connect breaks.
    Break(usize),
    /// A response is sent.
    Read(usize),
    /// The connection of a response breaks before it is sent.
    Discard(usize),
    Disconnect(usize),
    Pass(Duration),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most messages in a queue; older ones go.
    pub(crate) queue: usize,
}

/// Plays the steps, and sees to it that nothing is left when everybody has gone.
pub(crate) fn run(steps: &[Step], limits: Limits) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(limits);
        for step in steps {
            world.play(step).await;
            world.compare();
        }
        world.end().await;
    });
}

/// Remembers that it was woken.
#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A client, as the model sees it.
#[derive(Debug)]
struct Client {
    id: String,
    acknowledges: bool,
    is_alive: bool,
    left: Option<Reason>,
    is_subscribed: bool,
    connected: bool,
    /// Which connect is the newest.
    newest: u64,
    queue: VecDeque<u64>,
    /// Answers with messages so far.
    answers: u64,
    /// Batches so far, and those that are kept until they are acknowledged.
    batch: u64,
    kept: VecDeque<(u64, Vec<u64>)>,
    /// What the client has acknowledged last, and what it has got.
    acknowledged: u64,
    received: Vec<u64>,
    /// Every message that was ever queued for it.
    offered: Vec<u64>,
    lost: usize,
    dropped: usize,
    /// Answers before this one are not read any more.
    read: u64,
    /// Its last sign of life.
    seen: Instant,
}

struct Held {
    client: usize,
    number: u64,
    begun: Instant,
    request: InFlight,
    bell: Arc<Bell>,
}

/// A response that nobody has asked for its body yet, and what is in it.
struct Unread {
    client: usize,
    number: u64,
    answer: u64,
    batch: u64,
    messages: Vec<u64>,
    response: RawResponse,
}

struct World {
    server: BayeuxServer,
    events: EventStream,
    limits: Limits,
    clients: Vec<Client>,
    held: Vec<Held>,
    unread: Vec<Unread>,
    published: u64,
    given_back: u64,
    delivered: u64,
    evicted: usize,
}

impl World {
    fn new(limits: Limits) -> Self {
        let server = BayeuxServer::builder()
            .timeout(TIMEOUT)
            .max_interval(MAX_INTERVAL)
            // Gathering has tests of its own.
            .gather(Duration::ZERO)
            .max_queue_messages(limits.queue)
            .overflow(OverflowPolicy::DropOldest)
            .build();
        Self {
            events: server.events(),
            server,
            limits,
            clients: Vec::new(),
            held: Vec::new(),
            unread: Vec::new(),
            published: 0,
            given_back: 0,
            delivered: 0,
            evicted: 0,
        }
    }

    async fn play(&mut self, step: &Step) {
        match *step {
            Step::Handshake(acknowledges) => self.handshake(acknowledges).await,
            Step::Subscribe(client) => self.subscribe(client, "/meta/subscribe").await,
            Step::Unsubscribe(client) => self.subscribe(client, "/meta/unsubscribe").await,
            Step::Publish(count) => (0..count).for_each(|_| {
                self.published += 1;
                self.server.publish("/a", &self.published).unwrap();
                self.offer();
            }),
            Step::ClientPublish(client) => {
                let message = json!({ "channel": "/a", "data": self.published + 1 });
                if self.ask(client, message).await == Some(true) {
                    self.published += 1;
                    self.offer();
                }
            }
            Step::Connect { client, polls } => self.connect(client, polls),
            Step::ConnectUnpolled(client) => {
                if let Some(client) = pick(client, self.clients.len()) {
                    drop(common::start(&self.server, self.clients[client].connect(false)));
                }
            }
            Step::Poll(held) => {
                if let Some(held) = pick(held, self.held.len()) {
                    let held = self.held.swap_remove(held);
                    self.poll(held, false);
                }
            }
            Step::Break(held) => {
                if let Some(held) = pick(held, self.held.len()) {
                    let held = self.held.swap_remove(held);
                    self.break_off(held);
                }
            }
            Step::Read(unread) => {
                if let Some(unread) = pick(unread, self.unread.len()) {
                    let unread = self.unread.swap_remove(unread);
                    self.read(unread).await;
                }
            }
            Step::Discard(unread) => {
                if let Some(unread) = pick(unread, self.unread.len()) {
                    let unread = self.unread.swap_remove(unread);
                    self.discard(unread);
                }
            }
            Step::Disconnect(client) => {
                self.ask(client, json!({ "channel": "/meta/disconnect" })).await;
            }
            Step::Pass(time) => {
                tokio::time::sleep(time).await;
                self.hear();
            }
        }
    }

    async fn handshake(&mut self, acknowledges: bool) {
        let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0", "ext": { "ack": acknowledges } }]);
        let reply = common::send_json(&self.server, handshake).await.only();
        self.clients.push(Client {
            id: reply["clientId"].as_str().unwrap().to_owned(),
            acknowledges,
            is_alive: true,
            left: None,
            is_subscribed: false,
            connected: false,
            newest: 0,
            queue: VecDeque::new(),
            answers: 0,
            batch: 0,
            kept: VecDeque::new(),
            acknowledged: 0,
            received: Vec::new(),
            offered: Vec::new(),
            lost: 0,
            dropped: 0,
            read: 0,
            seen: Instant::now(),
        });
        self.hear();
    }

    async fn subscribe(&mut self, client: usize, channel: &str) {
        let message = json!({ "channel": channel, "subscription": "/a" });
        let done = self.ask(client, message).await;
        if let Some(client) = pick(client, self.clients.len())
            && done == Some(true)
        {
            self.clients[client].is_subscribed = channel == "/meta/subscribe";
        }
    }

    /// Sends a message of a client's; it succeeds exactly if there is a session.
    async fn ask(&mut self, client: usize, mut message: Value) -> Option<bool> {
        let client = pick(client, self.clients.len())?;
        message["clientId"] = self.clients[client].id.clone().into();
        let is_disconnect = message["channel"] == "/meta/disconnect";
        let reply = common::send_json(&self.server, json!([message])).await.only();
        let client = &mut self.clients[client];
        let was_alive = client.is_alive;
        client.seen = Instant::now();
        self.hear();
        let successful = reply["successful"].as_bool().unwrap();
        let client = self.clients.iter().find(|client| client.id == message["clientId"])?;
        // One whose time is over may end before its message is looked at.
        let has_left = is_disconnect && was_alive && client.left == Some(Reason::ClientDisconnect);
        assert_eq!(successful, client.is_alive || has_left, "{reply}");
        Some(successful)
    }

    /// A message goes to all who have subscribed.
    fn offer(&mut self) {
        let (number, most) = (self.published, self.limits.queue);
        for client in self
            .clients
            .iter_mut()
            .filter(|client| client.is_alive && client.is_subscribed)
        {
            client.offered.push(number);
            let kept: usize = client.kept.iter().map(|(_, messages)| messages.len()).sum();
            if kept >= most {
                // To drop what is queued would make no room.
                client.dropped += 1;
                continue;
            }
            while client.queue.len() + kept >= most && client.queue.pop_front().is_some() {
                client.dropped += 1;
                self.evicted += 1;
            }
            client.queue.push_back(number);
        }
    }

    fn connect(&mut self, client: usize, polls: bool) {
        let Some(index) = pick(client, self.clients.len()) else {
            return;
        };
        let request = common::start(&self.server, self.clients[index].connect(polls));
        let number = self.clients[index].newest + 1;
        let held = Held {
            client: index,
            number,
            begun: Instant::now(),
            request,
            bell: Arc::default(),
        };
        self.begin(held, polls);
    }

    /// The first poll of a connect is when it begins.
    fn begin(&mut self, mut held: Held, polls: bool) {
        let polled = held.poll();
        self.hear();
        let client = &mut self.clients[held.client];
        if !client.is_alive {
            let Poll::Ready(response) = polled else {
                panic!("held without a session")
            };
            assert_eq!(outcome(&response), Reason::UnknownSession);
            return;
        }
        client.newest = held.number;
        client.seen = Instant::now();
        if client.acknowledges {
            let acknowledged = client.acknowledged;
            let again: Vec<_> = client
                .kept
                .drain(..)
                .filter(|(batch, _)| *batch > acknowledged)
                .collect();
            again
                .into_iter()
                .rev()
                .flat_map(|(_, messages)| messages.into_iter().rev())
                .for_each(|message| {
                    client.queue.push_front(message);
                });
        }
        let may_be_held = client.connected && !polls;
        self.polled(held, polled, !may_be_held);
    }

    fn poll(&mut self, mut held: Held, must_be_ready: bool) {
        let polled = held.poll();
        self.hear();
        self.polled(held, polled, must_be_ready);
    }

    fn polled(&mut self, held: Held, polled: Poll<RawResponse>, must_be_ready: bool) {
        let is_due = self.is_due(&held);
        match polled {
            Poll::Pending => {
                assert!(!is_due && !must_be_ready, "a connect sleeps on");
                self.held.push(held);
            }
            Poll::Ready(response) => {
                assert!(is_due || must_be_ready, "a connect ends for no reason");
                self.answered(&held, response);
            }
        }
    }

    fn is_due(&self, held: &Held) -> bool {
        let client = &self.clients[held.client];
        held.number != client.newest || !client.is_alive || !client.queue.is_empty() || held.begun.elapsed() >= TIMEOUT
    }

    /// A connect was answered: with everything, if it is the newest one.
    fn answered(&mut self, held: &Held, response: RawResponse) {
        let reason = outcome(&response);
        let client = &mut self.clients[held.client];
        let is_newest = held.number == client.newest;
        assert_eq!(reason != Reason::Superseded, is_newest, "{reason}");
        let mut unread = Unread {
            client: held.client,
            number: held.number,
            answer: 0,
            batch: 0,
            messages: Vec::new(),
            response,
        };
        if is_newest {
            match reason {
                Reason::Delivered => assert!(!client.queue.is_empty()),
                Reason::Timeout => assert!(client.queue.is_empty() && held.begun.elapsed() >= TIMEOUT),
                Reason::NotHeld => {}
                _ => assert!(!client.is_alive, "{reason}"),
            }
            client.connected = true;
            client.seen = Instant::now();
            unread.messages = client.queue.drain(..).collect();
            client.answers += u64::from(!unread.messages.is_empty());
            unread.answer = client.answers;
            if client.acknowledges {
                client.batch += 1;
                unread.batch = client.batch;
                if !unread.messages.is_empty() {
                    client.kept.push_back((client.batch, unread.messages.clone()));
                }
            }
        }
        assert_eq!(info(&unread.response).messages, unread.messages.len());
        self.unread.push(unread);
    }

    fn break_off(&mut self, held: Held) {
        let client = &mut self.clients[held.client];
        if held.number == client.newest {
            client.seen = Instant::now();
        }
        drop(held);
    }

    /// The client gets an answer, unless it has gone on to a newer one.
    async fn read(&mut self, unread: Unread) {
        let client = &mut self.clients[unread.client];
        let is_stale = if client.acknowledges {
            unread.number != client.newest
        } else {
            unread.answer < client.read
        };
        if is_stale {
            self.discard(unread);
            return;
        }
        client.read = unread.answer;
        let answer = common::read(unread.response).await;
        assert_eq!(numbers(&answer), unread.messages);
        self.delivered += unread.messages.len() as u64;
        client.received.extend(&unread.messages);
        assert!(client.received.is_sorted_by(|a, b| a < b), "{:?}", client.received);
        if unread.batch > 0 {
            let batch = answer.connect_reply()["ext"]["ack"].as_u64().unwrap();
            assert_eq!(batch, unread.batch);
            client.acknowledged = batch;
        }
    }

    /// An answer is dropped unsent: its messages go back, unless they are kept anyway or it is too late.
    fn discard(&mut self, unread: Unread) {
        let client = &mut self.clients[unread.client];
        if unread.batch == 0 && !unread.messages.is_empty() {
            if client.is_alive && client.answers == unread.answer {
                self.given_back += unread.messages.len() as u64;
                unread
                    .messages
                    .iter()
                    .rev()
                    .for_each(|message| client.queue.push_front(*message));
            } else {
                client.lost += unread.messages.len();
            }
        }
        drop(unread.response);
    }

    /// Learns who has left.
    fn hear(&mut self) {
        while let Some(Some(event)) = self.events.recv().now_or_never() {
            let Event::SessionRemoved { session, reason, .. } = event else {
                continue;
            };
            let id = session.id().to_string();
            let index = self.clients.iter().position(|client| client.id == id).unwrap();
            let is_connecting = self
                .held
                .iter()
                .any(|held| held.client == index && held.number == self.clients[index].newest);
            let client = &mut self.clients[index];
            assert!(client.is_alive, "it has left twice");
            if reason == Reason::Expired {
                assert!(!is_connecting, "a session expires while its connect is held");
            }
            client.is_alive = false;
            client.left = Some(reason);
            client.dropped += client.queue.len();
            client.queue.clear();
        }
    }

    /// The server agrees with the model.
    fn compare(&self) {
        let stats = self.server.stats();
        let sum = |count: fn(&Client) -> usize| self.clients.iter().map(count).sum::<usize>() as u64;
        assert_eq!(stats.sessions, sum(|client| usize::from(client.is_alive)));
        assert_eq!(stats.held_connects, self.held.len() as u64);
        assert_eq!(stats.queued_messages, sum(|client| client.queue.len()));
        assert_eq!(stats.queued_bytes == 0, stats.queued_messages == 0);
        assert_eq!(stats.lost_messages, sum(|client| client.lost));
        assert_eq!(stats.dropped_messages.total(), sum(|client| client.dropped));
        assert_eq!(stats.dropped_messages.count(Reason::OldestDropped), self.evicted as u64);
        assert_eq!(stats.given_back_messages, self.given_back);
        assert_eq!(stats.delivered_messages, self.delivered);
        for held in &self.held {
            assert!(!self.is_due(held) || held.bell.0.load(SeqCst), "nobody wakes a connect");
        }
        let subscribed = self
            .clients
            .iter()
            .filter(|client| client.is_alive && client.is_subscribed)
            .count();
        assert_eq!(self.server.subscriber_count("/a"), subscribed);
        for client in self.clients.iter().filter(|client| client.is_alive) {
            let is_held = self
                .held
                .iter()
                .any(|held| held.number == client.newest && self.clients[held.client].id == client.id);
            assert!(
                is_held || client.seen.elapsed() <= MAX_INTERVAL + SWEEP,
                "a session outlives its client"
            );
        }
    }

    /// All go on until they have got what there is, and then go.
    async fn end(mut self) {
        while let Some(held) = self.held.pop() {
            self.break_off(held);
        }
        while let Some(unread) = self.unread.pop() {
            self.discard(unread);
        }
        self.compare();
        for client in 0..self.clients.len() {
            // The first answer may be one that was given up by the client meanwhile.
            for _ in 0..2 {
                self.connect(client, true);
                while let Some(unread) = self.unread.pop() {
                    self.read(unread).await;
                }
            }
            self.compare();
        }
        for client in self.clients.iter().filter(|client| client.is_alive) {
            assert!(client.queue.is_empty());
            assert_eq!(
                client.received.len() + client.lost + client.dropped,
                client.offered.len()
            );
            assert!(!client.acknowledges || client.lost == 0);
        }
        tokio::time::sleep(2 * MAX_INTERVAL + 2 * SWEEP).await;
        self.hear();
        self.compare();
        let stats = self.server.stats();
        assert_eq!(
            (
                stats.sessions,
                stats.queued_messages,
                stats.queued_bytes,
                stats.held_connects
            ),
            (0, 0, 0, 0)
        );
        assert_eq!((self.server.session_count(), self.server.channel_count()), (0, 0));
    }
}

impl Held {
    fn poll(&mut self) -> Poll<RawResponse> {
        self.bell.0.store(false, SeqCst);
        let waker = Waker::from(Arc::clone(&self.bell));
        self.request.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

impl Client {
    fn connect(&self, polls: bool) -> http::Request<http_body_util::Full<bytes::Bytes>> {
        let mut connect = json!({ "channel": "/meta/connect", "clientId": self.id });
        if polls {
            connect["advice"] = json!({ "timeout": 0 });
        }
        if self.acknowledges {
            connect["ext"] = json!({ "ack": self.acknowledged });
        }
        common::post(json!([connect]).to_string())
    }
}

/// Any number names one of so many, if there is one.
fn pick(number: usize, count: usize) -> Option<usize> {
    number.checked_rem(count)
}

fn info(response: &RawResponse) -> AnswerInfo {
    *response.extensions().get().unwrap()
}

fn outcome(response: &RawResponse) -> Reason {
    match info(response).outcome {
        Outcome::Connected(reason) => reason,
        other => panic!("{other:?}"),
    }
}

fn numbers(answer: &Answer) -> Vec<u64> {
    answer.events().iter().map(|(_, data)| data.as_u64().unwrap()).collect()
}
