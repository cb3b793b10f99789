//! What the budgets can't say: bytes of a session, the sweep, a crowded server against a small one, WebSockets against
//! their library alone. `cargo run --release -p benches --bin figures --features still-clock`; `--short` is for a tenth of
//! the sessions, `--million` for a million.
//!
//! Bytes are what was asked of the allocator, without what it adds. Times are of this machine, and only as good as it is
//! idle; of several runs the fastest counts.

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use benches::{Client, Meter, PATHS, Server, fastest, runtime};
use tower_bayeux::{BayeuxServer, OverflowPolicy};

fn main() {
    let is_given = |flag: &str| env::args().any(|argument| argument == flag);
    let short = is_given("--short");
    let sessions = match (short, is_given("--million")) {
        (true, _) => 10_000,
        (false, true) => 1_000_000,
        (false, false) => 100_000,
    };
    allocations();
    memory(sessions);
    sweep(sessions);
    crowded(if short { 10 } else { 1 });
    sockets();
}

/// Allocations of one unit of each hot path.
fn allocations() {
    struct Allocations(u64);
    impl Meter for Allocations {
        fn measure(&mut self, work: &mut dyn FnMut()) {
            self.0 += allocation_counter::measure(work).count_total;
        }
    }
    println!("allocations of one unit");
    for path in PATHS {
        let runtime = runtime();
        let _entered = runtime.enter();
        let mut round = (path.set_up)();
        round(&mut benches::NoMeter);
        let mut allocations = Allocations(0);
        round(&mut allocations);
        println!(
            "  {:<32} {:>8.2}",
            path.name,
            allocations.0 as f64 / f64::from(path.units)
        );
    }
}

/// Bytes that stay when each session has gone one step further.
fn memory(sessions: usize) {
    let runtime = runtime();
    let _entered = runtime.enter();
    let server = Server::lasting();
    let channel = ["/load/room/0".to_owned()];
    let each = |what: &str, bytes: i64| println!("  {what:<32} {:>8.0}", bytes as f64 / sessions as f64);
    println!("bytes of each of {sessions} sessions");
    // The client's own memory is not the session's.
    let mut clients = Vec::with_capacity(sessions);
    let mut held = Vec::with_capacity(sessions);
    let all = allocation_counter::measure(|| clients.extend((0..sessions).map(|_| Client::new(&server))));
    let own: usize = clients.iter().map(Client::own_memory).sum();
    each("idle", all.bytes_current - i64::try_from(own).unwrap_or_default());
    let subscribed = allocation_counter::measure(|| {
        clients.iter().for_each(|client| client.subscribe(&channel));
    });
    each("more, with one subscription", subscribed.bytes_current);
    clients.iter().for_each(|client| drop(client.poll()));
    let holding = allocation_counter::measure(|| held.extend(clients.iter().map(Client::hold)));
    // The service's future lies in the HTTP connection, which has room for one whether a connect is held or not.
    let futures: usize = held.iter().map(|held| size_of_val(&**held)).sum();
    let futures = i64::try_from(futures).unwrap_or_default();
    each("more, with a held connect", holding.bytes_current - futures);
    each("(the future in the connection)", futures);
}

/// The task that looks for expired sessions goes round once a second.
fn sweep(sessions: usize) {
    const ROUNDS: u32 = 20;
    let runtime = runtime();
    let round = |server: &Server| {
        fastest(|| {
            runtime.block_on(async {
                let start = Instant::now();
                tokio::time::sleep(Duration::from_secs(u64::from(ROUNDS))).await;
                black_box(server);
                start.elapsed()
            })
        }) / f64::from(ROUNDS)
    };
    let server = Server::lasting();
    let one = runtime.block_on(async { Client::new(&server) });
    let nobody = round(&server);
    let crowd: Vec<_> = runtime.block_on(async { (1..sessions).map(|_| Client::new(&server)).collect() });
    let all = round(&server);
    drop((one, crowd));
    println!("sweep of {sessions} sessions");
    println!("  {:<32} {:>8.2}", "ns per session", (all - nobody) / sessions as f64);
    println!("  {:<32} {:>8.0}", "µs of one round", all / 1e3);
}

