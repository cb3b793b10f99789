//! What clients can't guess, and pauses that differ from client to client.

use std::time::Duration;

use rand::{
    Rng, RngExt, SeedableRng, TryRng,
    rngs::{StdRng, SysRng},
};

use crate::sync::{Mutex, lock};

/// How many times it is asked before it is seeded anew.
const ASKED_PER_SEED: u32 = 4096;

/// A cryptographically secure generator that the operating system seeds: no system call for each id.
///
/// It is seeded anew from time to time, so that it is of no use for long to whoever got hold of its state. Where the
/// operating system has no seed to give then, it goes on with the one it has.
#[derive(Debug)]
pub(crate) struct Random(Mutex<Generator>);

#[derive(Debug)]
struct Generator {
    numbers: StdRng,
    left: u32,
}

impl Random {
    /// # Panics
    ///
    /// If the operating system has no random bytes for its first seed.
    #[track_caller]
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Generator {
            numbers: rand::make_rng(),
            left: ASKED_PER_SEED,
        }))
    }

    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        lock(&self.0).next(&mut SysRng).fill_bytes(bytes);
    }

    /// A pause of at most that long, in milliseconds.
    pub(crate) fn pause(&self, longest: Duration) -> Duration {
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(lock(&self.0).next(&mut SysRng).random_range(0..=millis))
    }
}

impl Generator {
    fn next(&mut self, seeds: &mut impl TryRng) -> &mut StdRng {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.left = ASKED_PER_SEED;
            if let Ok(numbers) = StdRng::try_from_rng(seeds) {
                self.numbers = numbers;
            }
        }
        &mut self.numbers
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fmt};

    use super::*;

    /// An operating system without random bytes.
    struct Dry;

    #[derive(Debug)]
    struct IsDry;

    impl fmt::Display for IsDry {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("dry")
        }
    }

    impl std::error::Error for IsDry {}

    impl TryRng for Dry {
        type Error = IsDry;

        fn try_next_u32(&mut self) -> Result<u32, IsDry> {
            Err(IsDry)
        }

        fn try_next_u64(&mut self) -> Result<u64, IsDry> {
            Err(IsDry)
        }

        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), IsDry> {
            Err(IsDry)
        }
    }

    /// One that gives zeroes.
    struct Zeroes;

    impl TryRng for Zeroes {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            bytes.fill(0);
            Ok(())
        }
    }

    fn generator() -> Generator {
        Generator {
            numbers: rand::make_rng(),
            left: ASKED_PER_SEED,
        }
    }

    #[test]
    fn it_goes_on_where_there_is_no_new_seed() {
        let mut generator = generator();
        let numbers: Vec<u64> = (0..ASKED_PER_SEED * 3)
            .map(|_| generator.next(&mut Dry).next_u64())
            .collect();
        let different: std::collections::HashSet<&u64> = numbers.iter().collect();
        assert_eq!(different.len(), numbers.len());
    }

    #[test]
    fn it_is_seeded_anew_from_time_to_time() {
        let mut generator = generator();
        for _ in 1..ASKED_PER_SEED {
            generator.next(&mut Zeroes).next_u64();
        }
        let mut of_zeroes = StdRng::from_seed([0; 32]);
        assert_eq!(generator.next(&mut Zeroes).next_u64(), of_zeroes.next_u64());
    }

    #[test]
    fn a_pause_is_no_longer_than_it_may_be() {
        let random = Random::new();
        assert_eq!(random.pause(Duration::ZERO), Duration::ZERO);
        for longest in [Duration::from_millis(3), Duration::MAX] {
            assert!((0..100).all(|_| random.pause(longest) <= longest));
        }
    }
}
