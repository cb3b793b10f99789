//! The time of each hot path, by its unit, and of a publish that meets two threads. `cargo bench -p benches`.

use std::time::{Duration, Instant};

use benches::{Meter, NoMeter, PATHS, runtime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Adds up the time of what is measured.
struct Clock(Duration);

impl Meter for Clock {
    fn measure(&mut self, work: &mut dyn FnMut()) {
        let start = Instant::now();
        work();
        self.0 += start.elapsed();
    }
}

/// One iteration is a round; its units are the elements.
fn hot_paths(criterion: &mut Criterion) {
    for path in PATHS {
        let runtime = runtime();
        let _entered = runtime.enter();
        let mut round = (path.set_up)();
        round(&mut NoMeter);
        let mut group = criterion.benchmark_group(path.name);
        group.throughput(Throughput::Elements(u64::from(path.units)));
        group.bench_function("round", |bencher| {
            bencher.iter_custom(|rounds| {
                let mut clock = Clock(Duration::ZERO);
                for _ in 0..rounds {
                    round(&mut clock);
                }
                clock.0
            });
        });
    }
}

criterion_group!(
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = hot_paths
);
criterion_main!(benches);
