//! Reads the meters before and after, and writes the report.

use tokio::time::Instant;

use crate::{
    Error, Latency, Options, Report, ServerUsage, Share,
    process::{Usage, usage},
    track::{Track, micros},
};

/// The meters of one run.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    options: &'a Options,
    before: Option<Usage>,
    ready: Option<Usage>,
    clients: Option<u32>,
    start: Option<Reading>,
    end: Option<Reading>,
}

/// The meters at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    server: Option<Usage>,
    own: Option<Usage>,
    operations: u64,
    deliveries: u64,
    answers: u64,
}

impl<'a> Meter<'a> {
    /// Before the first client comes. An error if there is a server's process to look at, and it can't be seen.
    pub(super) fn new(options: &'a Options) -> Result<Self, Error> {
        let before = options.server_pid.and_then(usage);
        if let (Some(pid), None) = (options.server_pid, before) {
            return Err(unseen(pid));
        }
        Ok(Self {
            options,
            before,
            ready: None,
            clients: None,
            start: None,
            end: None,
        })
    }

    fn server(&self) -> Option<Usage> {
        self.options.server_pid.and_then(usage)
    }

    fn read(&self, track: &Track) -> Reading {
        Reading {
            at: Instant::now(),
            server: self.server(),
            own: usage(std::process::id()),
            operations: track.operations.get(),
            deliveries: track.deliveries.get(),
            answers: track.answers.get(),
        }
    }

    /// So many clients are there.
    pub(super) fn ready(&mut self, clients: usize) {
        self.ready = self.server();
        self.clients = u32::try_from(clients).ok();
    }

    pub(super) fn is_ready(&self) -> bool {
        self.clients.is_some()
    }

    /// Begins to measure.
    pub(super) fn start(&mut self, track: &Track) {
        track.measure_from_now();
        self.start = Some(self.read(track));
    }

    /// Ends to measure.
    pub(super) fn end(&mut self, track: &Track) {
        self.end = Some(self.read(track));
    }

    /// What was measured: until now, if it did not end before.
    pub(super) fn report(&self, mode: String, track: &Track) -> Report {
        let end = self.end.unwrap_or_else(|| self.read(track));
        // Without a start, nothing was measured.
        let start = self.start.unwrap_or(end);
        let seconds = end.at.duration_since(start.at).as_secs_f64();
        let operations = end.operations - start.operations;
        let deliveries = end.deliveries - start.deliveries;
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        if let (Some(pid), None) = (self.options.server_pid, end.server) {
            track.failed(&unseen(pid));
        }
        let latency_us = Latency::from(&*track.latency.borrow());
        Report {
            mode,
            seconds,
            operations,
            planned: None,
            deliveries,
            deliveries_per_second: rate(deliveries),
            operations_per_second: rate(operations),
            answers_per_delivery: per(end.answers - start.answers, deliveries),
            latency_us,
            checks: track.checks.borrow().clone(),
            server: self.server_usage(start, end),
            client: share(start, end, |reading| reading.own),
            spins: self.options.spin,
        }
    }

    /// `None` if the server's process could not be seen all the time.
    fn server_usage(&self, start: Reading, end: Reading) -> Option<ServerUsage> {
        let cpu = share(start, end, |reading| reading.server)?;
        let (before, ready, after) = (self.before?, self.ready?, end.server?);
        let clients = f64::from(self.clients?.max(1));
        Some(ServerUsage {
            cpu,
            cpu_us_per_delivery: per(cpu.cpu_us, end.deliveries - start.deliveries),
            cpu_us_per_operation: per(cpu.cpu_us, end.operations - start.operations),
            rss_before: before.rss,
            rss_ready: ready.rss,
            rss_after: after.rss,
            rss_per_client: Some((ready.rss as f64 - before.rss as f64) / clients),
        })
    }
}

fn unseen(pid: u32) -> Error {
    format!("what the server's process {pid} uses can't be seen: it is not there, or this is not Linux").into()
}

/// The part of one core between two readings; `None` if the process could not be seen, or no time has passed.
fn share(start: Reading, end: Reading, of: impl Fn(Reading) -> Option<Usage>) -> Option<Share> {
    let time_us = micros(end.at.duration_since(start.at));
    let cpu_us = of(end)?.cpu_us.saturating_sub(of(start)?.cpu_us);
    (time_us > 0).then(|| Share {
        cpu_us,
        share: cpu_us as f64 / time_us as f64,
    })
}

fn per(amount: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| amount as f64 / count as f64)
}