/// A server with many channels and subscriptions against one with few. Each channel has ten subscribers, and both servers
/// have the same number of sessions: what differs is the table, not the queues.
fn crowded(fraction: usize) {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (few, many) = (1_000, 100_000 / fraction);
    let [small, large] = [few, many].map(|channels| crowded_table(channels, many / 10));
    println!("ns with {few} channels of 10 subscribers each, with {many} such channels, ratio");
    for ((name, small), (_, large)) in small.into_iter().zip(large) {
        println!("  {name:<32} {small:>8.0} {large:>8.0} {:>8.2}", large / small);
    }
}

/// What one operation takes on a server of so many channels, by its name.
fn crowded_table(channels: usize, sessions: usize) -> [(&'static str, f64); 4] {
    const TIMES: usize = 10_000;
    let builder = BayeuxServer::builder()
        .max_sessions(usize::MAX)
        .max_queue_messages(4)
        .overflow(OverflowPolicy::DropOldest);
    let server = Server::new(builder.build());
    let names: Vec<_> = (0..channels).map(|number| format!("/load/room/{number}")).collect();
    let clients: Vec<_> = (0..sessions).map(|_| Client::new(&server)).collect();
    for (number, client) in clients.iter().enumerate() {
        // All have as many; ten have each.
        let own: Vec<_> = (0..channels * 10 / sessions)
            .map(|nth| names[(number + nth * sessions) % channels].clone())
            .collect();
        client.subscribe(&own);
    }
    // A large step, so that no two of them are neighbours in memory.
    let all_over: Vec<_> = (0..TIMES).map(|number| &names[number * 7_919 % channels]).collect();
    let some: Vec<_> = (0..TIMES)
        .map(|number| &names[number % 100 * (channels / 100)])
        .collect();
    let nobody = "/load/elsewhere/0".to_owned();
    let unheard = vec![&nobody; TIMES];
    let publish = |names: &[&String]| {
        let all = || {
            for name in names {
                let _ = black_box(server.bayeux.publish(name, "x"));
            }
        };
        each(TIMES, all)
    };
    let newcomer = Client::new(&server);
    let subscribe_and_unsubscribe = || {
        for name in &all_over {
            newcomer.subscribe(std::slice::from_ref(name));
            newcomer.unsubscribe(std::slice::from_ref(name));
        }
    };
    [
        ("publish, nobody hears", publish(&unheard)),
        ("publish on 100 of the channels", publish(&some)),
        ("publish on channels all over", publish(&all_over)),
        ("subscribe and unsubscribe", each(TIMES, subscribe_and_unsubscribe)),
    ]
}

/// What one of so many operations takes, at best.
fn each(times: usize, mut all: impl FnMut()) -> f64 {
    let time = || {
        let start = Instant::now();
        all();
        start.elapsed()
    };
    fastest(time) / times as f64
}

/// A publish to a thousand WebSockets against the same frames sent by the same library with no Bayeux.
fn sockets() {
    let time = |name: &str| {
        let path = PATHS.iter().find(|path| path.name == name);
        let Some(path) = path else { return f64::NAN };
        let runtime = runtime();
        let _entered = runtime.enter();
        let mut round = (path.set_up)();
        round(&mut benches::NoMeter);
        fastest(|| {
            let mut stopwatch = Stopwatch(Duration::ZERO);
            (0..20).for_each(|_| round(&mut stopwatch));
            stopwatch.0 / 20
        }) / f64::from(path.units)
    };
    let (ours, bare) = (time("sockets_1k"), time("sockets_1k_without_bayeux"));
    println!("ns of a push to each of 1,000 WebSockets over connections in memory, without Bayeux, ratio");
    println!("  {:<32} {ours:>8.0} {bare:>8.0} {:>8.2}", "one event", ours / bare);
}

struct Stopwatch(Duration);

impl Meter for Stopwatch {
    fn measure(&mut self, work: &mut dyn FnMut()) {
        let start = Instant::now();
        work();
        self.0 += start.elapsed();
    }
}
