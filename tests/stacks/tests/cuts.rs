//! Connections that break: at each byte, in each direction, in every way that networks know.

#[path = "../../common/mod.rs"]
mod common;
mod support;

use std::time::Duration;

use common::Random;
use serde_json::json;
use support::{Caller, End, Fate, Proxy, Site, Wire, nothing_left, post, soon, until};
use tower_bayeux::{BayeuxBuilder, BayeuxServer, Stats};

const ENDS: [End; 2] = [End::Close, End::Reset];

/// A hold that no test waits for, and sessions that do not expire while one runs.
fn builder() -> BayeuxBuilder {
    BayeuxServer::builder()
        .timeout(Duration::from_secs(3600))
        .max_interval(Duration::from_secs(3600))
}

/// What has become of all that was published for a subscriber.
fn accounted(stats: &Stats) -> u64 {
    stats.delivered_messages + stats.queued_messages + stats.lost_messages + stats.dropped_messages.total()
}

fn is_increasing(numbers: &[u64]) -> bool {
    numbers.is_sorted_by(|one, next| one < next)
}

/// Publishes one number after the other; the answer of each is cut, later and later in it.
async fn answers_cut_at_each_byte(acknowledges: bool) -> (Vec<u64>, u64, Stats) {
    let site = Site::open(builder()).await;
    let proxy = Proxy::open(site.address).await;
    let mut caller = Caller::start(site.address, acknowledges).await;
    let mut published = 0;
    for end in ENDS {
        // Longer than any of the answers is.
        for byte in 0..450 {
            published += 1;
            site.server.publish("/a", &published).unwrap();
            proxy.plan(move || Fate {
                down: Some((byte, end)),
                ..Fate::default()
            });
            caller.go_by(proxy.address);
            let came = soon(caller.poll()).await;
            caller.go_by(site.address);
            if !came {
                // The next one is answered at once, if there is anything again.
                published += 1;
                site.server.publish("/a", &published).unwrap();
                assert!(soon(caller.poll()).await);
            }
        }
    }
    // What was in the last answers may be acknowledged now.
    published += 1;
    site.server.publish("/a", &published).unwrap();
    assert!(soon(caller.poll()).await);
    let stats = site.server.stats();
    assert!(proxy.cuts() > 500, "{} cuts", proxy.cuts());
    caller.leave().await;
    nothing_left(&site.server).await;
    (caller.numbers, published, stats)
}

#[tokio::test]
async fn with_acknowledgement_nothing_is_lost_or_doubled_wherever_an_answer_is_cut() {
    let (numbers, published, stats) = answers_cut_at_each_byte(true).await;
    assert_eq!(numbers, (1..=published).collect::<Vec<_>>());
    assert_eq!(stats.lost_messages, 0);
}

#[tokio::test]
async fn without_acknowledgement_what_is_cut_counts_as_delivered_and_nothing_comes_twice() {
    let (numbers, published, stats) = answers_cut_at_each_byte(false).await;
    assert!(is_increasing(&numbers));
    assert_eq!(accounted(&stats), published, "{stats:?}");
    assert!(stats.delivered_messages >= numbers.len() as u64);
    assert_eq!(*numbers.last().unwrap(), published, "what was not on its way has come");
}

#[tokio::test]
async fn a_connect_that_is_cut_before_its_last_byte_takes_nothing() {
    let site = Site::open(builder()).await;
    let proxy = Proxy::open(site.address).await;
    let mut caller = Caller::start(site.address, false).await;
    let answered = site.server.stats().connects_ended.total();
    site.server.publish("/a", &1).unwrap();
    let bytes = post(&caller.connect());
    for end in ENDS {
        for cut in 1..bytes.len() {
            proxy.plan(move || Fate {
                up: Some((cut, end)),
                ..Fate::default()
            });
            let mut wire = Wire::open(proxy.address).await.unwrap();
            wire.send(&bytes).await.unwrap();
            assert!(soon(wire.answer()).await.is_none(), "cut after {cut} bytes");
        }
    }
    assert_eq!(site.server.stats().connects_ended.total(), answered, "none was one");
    assert!(soon(caller.poll()).await);
    assert_eq!(caller.numbers, [1]);
    caller.leave().await;
    nothing_left(&site.server).await;
}

