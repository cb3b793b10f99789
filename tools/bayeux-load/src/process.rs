//! What a process of this machine has used, from `/proc`.

use std::fs;

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time, in microseconds; Linux counts in steps of ten milliseconds.
    pub(crate) cpu_us: u64,
    /// Resident memory in bytes.
    pub(crate) rss: u64,
}

/// Linux shows times in hundredths of a second, whatever the kernel's own tick.
const TICK_US: u64 = 10_000;

/// What a process has used so far; `None` if it is not there, or this is not Linux.
pub(crate) fn usage(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name, in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = resident.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(Usage {
        cpu_us: (user + system) * TICK_US,
        rss: kibibytes * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(usage(std::process::id()).unwrap().rss > 100_000);
        assert!(usage(u32::MAX).is_none());
    }
}
