//! The one task of a server: it ends the sessions whose clients stay away.

use std::{
    sync::{
        Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    task::{JoinHandle, yield_now},
    time::sleep,
};

use super::{Host, table::SHARDS};
use crate::sync::{Mutex, lock};

/// How many periods the sweeper may be late before another one is started.
const PATIENCE: u32 = 10;

/// Starts with the first session, on that request's runtime, and ends with the server.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    task: Mutex<Option<JoinHandle<()>>>,
    /// When it last showed that it runs, in the hub's milliseconds.
    seen: AtomicU64,
}

impl Sweeper {
    /// Sees to it that the sweeper runs. A runtime that has ended took it along, and one that nobody drives any more keeps it
    /// where it is; the next session's starts it anew.
    pub(crate) fn ensure_runs(&self, host: Weak<dyn Host>, max_interval: Duration, now: u64) {
        let period = period(max_interval);
        let mut task = lock(&self.task);
        if task.as_ref().is_some_and(|task| !task.is_finished()) && !self.is_late(period, now) {
            return;
        }
        self.runs(now);
        if let Some(late) = task.replace(tokio::spawn(sweep(host, period))) {
            late.abort();
        }
    }

    /// Notes that the sweeper is at work.
    pub(crate) fn runs(&self, now: u64) {
        self.seen.store(now, Relaxed);
    }

    fn is_late(&self, period: Duration, now: u64) -> bool {
        let silent = now.saturating_sub(self.seen.load(Relaxed));
        Duration::from_millis(silent) > period * PATIENCE
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

/// Often enough that a session ends soon after its deadline, seldom enough to cost nothing.
fn period(max_interval: Duration) -> Duration {
    (max_interval / 8).clamp(Duration::from_millis(100), Duration::from_secs(1))
}

async fn sweep(host: Weak<dyn Host>, period: Duration) {
    loop {
        sleep(period).await;
        for shard in 0..SHARDS {
            let Some(host) = host.upgrade() else { return };
            host.sweep(shard);
            drop(host);
            // A hundred thousand sessions may expire at once; others want to run in between.
            yield_now().await;
        }
    }
}