#[tokio::test]
async fn a_publish_that_is_cut_is_published_whole_or_not_at_all() {
    let site = Site::open(builder()).await;
    let proxy = Proxy::open(site.address).await;
    let mut caller = Caller::start(site.address, false).await;
    let bytes = post(&json!([{ "channel": "/a", "clientId": caller.id, "data": 1 }]));
    for cut in 1..=bytes.len() {
        proxy.plan(move || Fate {
            up: Some((cut, End::Close)),
            ..Fate::default()
        });
        let mut wire = Wire::open(proxy.address).await.unwrap();
        wire.send(&bytes).await.unwrap();
        soon(wire.answer()).await;
        if cut < bytes.len() {
            assert_eq!(site.server.stats().published_messages, 0, "cut after {cut} bytes");
        }
    }
    until(&site.server, |stats| stats.published_messages == 1).await;
    assert!(soon(caller.poll()).await);
    assert_eq!(caller.numbers, [1]);
}

/// A proxy that sends a request again, on another connection, has two connects of one session race each other.
#[tokio::test]
async fn with_acknowledgement_nothing_is_lost_or_doubled_by_connections_that_are_doubled() {
    let site = Site::open(builder()).await;
    let proxy = Proxy::open(site.address).await;
    let mut caller = Caller::start(site.address, true).await;
    proxy.plan(|| Fate {
        twice: true,
        ..Fate::default()
    });
    caller.go_by(proxy.address);
    for number in 1..=100 {
        site.server.publish("/a", &number).unwrap();
        if number % 10 == 0 {
            caller.hang_up();
        }
        // The newer of the two may be held where nobody reads, and then nothing comes here.
        caller.patience = Duration::from_millis(50);
        soon(caller.poll()).await;
    }
    caller.go_by(site.address);
    caller.patience = Duration::from_secs(30);
    site.server.publish("/a", &101).unwrap();
    assert!(soon(caller.poll()).await);
    assert_eq!(caller.numbers, (1..=101).collect::<Vec<_>>());
    caller.leave().await;
    nothing_left(&site.server).await;
}

#[tokio::test]
async fn a_publish_that_is_doubled_is_published_once_where_ids_are_remembered() {
    let site = Site::open(builder().duplicate_window(16)).await;
    let proxy = Proxy::open(site.address).await;
    let mut caller = Caller::start(site.address, false).await;
    let mut publisher = Caller::start(site.address, false).await;
    proxy.plan(|| Fate {
        twice: true,
        ..Fate::default()
    });
    publisher.go_by(proxy.address);
    for number in 1..=20 {
        let publish = json!([{ "channel": "/a", "clientId": publisher.id, "id": number.to_string(), "data": number }]);
        let reply = soon(publisher.ask(&publish)).await.unwrap();
        assert_eq!(reply[0]["successful"], true);
    }
    assert!(soon(caller.poll()).await);
    assert_eq!(caller.numbers, (1..=20).collect::<Vec<_>>());
}

/// hyper does not notice the end of a connection that has sent more than its request: the answer goes into the void.
#[tokio::test]
async fn with_acknowledgement_an_answer_to_a_connection_that_has_died_unnoticed_comes_again() {
    let site = Site::open(builder()).await;
    let mut caller = Caller::start(site.address, true).await;
    for number in 1..=20 {
        let mut wire = Wire::open(site.address).await.unwrap();
        let request = [&post(&caller.connect())[..], b"\r\n"].concat();
        wire.send(&request).await.unwrap();
        until(&site.server, |stats| stats.held_connects == 1).await;
        drop(wire);
        site.server.publish("/a", &number).unwrap();
        until(&site.server, |stats| stats.held_connects == 0).await;
        assert!(soon(caller.poll()).await);
    }
    assert_eq!(caller.numbers, (1..=20).collect::<Vec<_>>());
    caller.leave().await;
    nothing_left(&site.server).await;
}

/// What a network may do, at random: nothing at all, or anything.
fn fate(random: &mut Random) -> Fate {
    let mut below = |limit: u64| usize::try_from(random.below(limit)).unwrap();
    let end = [End::Close, End::Reset, End::HalfClose, End::Stall][below(4)];
    // A request has some 150 bytes, and a small answer some 350.
    let (up, down) = match below(6) {
        0 | 1 => (Some((1 + below(1500), end)), None),
        2..=4 => (None, Some((below(3000), end))),
        _ => (None, None),
    };
    Fate {
        up,
        down,
        delay: Duration::from_millis(random.below(3)),
        twice: random.below(8) == 0,
    }
}

