//! Two threads against one. `cargo run --release -p benches --bin threads`: without the clock that can stand still, which
//! takes a lock whenever it is read.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::AcqRel},
    },
    thread,
    time::{Duration, Instant},
};

use benches::{Client, Server, fastest, lasting};
use http_body_util::BodyExt;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::{JoinHandle, unconstrained, yield_now},
};
use tower_bayeux::{AnswerInfo, BayeuxServer};

const CLIENTS: usize = 1_000;
const PUBLISHERS: usize = 4;
/// How many messages each of them publishes.
const MESSAGES: usize = 200;

/// How long it takes until all clients have got all messages.
type Load = fn(&Runtime, &BayeuxServer, &[Arc<Client>], usize) -> Duration;

fn main() {
    report(
        "four publishers, each to the same 1,000 queues, of which it polls a quarter",
        1,
        polled,
    );
    report(
        "four publishers, each to a quarter of 1,000 queues, which it polls",
        PUBLISHERS,
        polled,
    );
    report(
        "four publishers, each to the same 1,000 held connects, message after message",
        1,
        held,
    );
}

/// Where a client, or a publisher, is.
fn channel(number: usize, channels: usize) -> String {
    format!("/load/room/{}", number % channels)
}

/// Each publisher looks after a quarter of the clients: after each message it polls them all.
fn polled(runtime: &Runtime, bayeux: &BayeuxServer, clients: &[Arc<Client>], channels: usize) -> Duration {
    let publishers = (0..PUBLISHERS).map(|number| {
        let bayeux = bayeux.clone();
        let mine: Vec<_> = clients.iter().skip(number).step_by(PUBLISHERS).cloned().collect();
        async move {
            for _ in 0..MESSAGES {
                let _ = bayeux.publish(channel(number, channels), "x");
                for client in &mine {
                    black_box(unconstrained(async { client.poll() }).await);
                }
                yield_now().await;
            }
        }
    });
    let start = Instant::now();
    wait(runtime, publishers.map(|publisher| runtime.spawn(publisher)).collect());
    start.elapsed()
}

/// Each client asks for more as soon as it has got something; the next message of each publisher goes out when all have
/// got all that have been published.
fn held(runtime: &Runtime, bayeux: &BayeuxServer, clients: &[Arc<Client>], channels: usize) -> Duration {
    let rounds = Arc::new(Rounds::default());
    let clients = clients.iter().enumerate().map(|(number, client)| {
        let (client, rounds) = (Arc::clone(client), Arc::clone(&rounds));
        async move {
            let mut got = 0;
            while got < PUBLISHERS * MESSAGES {
                let response = client.connect().await;
                let messages = response
                    .extensions()
                    .get::<AnswerInfo>()
                    .map_or(0, |info| info.messages);
                black_box(response.into_body().collect().await.is_ok());
                got += messages;
                if messages > 0 && got % PUBLISHERS == 0 {
                    rounds.note(number);
                }
            }
        }
    });
    let publishers = (0..PUBLISHERS).map(|number| {
        let (bayeux, rounds) = (bayeux.clone(), Arc::clone(&rounds));
        async move {
            for round in 0..MESSAGES {
                let _ = rounds.ended.subscribe().wait_for(|ended| *ended >= round).await;
                let _ = bayeux.publish(channel(number, channels), "x");
            }
        }
    });
    let start = Instant::now();
    let mut all: Vec<_> = clients.map(|client| runtime.spawn(client)).collect();
    all.extend(publishers.map(|publisher| runtime.spawn(publisher)));
    wait(runtime, all);
    start.elapsed()
}

/// How many rounds of messages have reached all clients. Counted by groups, so that threads share little of it.
#[derive(Default)]
struct Rounds {
    groups: [Group; GROUPS],
    full: AtomicUsize,
    ended: watch::Sender<usize>,
}

const GROUPS: usize = 20;

#[derive(Default)]
#[repr(align(128))]
struct Group(AtomicUsize);

impl Rounds {
    /// A client has got all that there is so far.
    fn note(&self, client: usize) {
        let has_all = |counter: &AtomicUsize, all: usize| (counter.fetch_add(1, AcqRel) + 1).is_multiple_of(all);
        if has_all(&self.groups[client % GROUPS].0, CLIENTS / GROUPS) && has_all(&self.full, GROUPS) {
            self.ended.send_modify(|ended| *ended += 1);
        }
    }
}

fn wait(runtime: &Runtime, tasks: Vec<JoinHandle<()>>) {
    runtime.block_on(async {
        for task in tasks {
            let _ = task.await;
        }
    });
}

/// The fastest of several runs on so many threads, and the CPU time of them all.
fn time(load: Load, channels: usize, threads: usize) -> (f64, f64) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build();
    let Ok(runtime) = runtime else {
        return (f64::NAN, f64::NAN);
    };
    // Threads that wait for a window to end would be no load.
    let server = Server::new(lasting().gather(Duration::ZERO).build());
    let clients: Vec<_> = {
        let _entered = runtime.enter();
        let client = |number| {
            let client = Client::new(&server);
            client.subscribe(&[channel(number, channels)]);
            Arc::new(client)
        };
        (0..CLIENTS).map(client).collect()
    };
    let cpu = cpu_seconds();
    let time = fastest(|| load(&runtime, &server.bayeux, &clients, channels));
    (time, cpu_seconds() - cpu)
}

fn report(name: &str, channels: usize, load: Load) {
    let (one, two) = (time(load, channels, 1), time(load, channels, 2));
    // What the machine has to give: two of all this, with nothing in common.
    let apart = thread::scope(|scope| {
        let other = scope.spawn(|| time(load, channels, 1).0);
        time(load, channels, 1).0.max(other.join().unwrap_or(f64::NAN))
    });
    let each = |time: f64| time / (PUBLISHERS * MESSAGES * CLIENTS / channels) as f64;
    println!("{name}");
    println!("  {:<32} {:>8.2}", "times as fast with two threads", one.0 / two.0);
    println!("  {:<32} {:>8.2}", "times the CPU time", two.1 / one.1);
    println!(
        "  {:<32} {:>8.0} {:>8.0}",
        "ns a delivery, one and two",
        each(one.0),
        each(two.0)
    );
    println!(
        "  {:<32} {:>8.2}",
        "times as fast, two servers apart",
        2.0 * one.0 / apart
    );
}

/// What this process has used so far; not a number where there is no `/proc`.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    match &*ticks {
        [user, system] => (user + system) / 100.0,
        _ => f64::NAN,
    }
}
