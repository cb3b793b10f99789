//! Reads the meters before and after, and writes the report.

use tokio::time::Instant;

use crate::{
    Latency, Options, Report, ServerUsage, Share,
    process::{Usage, usage},
    track::{Track, micros},
};

/// The meters of one run.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    options: &'a Options,
    before: Usage,
    ready: Usage,
    clients: Option<u32>,
    start: Option<Reading>,
    end: Option<Reading>,
}

/// The meters at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    server: Usage,
    own: Usage,
    operations: u64,
    deliveries: u64,
    answers: u64,
}

impl<'a> Meter<'a> {
    /// Before the first client comes.
    pub(super) fn new(options: &'a Options) -> Self {
        let mut meter = Self {
            options,
            before: Usage::default(),
            ready: Usage::default(),
            clients: None,
            start: None,
            end: None,
        };
        meter.before = meter.server();
        meter
    }

    fn server(&self) -> Usage {
        self.options.server_pid.and_then(usage).unwrap_or_default()
    }

    fn read(&self, track: &Track) -> Reading {
        Reading {
            at: Instant::now(),
            server: self.server(),
            own: usage(std::process::id()).unwrap_or_default(),
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
        let share = |before: Usage, after: Usage| {
            let cpu_us = after.cpu_us.saturating_sub(before.cpu_us);
            let share = cpu_us as f64 / micros(end.at.duration_since(start.at)).max(1) as f64;
            Share { cpu_us, share }
        };
        let server = self.options.server_pid.map(|_| {
            let cpu = share(start.server, end.server);
            let clients = f64::from(self.clients.unwrap_or_default().max(1));
            ServerUsage {
                cpu,
                cpu_us_per_delivery: per(cpu.cpu_us, deliveries),
                cpu_us_per_operation: per(cpu.cpu_us, operations),
                rss_before: self.before.rss,
                rss_ready: self.ready.rss,
                rss_after: end.server.rss,
                rss_per_client: Some((self.ready.rss as f64 - self.before.rss as f64) / clients),
            }
        });
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
            server,
            client: share(start.own, end.own),
            spins: self.options.spin,
        }
    }
}

fn per(amount: u64, count: u64) -> Option<f64> {
    (count > 0).then(|| amount as f64 / count as f64)
}
