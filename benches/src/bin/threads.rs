//! Two threads against one. `cargo run --release -p benches --bin threads`: without the clock that can stand still, which
//! takes a lock whenever it is read.

use std::{hint::black_box, thread, time::Instant};

use benches::{Client, Server, fastest};
use tokio::runtime::Builder;

/// Four publishers to the same thousand queues, which are emptied as they fill.
fn main() {
    const MESSAGES: usize = 200;
    let time = |threads: usize| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_time()
            .build();
        let Ok(runtime) = runtime else {
            return (f64::NAN, f64::NAN);
        };
        let server = Server::lasting();
        let crowd: Vec<_> = {
            let _entered = runtime.enter();
            (0..1_000)
                .map(|_| {
                    let client = Client::new(&server);
                    client.subscribe(&["/load/room/0".to_owned()]);
                    client
                })
                .collect()
        };
        let mut quarters = Vec::new();
        let mut crowd = crowd.into_iter().peekable();
        while crowd.peek().is_some() {
            quarters.push(std::sync::Arc::new(crowd.by_ref().take(250).collect::<Vec<_>>()));
        }
        let cpu = cpu_seconds();
        let time = fastest(|| {
            let start = Instant::now();
            let publishing: Vec<_> = quarters
                .iter()
                .map(|quarter| {
                    let (server, quarter) = (server.clone(), std::sync::Arc::clone(quarter));
                    runtime.spawn(async move {
                        for _ in 0..MESSAGES {
                            let _ = server.bayeux.publish("/load/room/0", "x");
                            for client in &*quarter {
                                black_box(tokio::task::unconstrained(async { client.poll() }).await);
                            }
                            tokio::task::yield_now().await;
                        }
                    })
                })
                .collect();
            runtime.block_on(async {
                for publishing in publishing {
                    let _ = publishing.await;
                }
            });
            start.elapsed()
        });
        (time, cpu_seconds() - cpu)
    };
    let (one, two) = (time(1), time(2));
    // What the machine has to give: two of all this, with nothing in common.
    let apart = thread::scope(|scope| {
        let other = scope.spawn(|| time(1).0);
        time(1).0.max(other.join().unwrap_or(f64::NAN))
    });
    println!("four publishers to 1,000 queues that are polled all the time");
    println!("  {:<32} {:>8.2}", "times as fast with two threads", one.0 / two.0);
    println!("  {:<32} {:>8.2}", "times the CPU time", two.1 / one.1);
    let each = |time: f64| time / (4 * MESSAGES * 1_000) as f64;
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
