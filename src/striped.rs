//! What every request changes, once for each of a few threads. Processors that write to the same line of memory wait for
//! each other, whatever it is that each of them writes there.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Above that, threads share.
const STRIPES: usize = 16;

thread_local! {
    /// Which stripe is this thread's.
    static MINE: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        THREADS.fetch_add(1, Relaxed) % STRIPES
    };
}

/// What is this thread's. One that is ending may have no place any more, depending on the system; any will do for it.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the index is taken modulo the number of stripes")]
fn mine<T>(stripes: &[T]) -> &T {
    &stripes[MINE.try_with(|mine| *mine).unwrap_or_default()]
}

/// A value on lines of its own: processors fetch two lines of 64 bytes at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Stripe<T>(T);

impl<T> Deref for Stripe<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A copy for each thread, to be read as the sum of all.
#[derive(Debug)]
pub(crate) struct Striped<T>(Box<[Stripe<T>]>);

impl<T> Striped<T> {
    /// That of this thread.
    #[inline]
    pub(crate) fn mine(&self) -> &T {
        let Stripe(copy) = mine(&self.0);
        copy
    }

    /// Those of all threads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|Stripe(each)| each)
    }
}

impl<T: Default> Default for Striped<T> {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Stripe::default()).collect())
    }
}

/// A reference to a shared value, counted together with few others.
pub(crate) type Share<T> = Arc<Stripe<Arc<T>>>;

/// References to a shared value, each to be cloned by other threads: all clones of one [`Arc`] count in one place.
pub(crate) struct Shares<T>([Share<T>; STRIPES]);

impl<T> Shares<T> {
    pub(crate) fn of(value: &Arc<T>) -> Self {
        Self(std::array::from_fn(|_| Arc::new(Stripe(Arc::clone(value)))))
    }

    /// A reference that is counted with this thread's.
    #[inline]
    pub(crate) fn share(&self) -> Share<T> {
        Arc::clone(mine(&self.0))
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

    #[test]
    fn a_thread_that_is_ending_counts_too() {
        struct AtTheEnd(Arc<Striped<AtomicU64>>);

        impl Drop for AtTheEnd {
            fn drop(&mut self) {
                self.0.mine().fetch_add(1, Relaxed);
            }
        }

        thread_local! {
            static LAST: std::cell::OnceCell<AtTheEnd> = const { std::cell::OnceCell::new() };
        }

        let striped = Arc::new(Striped::<AtomicU64>::default());
        let counted = Arc::clone(&striped);
        let ending = thread::spawn(move || LAST.with(|last| last.set(AtTheEnd(counted)).is_ok()));
        assert!(ending.join().unwrap());
        let sum: u64 = striped.iter().map(|each| each.load(Relaxed)).sum();
        assert_eq!(sum, 1);
    }

    #[test]
    fn a_share_is_counted_with_those_of_its_thread() {
        let value = Arc::new("shared");
        let alive = Arc::downgrade(&value);
        let shares = Shares::of(&value);
        drop(value);
        let (first, second) = (shares.share(), shares.share());
        assert!(Arc::ptr_eq(&first, &second));
        let other = thread::scope(|scope| scope.spawn(|| shares.share()).join().unwrap());
        assert!(!Arc::ptr_eq(&first, &other));
        assert_eq!(Arc::strong_count(&other), 2);
        drop((shares, first, second));
        assert_eq!(**other, Arc::new("shared"));
        drop(other);
        assert!(alive.upgrade().is_none(), "the value goes with its last share");
    }
}
