//! What one subscriber has got, checked number by number.

use std::collections::{BTreeSet, HashMap};

/// Who sent a message, on which channel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Sequence {
    pub(crate) publisher: u32,
    pub(crate) channel: u32,
}

/// What a message was for the one who got it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    InOrder,
    /// Behind a later one.
    Late,
    Duplicate,
}

/// The sequences of one subscriber.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sequences: HashMap<Sequence, Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    next: u64,
    /// Numbers below `next` that have not come.
    missing: BTreeSet<u64>,
}

impl Ledger {
    pub(crate) fn arrived(&mut self, sequence: Sequence, number: u64) -> Arrival {
        let progress = self.sequences.entry(sequence).or_default();
        if number >= progress.next {
            progress.missing.extend(progress.next..number);
            progress.next = number + 1;
            Arrival::InOrder
        } else if progress.missing.remove(&number) {
            Arrival::Late
        } else {
            Arrival::Duplicate
        }
    }

    /// How many of the first `sent` messages have not come.
    pub(crate) fn lost(&self, sequence: Sequence, sent: u64) -> u64 {
        self.sequences.get(&sequence).map_or(sent, |progress| {
            sent.saturating_sub(progress.next) + progress.missing.len() as u64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Sequence = Sequence {
        publisher: 1,
        channel: 1,
    };

    fn arrivals(numbers: &[u64]) -> (Vec<Arrival>, Ledger) {
        let mut ledger = Ledger::default();
        let arrivals = numbers.iter().map(|number| ledger.arrived(ONE, *number)).collect();
        (arrivals, ledger)
    }

    #[test]
    fn what_is_late_is_not_lost_and_what_comes_again_is_a_duplicate() {
        let (all, ledger) = arrivals(&[0, 2, 1, 1, 5]);
        assert_eq!(
            all,
            [
                Arrival::InOrder,
                Arrival::InOrder,
                Arrival::Late,
                Arrival::Duplicate,
                Arrival::InOrder
            ]
        );
        assert_eq!(ledger.lost(ONE, 6), 2);
        assert_eq!(ledger.lost(ONE, 8), 4);
    }

    #[test]
    fn sequences_do_not_mix() {
        let (_, ledger) = arrivals(&[0]);
        let other = Sequence {
            publisher: 2,
            channel: 1,
        };
        assert_eq!(ledger.lost(other, 3), 3);
    }
}
