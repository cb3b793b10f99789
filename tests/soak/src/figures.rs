//! What is printed, and what is made of it.

use std::{
    fmt, fs,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{Error, check::Tally, serve::Gauges};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// What the server may have allocated when nobody is left: tables that have grown, and the runtime. What is resident is no
/// measure, because the allocator keeps most of what was freed.
const REST: u64 = 4 * 1024 * 1024;

/// The server at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Since the run began.
    pub(crate) age: Duration,
    /// Resident memory in bytes.
    pub(crate) resident: u64,
    pub(crate) gauges: Gauges,
}

impl Sample {
    pub(crate) const HEAD: &str =
        "    s     MiB    live  sessions  subscriptions  held  sockets  queued     added  published  delivered";
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = &self.gauges;
        write!(
            f,
            "{:5} {:7.1} {:7.1} {:9} {:14} {:5} {:8} {:7} {:9} {:10} {:10}",
            self.age.as_secs(),
            self.resident as f64 / MEBIBYTE,
            of.live_bytes as f64 / MEBIBYTE,
            of.sessions,
            of.subscriptions,
            of.held,
            of.sockets,
            of.queued,
            of.added,
            of.published,
            of.delivered,
        )
    }
}

/// The resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes.ok_or("no VmRSS")?.parse::<u64>()? * 1024)
}

/// The samples of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<Sample>);

impl Figures {
    pub(crate) fn add(&mut self, sample: Sample) {
        self.0.push(sample);
    }

    /// Prints what has come out, and says whether all is well.
    pub(crate) fn verdict(&self, last: &Sample, tally: &Tally) -> bool {
        let steady = &self.0[self.0.len() / 2..];
        let minutes = steady.len() as f64 / 6.0;
        let (slope, mean) = slope(steady, |sample| sample.gauges.live_bytes);
        let (resident_slope, resident) = self::slope(steady, |sample| sample.resident);
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        let of = &last.gauges;
        println!(
            "allocated: {:.1} MiB on average, {:+.1} KiB a minute over {minutes:.1} minutes; {:.1} MiB with nobody left",
            mean / MEBIBYTE,
            slope / 1024.0,
            of.live_bytes as f64 / MEBIBYTE
        );
        println!(
            "resident: {:.1} MiB on average, {:+.1} KiB a minute; {:.1} MiB with nobody left",
            resident / MEBIBYTE,
            resident_slope / 1024.0,
            last.resident as f64 / MEBIBYTE
        );
        println!(
            "clients: {} came, {} left, {} vanished, {} got stuck, {} were forgotten; {} reconnects, {} broken connections, {} failures",
            of.added,
            count(&tally.left),
            count(&tally.vanished),
            count(&tally.stuck),
            count(&tally.unknown),
            count(&tally.reconnected),
            count(&tally.broken),
            count(&tally.failed),
        );
        println!(
            "messages: {} numbers came, {} doubled, {} lost, {} lost with a connection that did not acknowledge",
            count(&tally.messages),
            count(&tally.doubled),
            count(&tally.lost),
            count(&tally.lost_with_connection),
        );
        println!(
            "the server: {} published, {} delivered, {} given back, {} lost, {} dropped; {} sessions expired; left: {} \
             sessions, {} subscriptions, {} held, {} sockets, {} queued, {} bytes",
            of.published,
            of.delivered,
            of.given_back,
            of.lost,
            of.dropped,
            of.expired,
            of.sessions,
            of.subscriptions,
            of.held,
            of.sockets,
            of.queued,
            of.queued_bytes,
        );
        let verdicts = [
            (count(&tally.doubled) == 0, "a message came twice"),
            (count(&tally.lost) == 0, "a message was lost"),
            (count(&tally.failed) == 0, "a client failed"),
            (of.is_empty(), "something is left"),
            (of.live_bytes < REST, "memory is left"),
        ];
        for (_, what) in verdicts.iter().filter(|(is_well, _)| !is_well) {
            println!("BAD: {what}");
        }
        let is_well = verdicts.iter().all(|(is_well, _)| *is_well);
        println!("{}", if is_well { "all is well" } else { "not all is well" });
        is_well
    }
}

/// How many bytes a figure grows by in a minute, by least squares, and its mean.
fn slope(samples: &[Sample], bytes: impl Fn(&Sample) -> u64) -> (f64, f64) {
    let points: Vec<_> = samples
        .iter()
        .map(|sample| (sample.age.as_secs_f64() / 60.0, bytes(sample) as f64))
        .collect();
    let count = points.len().max(1) as f64;
    let (mean_x, mean_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (mut above, mut below) = (0.0, f64::EPSILON);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    (above / below, mean_y)
}
