//! What the server accepted is not lost inside it, whenever a connection breaks.

mod common;

use std::{collections::VecDeque, task::Poll};

use common::{Client, InFlight, Random, RawResponse, poll_once, read};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, Outcome, OverflowPolicy, Reason};

/// The numbers that were published on `/a`, as an answer brings them.
fn numbers(answer: &common::Answer) -> Vec<u64> {
    answer.events().iter().map(|(_, data)| data.as_u64().unwrap()).collect()
}

fn publish(server: &BayeuxServer, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        server.publish("/a", &number).unwrap();
    }
}

#[track_caller]
fn ready(connect: &mut InFlight) -> RawResponse {
    match poll_once(connect) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("still held"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_unpolled_loses_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=2);
    drop(client.start_connect());
    assert_eq!(numbers(&client.connect().await), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_while_held_loses_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.start_held();
    // The connect is woken, but its connection breaks before it is polled.
    publish(&server, 1..=3);
    drop(held);
    publish(&server, 4..=4);
    assert_eq!(numbers(&client.connect().await), [1, 2, 3, 4]);
    let stats = server.stats();
    assert_eq!(stats.delivered_messages, 4);
    assert_eq!(
        (stats.lost_messages, stats.given_back_messages),
        (0, 0),
        "they never left the queue"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_dropped_unsent_goes_back_to_the_front() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=3);
    let response = client.start_connect().await;
    publish(&server, 4..=5);
    drop(response);
    assert_eq!(server.stats().given_back_messages, 3);
    let answer = client.connect().await;
    assert_eq!(numbers(&answer), [1, 2, 3, 4, 5]);
    assert_eq!(answer.info.unwrap().messages, 5);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_be_dropped_unsent_many_times() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for number in 1..=5 {
        publish(&server, number..=number);
        drop(client.start_connect().await);
    }
    assert_eq!(numbers(&client.connect().await), [1, 2, 3, 4, 5]);
    assert_eq!(server.stats().lost_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_shared_its_request_goes_back_too() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=2);
    let batch = json!([{ "channel": "/b", "data": 1 }, { "channel": "/meta/connect" }]);
    drop(common::start(&server, client.request(batch)).await);
    assert_eq!(numbers(&client.connect().await), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_gets_what_is_given_back() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=2);
    let response = client.start_connect().await;
    let newer = client.hold().await;
    drop(response);
    assert_eq!(numbers(&newer.await.unwrap()), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_behind_a_newer_answer_is_counted_lost() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=2);
    let older = client.start_connect().await;
    publish(&server, 3..=3);
    assert_eq!(numbers(&client.connect().await), [3]);
    drop(older);
    let stats = server.stats();
    assert_eq!((stats.lost_messages, stats.given_back_messages), (2, 0));
    assert_eq!(stats.queued_messages, 0);
    assert!(
        numbers(&client.poll().await).is_empty(),
        "old messages never follow new ones"
    );
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_overtakes_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=2);
    let older = client.start_connect().await;
    assert!(numbers(&client.poll().await).is_empty());
    drop(older);
    assert_eq!(numbers(&client.poll().await), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_after_the_end_is_counted_lost() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=2);
    let response = client.start_connect().await;
    client.disconnect().await;
    drop(response);
    let stats = server.stats();
    assert_eq!(
        (stats.lost_messages, stats.queued_messages, stats.queued_bytes),
        (2, 0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_replaced_connect_takes_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut older = client.start_held();
    let mut newer = client.start_held();
    publish(&server, 1..=2);
    // Whichever is polled first.
    let replaced = read(ready(&mut older)).await;
    assert_eq!(replaced.info.unwrap().outcome, Outcome::Connected(Reason::Superseded));
    assert!(numbers(&replaced).is_empty());
    assert_eq!(replaced.only()["successful"], true);
    assert_eq!(numbers(&read(ready(&mut newer)).await), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_replaced_after_it_was_woken_takes_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut older = client.start_held();
    publish(&server, 1..=2);
    let newer = client.connect().await;
    assert_eq!(numbers(&newer), [1, 2]);
    assert!(numbers(&read(ready(&mut older)).await).is_empty());
    assert_eq!(server.stats().delivered_messages, 2);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_connect_that_breaks_does_not_disturb_the_newer_one() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let older = client.start_held();
    let newer = client.hold().await;
    drop(older);
    publish(&server, 1..=1);
    assert_eq!(numbers(&newer.await.unwrap()), [1]);
}

#[tokio::test(start_paused = true)]
async fn the_overflow_policy_counts_what_is_given_back() {
    let server = BayeuxServer::builder()
        .max_queue_messages(3)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 1..=3);
    let response = client.start_connect().await;
    publish(&server, 4..=5);
    drop(response);
    publish(&server, 6..=6);
    assert_eq!(numbers(&client.poll().await), [4, 5, 6]);
    let stats = server.stats();
    assert_eq!(stats.dropped_messages.count(Reason::OldestDropped), 3);
    assert_eq!(stats.delivered_messages, 3);
}

/// One client whose connections break at random moments, and what it may expect.
struct Subscriber {
    client: Client,
    held: Vec<InFlight>,
    unsent: VecDeque<RawResponse>,
    received: Vec<u64>,
}

impl Subscriber {
    /// Messages that were taken for an answer and neither sent nor given back.
    fn on_loan(&self) -> u64 {
        self.unsent.iter().map(messages_in).sum()
    }

    async fn receive(&mut self, response: RawResponse) {
        let answer = read(response).await;
        assert_eq!(answer.connect_reply()["successful"], true);
        self.received.extend(numbers(&answer));
    }

    /// One random thing that a client, a proxy or a network may do.
    async fn step(&mut self, random: &mut Random) {
        match random.below(8) {
            0 => {
                let mut connect = self.client.start_connect();
                match poll_once(&mut connect) {
                    Poll::Ready(response) => self.unsent.push_back(response),
                    Poll::Pending => self.held.push(connect),
                }
            }
            1 => drop(self.client.start_connect()),
            2 | 3 if !self.held.is_empty() => {
                let index = usize::try_from(random.below(self.held.len() as u64)).unwrap();
                let mut connect = self.held.swap_remove(index);
                match poll_once(&mut connect) {
                    Poll::Ready(response) => self.unsent.push_back(response),
                    Poll::Pending => self.held.push(connect),
                }
            }
            4 if !self.held.is_empty() => {
                let index = usize::try_from(random.below(self.held.len() as u64)).unwrap();
                drop(self.held.swap_remove(index));
            }
            5 | 6 => {
                if let Some(response) = self.unsent.pop_front() {
                    self.receive(response).await;
                }
            }
            _ if !self.unsent.is_empty() => {
                let index = usize::try_from(random.below(self.unsent.len() as u64)).unwrap();
                drop(self.unsent.remove(index));
            }
            _ => {}
        }
    }

    async fn finish(&mut self) {
        self.held.clear();
        while let Some(response) = self.unsent.pop_front() {
            self.receive(response).await;
        }
        let response = self.client.start_connect().await;
        self.receive(response).await;
    }
}

fn messages_in(response: &RawResponse) -> u64 {
    let info: &tower_bayeux::AnswerInfo = response.extensions().get().unwrap();
    info.messages as u64
}

/// Whatever breaks, each message that was published for a subscriber is delivered, queued, on loan to an answer, lost
/// and counted so, or dropped by policy and counted so; and none is delivered twice.
async fn run(seed: u64, policy: OverflowPolicy) {
    const SUBSCRIBERS: u64 = 3;
    let server = BayeuxServer::builder()
        .max_queue_messages(if policy == OverflowPolicy::Disconnect {
            usize::MAX
        } else {
            6
        })
        .overflow(policy)
        .timeout(std::time::Duration::from_secs(5))
        .max_interval(std::time::Duration::from_secs(86_400))
        .build();
    let mut random = Random(seed);
    let mut subscribers = Vec::new();
    for _ in 0..SUBSCRIBERS {
        subscribers.push(Subscriber {
            client: Client::subscribed(&server, "/a").await,
            held: Vec::new(),
            unsent: VecDeque::new(),
            received: Vec::new(),
        });
    }
    let mut published = 0;
    for step in 0..400 {
        let chosen = usize::try_from(random.below(SUBSCRIBERS + 2)).unwrap();
        match subscribers.get_mut(chosen) {
            Some(subscriber) => subscriber.step(&mut random).await,
            None if random.below(40) == 0 => tokio::time::advance(std::time::Duration::from_secs(6)).await,
            None => {
                published += 1;
                publish(&server, published..=published);
            }
        }
        let stats = server.stats();
        let on_loan: u64 = subscribers.iter().map(Subscriber::on_loan).sum();
        let received: u64 = subscribers
            .iter()
            .map(|subscriber| subscriber.received.len() as u64)
            .sum();
        let held: usize = subscribers.iter().map(|subscriber| subscriber.held.len()).sum();
        assert_eq!(stats.published_messages, published);
        assert_eq!(stats.delivered_messages, received, "seed {seed}, step {step}");
        assert_eq!(
            SUBSCRIBERS * published,
            received + stats.queued_messages + on_loan + stats.lost_messages + stats.dropped_messages.total(),
            "seed {seed}, step {step}: {stats:?}"
        );
        assert_eq!(stats.held_connects, held as u64, "seed {seed}, step {step}");
        assert_eq!(stats.sessions, SUBSCRIBERS);
    }
    for subscriber in &mut subscribers {
        subscriber.finish().await;
        let mut unique = subscriber.received.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), subscriber.received.len(), "seed {seed}: delivered twice");
        if policy == OverflowPolicy::Disconnect && server.stats().lost_messages == 0 {
            assert_eq!(unique, (1..=published).collect::<Vec<_>>(), "seed {seed}");
        }
    }
    let stats = server.stats();
    assert_eq!(
        (stats.queued_messages, stats.queued_bytes, stats.held_connects),
        (0, 0, 0),
        "seed {seed}"
    );
    let received: usize = subscribers.iter().map(|subscriber| subscriber.received.len()).sum();
    assert_eq!(
        SUBSCRIBERS * published,
        received as u64 + stats.lost_messages + stats.dropped_messages.total(),
        "seed {seed}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_uncounted_whatever_breaks() {
    for seed in 0..60 {
        run(seed, OverflowPolicy::Disconnect).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_uncounted_when_the_oldest_make_room() {
    for seed in 100..160 {
        run(seed, OverflowPolicy::DropOldest).await;
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_uncounted_when_the_newest_are_dropped() {
    for seed in 200..260 {
        run(seed, OverflowPolicy::DropNewest).await;
    }
}

/// A client whose connects break at every possible moment, but which reads its answers in order, gets everything in
/// order.
#[tokio::test(start_paused = true)]
async fn a_client_on_a_bad_network_gets_everything_in_order() {
    for seed in 0..50 {
        let server = BayeuxServer::builder().max_queue_messages(usize::MAX).build();
        let client = Client::subscribed(&server, "/a").await;
        let mut random = Random(seed);
        let mut received = Vec::new();
        let mut published = 0;
        while published < 200 {
            let more = random.below(4);
            publish(&server, published + 1..=published + more);
            published += more;
            let mut connect = client.start_connect();
            let mut polled = poll_once(&mut connect);
            if polled.is_pending() {
                publish(&server, published + 1..=published + 1);
                published += 1;
                if random.below(3) > 0 {
                    polled = poll_once(&mut connect);
                }
            }
            if let Poll::Ready(response) = polled
                && random.below(2) > 0
            {
                received.extend(numbers(&read(response).await));
            }
        }
        received.extend(numbers(&client.poll().await));
        assert_eq!(received, (1..=published).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(server.stats().lost_messages, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_at_the_very_end_of_the_hold_is_delivered() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut held = client.start_held();
    tokio::time::advance(server.config().timeout).await;
    // The timer has fired, but the connect has not been polled since.
    publish(&server, 1..=1);
    let answer = read(ready(&mut held)).await;
    assert_eq!(numbers(&answer), [1]);
    assert_eq!(answer.connect_reply()["advice"]["reconnect"], Value::from("retry"));
}
