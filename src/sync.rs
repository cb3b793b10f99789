//! Locks that outlive a panic, and wake-ups that survive one. Other files take their locks from here.
//!
//! No user code runs under a lock, so a poisoned lock can only mean a bug of ours; the data under it is kept
//! consistent by short critical sections, and one request's panic must not take the server with it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    task::Waker,
};

#[cfg(not(all(test, model)))]
mod kind {
    pub(crate) use std::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
    };
}

/// Those of loom, which tries every order in which threads may come to them; see `session/model.rs`.
#[cfg(all(test, model))]
mod kind {
    pub(crate) use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64},
    };
}

pub(crate) use kind::{AtomicBool, AtomicU64, Mutex, MutexGuard};

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes whoever it is; no lock may be held. A waker is somebody else's code: its panic stays its own, for what is left
/// to do after the wake-up concerns others.
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker
        && catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err()
    {
        crate::trace::warning!("a waker panicked");
    }
}
