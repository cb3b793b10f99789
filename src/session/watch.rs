//! What the server notices of trouble around it, in a few numbers for each.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::{
    sync::{Mutex, lock},
    trouble::{Trouble, TroubleCounts},
};

/// How long a trouble counts as one that is there, and the time within which its signs add up; in milliseconds.
const WINDOW: u64 = 60_000;

/// The pause between two warnings of the same trouble.
const BETWEEN_WARNINGS: u64 = 300_000;

/// Holds shorter than this break off for many reasons.
const SHORTEST_CUT: u64 = 1_000;

/// How far two cuts may be apart and still be of one limit.
const TOLERANCE: u64 = 250;

/// One watch for each [`Trouble`]. What is noted changes a few numbers and runs no code of others, so it may be noted under
/// a lock; [`warn`](Self::warn) says it when there is none.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    signs: [Signs; Trouble::ALL.len()],
    cuts: Mutex<Cuts>,
    /// Whether there may be something to warn of.
    is_warning_due: AtomicU64,
}

#[derive(Debug, Default)]
struct Signs {
    seen: AtomicU64,
    /// Which window the latest sign was in, counted from one, and how many there were in it.
    window: AtomicU64,
    in_window: AtomicU64,
    /// Until when the trouble counts as there.
    until: AtomicU64,
    /// From when on it may be warned of again.
    quiet_until: AtomicU64,
}

/// The duration at which most holds broke off lately, found by majority: others take votes away from it.
#[derive(Debug, Default)]
struct Cuts {
    after: u64,
    votes: u32,
}

/// How many signs within a window are no chance.
const fn threshold(trouble: Trouble) -> u64 {
    match trouble {
        // Each was a majority already.
        Trouble::HoldsCut | Trouble::SessionsFull | Trouble::UpgradesFail => 1,
        Trouble::SlowConsumers => 3,
        Trouble::CookiesLost => 10,
        Trouble::ConnectsTooClose => 20,
        Trouble::UnknownSessions => 100,
    }
}

/// How many more cuts of the same duration than of others make a limit of it.
const MAJORITY: u32 = 8;

impl Watch {
    /// Notes a sign at `now`, in milliseconds.
    #[cold]
    pub(crate) fn note(&self, trouble: Trouble, now: u64) {
        let Some(signs) = self.signs.get(trouble as usize) else {
            return;
        };
        signs.seen.fetch_add(1, Relaxed);
        let window = now / WINDOW + 1;
        if signs.window.swap(window, Relaxed) != window {
            signs.in_window.store(0, Relaxed);
        }
        if signs.in_window.fetch_add(1, Relaxed) + 1 >= threshold(trouble) {
            signs.until.store(now + WINDOW, Relaxed);
            self.is_warning_due.store(1, Relaxed);
        }
    }

    /// Notes that a hold broke off after `held`; it may have been its client, or something that always does.
    #[cold]
    pub(super) fn note_cut(&self, held: Duration, now: u64) {
        let held = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
        if held < SHORTEST_CUT {
            return;
        }
        let mut cuts = lock(&self.cuts);
        if cuts.after.abs_diff(held) <= TOLERANCE {
            cuts.votes = (cuts.votes + 1).min(2 * MAJORITY);
        } else if cuts.votes > 0 {
            cuts.votes -= 1;
        } else {
            *cuts = Cuts { after: held, votes: 1 };
        }
        let is_limit = cuts.votes >= MAJORITY;
        drop(cuts);
        if is_limit {
            self.note(Trouble::HoldsCut, now);
        }
    }

    /// What there is at `now`.
    pub(crate) fn troubles(&self, now: u64) -> Vec<Trouble> {
        let is_there = |trouble: &Trouble| {
            let signs = self.signs.get(*trouble as usize);
            signs.is_some_and(|signs| signs.until.load(Relaxed) > now)
        };
        Trouble::ALL.iter().copied().filter(is_there).collect()
    }

    pub(crate) fn counts(&self) -> TroubleCounts {
        TroubleCounts::new(|trouble| {
            let signs = self.signs.get(trouble as usize);
            signs.map_or(0, |signs| signs.seen.load(Relaxed))
        })
    }

    /// Warns of what is there, each trouble once in a while. No lock may be held.
    pub(crate) fn warn(&self, now: u64) {
        if self.is_warning_due.swap(0, Relaxed) == 0 {
            return;
        }
        for trouble in self.troubles(now) {
            if self.is_news(trouble, now) {
                self.say(trouble);
            }
        }
    }

    fn is_news(&self, trouble: Trouble, now: u64) -> bool {
        self.signs.get(trouble as usize).is_some_and(|signs| {
            let next = signs.quiet_until.fetch_update(Relaxed, Relaxed, |quiet_until| {
                (quiet_until <= now).then_some(now + BETWEEN_WARNINGS)
            });
            next.is_ok()
        })
    }

    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nobody is told"))]
    fn say(&self, trouble: Trouble) {
        let signs = self.counts().count(trouble);
        let cure = trouble.cure();
        if trouble == Trouble::HoldsCut {
            let after_ms = lock(&self.cuts).after;
            crate::trace::warning!(%trouble, signs, after_ms, cure, "trouble");
        } else {
            crate::trace::warning!(%trouble, signs, cure, "trouble");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_takes_several_signs_and_passes() {
        let watch = Watch::default();
        (0..2).for_each(|_| watch.note(Trouble::SlowConsumers, 0));
        // In the next window they count anew.
        (0..2).for_each(|_| watch.note(Trouble::SlowConsumers, WINDOW));
        assert!(watch.troubles(WINDOW).is_empty());
        watch.note(Trouble::SlowConsumers, WINDOW);
        assert_eq!(watch.troubles(2 * WINDOW - 1), [Trouble::SlowConsumers]);
        assert!(watch.troubles(2 * WINDOW).is_empty());
        assert_eq!(watch.counts().count(Trouble::SlowConsumers), 5);
    }

    #[test]
    fn a_warning_is_given_once_in_a_while() {
        let watch = Watch::default();
        assert!(watch.is_news(Trouble::HoldsCut, 0));
        assert!(!watch.is_news(Trouble::HoldsCut, BETWEEN_WARNINGS - 1));
        assert!(watch.is_news(Trouble::HoldsCut, BETWEEN_WARNINGS));
    }

    #[test]
    fn cuts_of_one_duration_are_told_from_those_of_any() {
        let watch = Watch::default();
        for seconds in 2..30 {
            watch.note_cut(Duration::from_secs(seconds), 0);
        }
        assert!(watch.troubles(0).is_empty());
        for round in 0..20 {
            watch.note_cut(Duration::from_millis(15_000 + round), 0);
            if round % 5 == 0 {
                watch.note_cut(Duration::from_secs(1 + round), 0);
            }
        }
        assert_eq!(watch.troubles(0), [Trouble::HoldsCut]);
    }
}
