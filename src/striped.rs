//! What every request changes, once for each of a few threads. Processors that write to the same line of memory wait for
//! each other, whatever it is that each of them writes there.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Above that, threads share.
const STRIPES: usize = 16;

thread_local! {
    /// Where this thread writes.
    static MINE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Relaxed) % STRIPES
    };
}

/// A copy for each thread, to be read as the sum of all.
#[derive(Debug)]
pub(crate) struct Striped<T>(Box<[Stripe<T>]>);

/// Processors fetch two lines of 64 bytes at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe<T>(T);

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Stripe::default()).collect())
    }
}

impl<T> Striped<T> {
    /// That of this thread.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the number of stripes")]
    pub(crate) fn mine(&self) -> &T {
        &self.0[MINE.with(|mine| *mine)].0
    }

    /// Those of all threads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|Stripe(each)| each)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, thread};

    use super::*;

    #[test]
    fn whatever_any_thread_adds_is_in_the_sum() {
        let striped = Striped::<AtomicU64>::default();
        thread::scope(|scope| {
            for _ in 0..3 * STRIPES {
                scope.spawn(|| striped.mine().fetch_add(1, Relaxed));
            }
        });
        let sum: u64 = striped.iter().map(|each| each.load(Relaxed)).sum();
        assert_eq!(sum, 3 * STRIPES as u64);
    }

    #[test]
    fn no_two_copies_share_a_line() {
        let striped = Striped::<AtomicU64>::default();
        let places: Vec<usize> = striped.iter().map(|each| std::ptr::from_ref(each).addr()).collect();
        assert_eq!(places.len(), STRIPES);
        assert!(places.iter().all(|place| place % 128 == 0));
    }
}