/// All clients are cut off over and over, in every way, while numbers are published.
async fn chaos(seed: u64, acknowledges: bool) {
    const CLIENTS: u64 = 16;
    const PUBLISHED: u64 = 150;
    const PATIENCE: Duration = Duration::from_millis(60);
    let site = Site::open(builder()).await;
    let proxy = Proxy::open(site.address).await;
    let mut random = Random(seed);
    proxy.plan(move || fate(&mut random));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut caller = Caller::start(site.address, acknowledges).await;
        caller.go_by(proxy.address);
        // Stalled for so long, a client tries again, and the server does not know that the old connection is dead.
        caller.patience = PATIENCE;
        clients.push(tokio::spawn(async move {
            while caller.numbers.last().is_none_or(|last| *last < PUBLISHED) {
                // On a machine that is busy with other things, it may take a while.
                caller.patience = if caller.poll().await {
                    PATIENCE
                } else {
                    caller.patience * 5 / 4
                };
            }
            caller
        }));
    }
    for number in 1..PUBLISHED {
        site.server.publish("/a", &number).unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    proxy.plan(Fate::default);
    // To those that do not acknowledge it must not be lost: until everybody has it, it comes again.
    let mut callers = Vec::new();
    for client in clients {
        while !client.is_finished() {
            site.server.publish("/a", &PUBLISHED).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        callers.push(client.await.unwrap());
    }
    let stats = site.server.stats();
    let offered = CLIENTS * stats.published_messages;
    // What comes again counts again.
    assert!(accounted(&stats) >= offered, "seed {seed}: {stats:?}");
    assert!(acknowledges || accounted(&stats) == offered, "seed {seed}: {stats:?}");
    assert!(proxy.cuts() > 20, "seed {seed}: {} cuts", proxy.cuts());
    for (number, mut caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.sessions, 1, "seed {seed}, client {number}");
        caller.numbers.retain(|number| *number < PUBLISHED);
        if acknowledges {
            let all: Vec<_> = (1..PUBLISHED).collect();
            assert_eq!(caller.numbers, all, "seed {seed}, client {number}");
        } else {
            let numbers = &caller.numbers;
            assert!(is_increasing(numbers), "seed {seed}, client {number}: {numbers:?}");
        }
        caller.go_by(site.address);
        caller.leave().await;
    }
    nothing_left(&site.server).await;
}

#[tokio::test]
async fn on_a_network_where_everything_breaks_what_is_acknowledged_comes_once_and_in_order() {
    for seed in 0..5 {
        soon(chaos(seed, true)).await;
    }
}

#[tokio::test]
async fn on_a_network_where_everything_breaks_what_is_not_acknowledged_is_accounted_for_and_never_comes_twice() {
    for seed in 100..105 {
        soon(chaos(seed, false)).await;
    }
}

#[tokio::test]
async fn clients_whose_connections_die_unnoticed_leave_nothing_behind() {
    let server = BayeuxServer::builder()
        .timeout(Duration::from_millis(300))
        .max_interval(Duration::from_secs(2));
    let site = Site::open(server).await;
    let proxy = Proxy::open(site.address).await;
    let mut callers = Vec::new();
    for byte in 0..50 {
        // Behind the proxy, nobody reads the answer and nobody closes the connection.
        proxy.plan(move || Fate {
            down: Some((byte, End::Stall)),
            ..Fate::default()
        });
        let mut caller = Caller::start(site.address, byte % 2 == 0).await;
        caller.go_by(proxy.address);
        caller.patience = Duration::from_millis(1);
        assert!(!caller.poll().await);
        callers.push(caller);
        site.server.publish("/a", &byte).unwrap();
    }
    nothing_left(&site.server).await;
    let stats = site.server.stats();
    let offered = (1..=50).sum::<u64>();
    assert!(accounted(&stats) <= offered, "{stats:?}");
    assert_eq!(stats.sessions_removed.count(tower_bayeux::Reason::Expired), 50);
}
