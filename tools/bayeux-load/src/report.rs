//! What a run has found.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The result of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What was done.
    pub mode: String,
    /// How long it was measured, in seconds.
    pub seconds: f64,
    /// Messages published, or rounds done, while it was measured.
    pub operations: u64,
    /// How many there were to be: all that were due in time, at a rate.
    pub planned: Option<u64>,
    /// Messages that reached a subscriber.
    pub deliveries: u64,
    /// Deliveries per second.
    pub deliveries_per_second: f64,
    /// Operations per second.
    pub operations_per_second: f64,
    /// Answers to connects for each delivery: below one if several came at once.
    pub answers_per_delivery: Option<f64>,
    /// From the moment an operation was due to its end at each subscriber.
    pub latency_us: Latency,
    /// What was wrong, from the first message to the last, warm-up and all.
    pub checks: Checks,
    /// What the server has used, if its process is known and could be seen to the end.
    pub server: Option<ServerUsage>,
    /// What the tool itself has used; known on Linux only.
    pub client: Option<Share>,
    /// Whether it never slept.
    pub spins: bool,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names say it all")]
pub struct Latency {
    pub min: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    pub mean: f64,
}

/// What was wrong.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checks {
    /// Messages that a subscriber never got.
    pub lost: u64,
    /// Messages that a subscriber got again.
    pub duplicated: u64,
    /// Messages that came behind a later one of the same publisher and channel.
    pub out_of_order: u64,
    /// Messages that came to one who had not subscribed, or on another channel than they were sent.
    pub misrouted: u64,
    /// Requests that failed, were refused or not answered, and whatever else kept the run from its end.
    pub errors: u64,
    /// The first of these.
    pub first_error: Option<String>,
}

/// CPU time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Share {
    /// User and system time in microseconds.
    pub cpu_us: u64,
    /// The part of one core.
    pub share: f64,
}

/// What the server has used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ServerUsage {
    /// User and system time in microseconds, and its part of one core.
    #[serde(flatten)]
    pub cpu: Share,
    /// Of that, for each delivery.
    pub cpu_us_per_delivery: Option<f64>,
    /// For each operation.
    pub cpu_us_per_operation: Option<f64>,
    /// Resident memory in bytes before the first client came.
    pub rss_before: u64,
    /// Resident memory in bytes with all clients there.
    pub rss_ready: u64,
    /// Resident memory in bytes at the end.
    pub rss_after: u64,
    /// What came with the clients, for each of them.
    pub rss_per_client: Option<f64>,
}

impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            min: histogram.min(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
            mean: histogram.mean(),
        }
    }
}

impl Checks {
    /// Whether nothing was wrong.
    #[must_use]
    pub const fn all_well(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order + self.misrouted + self.errors == 0
    }
}

impl Report {
    /// Whether nothing was wrong, and anything was done at all.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.checks.all_well() && self.operations > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency {
            p50,
            p90,
            p99,
            p999,
            max,
            ..
        } = self.latency_us;
        write!(
            f,
            "{}: {:.2} s, {} operations",
            self.mode, self.seconds, self.operations
        )?;
        if let Some(planned) = self.planned {
            write!(f, " of {planned}")?;
        }
        writeln!(f, " ({:.0}/s)", self.operations_per_second)?;
        if self.deliveries > 0 {
            write!(
                f,
                "deliveries: {} ({:.0}/s)",
                self.deliveries, self.deliveries_per_second
            )?;
            writeln!(f, ", {:.3} answers each", self.answers_per_delivery.unwrap_or_default())?;
        }
        writeln!(
            f,
            "latency in µs: 50 % {p50}, 90 % {p90}, 99 % {p99}, 99.9 % {p999}, max {max}"
        )?;
        if let Some(server) = &self.server {
            write!(f, "server: {:.0} % of a core", server.cpu.share * 100.0)?;
            if let Some(each) = server.cpu_us_per_delivery {
                write!(f, ", {each:.2} µs per delivery")?;
            }
            if let Some(each) = server.cpu_us_per_operation {
                write!(f, ", {each:.2} µs per operation")?;
            }
            writeln!(
                f,
                ", RSS {} KiB, {} KiB with all clients",
                server.rss_before / 1024,
                server.rss_ready / 1024
            )?;
        }
        if let Some(client) = &self.client {
            let spins = if self.spins { ", never asleep" } else { "" };
            writeln!(f, "this tool: {:.0} % of a core{spins}", client.share * 100.0)?;
        }
        let Checks {
            lost,
            duplicated,
            out_of_order,
            misrouted,
            errors,
            first_error,
        } = &self.checks;
        writeln!(
            f,
            "lost {lost}, duplicated {duplicated}, out of order {out_of_order}, misrouted {misrouted}, errors {errors}"
        )?;
        first_error
            .iter()
            .try_for_each(|error| writeln!(f, "first error: {error}"))
    }
}
