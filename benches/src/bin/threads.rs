//! Two threads against one. `cargo run --release -p benches --bin threads`: without the clock that can stand still, which
//! takes a lock whenever it is read.

use std::{
    hint::black_box,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use benches::{Client, Server, fastest, lasting};
use http_body_util::BodyExt;
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, unconstrained, yield_now},
};
use tower_bayeux::{AnswerInfo, BayeuxServer};

const CHANNEL: &str = "/load/room/0";
const CLIENTS: usize = 1_000;
const PUBLISHERS: usize = 4;
/// How many messages each of them publishes.
const MESSAGES: usize = 200;

/// How long it takes until all clients have got all messages.
type Load = fn(&Runtime, &BayeuxServer, &[Arc<Client>]) -> Duration;

fn main() {
    report("four publishers to 1,000 queues, which they poll in between", polled);
    report("four publishers to 1,000 held connects, each a task of its own", held);
}

/// Each publisher looks after a quarter of the clients: after each message it polls them all.
fn polled(runtime: &Runtime, bayeux: &BayeuxServer, clients: &[Arc<Client>]) -> Duration {
    let publishers = clients.chunks(CLIENTS / PUBLISHERS).map(|quarter| {
        let (bayeux, quarter) = (bayeux.clone(), quarter.to_vec());
        async move {
            for _ in 0..MESSAGES {
                let _ = bayeux.publish(CHANNEL, "x");
                for client in &quarter {
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

/// Each client asks for more as soon as it has got something.
fn held(runtime: &Runtime, bayeux: &BayeuxServer, clients: &[Arc<Client>]) -> Duration {
    let clients = clients.iter().map(|client| {
        let client = Arc::clone(client);
        async move {
            let mut missing = PUBLISHERS * MESSAGES;
            while missing > 0 {
                let response = client.connect().await;
                missing -= response
                    .extensions()
                    .get::<AnswerInfo>()
                    .map_or(0, |info| info.messages);
                black_box(response.into_body().collect().await.is_ok());
            }
        }
    });
    let publishers = (0..PUBLISHERS).map(|_| {
        let bayeux = bayeux.clone();
        async move {
            for _ in 0..MESSAGES {
                let _ = bayeux.publish(CHANNEL, "x");
                yield_now().await;
            }
        }
    });
    let start = Instant::now();
    let mut all: Vec<_> = clients.map(|client| runtime.spawn(client)).collect();
    all.extend(publishers.map(|publisher| runtime.spawn(publisher)));
    wait(runtime, all);
    start.elapsed()
}

fn wait(runtime: &Runtime, tasks: Vec<JoinHandle<()>>) {
    runtime.block_on(async {
        for task in tasks {
            let _ = task.await;
        }
    });
}

/// The fastest of several runs on so many threads, and the CPU time of them all.
fn time(load: Load, threads: usize) -> (f64, f64) {
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
        let client = || {
            let client = Client::new(&server);
            client.subscribe(&[CHANNEL.to_owned()]);
            Arc::new(client)
        };
        (0..CLIENTS).map(|_| client()).collect()
    };
    let cpu = cpu_seconds();
    let time = fastest(|| load(&runtime, &server.bayeux, &clients));
    (time, cpu_seconds() - cpu)
}

fn report(name: &str, load: Load) {
    let (one, two) = (time(load, 1), time(load, 2));
    // What the machine has to give: two of all this, with nothing in common.
    let apart = thread::scope(|scope| {
        let other = scope.spawn(|| time(load, 1).0);
        time(load, 1).0.max(other.join().unwrap_or(f64::NAN))
    });
    let each = |time: f64| time / (PUBLISHERS * MESSAGES * CLIENTS) as f64;
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
