//! The one task of a server: it ends the sessions whose clients stay away.

use std::{sync::Weak, time::Duration};

use tokio::{
    task::{JoinHandle, yield_now},
    time::sleep,
};

use super::{Host, table::SHARDS};
use crate::sync::{Mutex, lock};

/// Starts with the first session, on that request's runtime, and ends with the server.
#[derive(Debug, Default)]
pub(crate) struct Sweeper(Mutex<Option<JoinHandle<()>>>);

impl Sweeper {
    /// Sees to it that the sweeper runs. A runtime that has ended took it along; the next session's starts it anew.
    pub(crate) fn ensure_runs(&self, host: Weak<dyn Host>, max_interval: Duration) {
        let mut task = lock(&self.0);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            *task = Some(tokio::spawn(sweep(host, period(max_interval))));
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.0).take() {
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
