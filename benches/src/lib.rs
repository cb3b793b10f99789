//! tower-bayeux without sockets: what the measurements in this folder have in common.
//!
//! A [`Path`] is one thing that a server does all day. It is written down once, and then measured by whoever wants: its
//! time by criterion, its instructions under callgrind, its allocations.

mod client;
mod paths;
mod sockets;

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::runtime::{Builder, Runtime};

pub use client::{Client, InFlight, Server, lasting, post};
pub use paths::{PATHS, Path};

/// Measures a piece of work; what goes on between two pieces is not measured.
pub trait Meter {
    /// Does the work.
    fn measure(&mut self, work: &mut dyn FnMut());
}

/// Does the work and measures nothing, to warm up.
#[derive(Debug)]
pub struct NoMeter;

impl Meter for NoMeter {
    fn measure(&mut self, work: &mut dyn FnMut()) {
        work();
    }
}

/// How often each time is taken.
const RUNS: usize = 5;

/// The fastest of several runs, in nanoseconds.
#[must_use]
pub fn fastest(mut run: impl FnMut() -> Duration) -> f64 {
    let fastest = (0..RUNS).map(|_| run()).min().unwrap_or_default();
    fastest.as_nanos() as f64
}

/// A runtime; must be entered. With the feature `still-clock` its clock stands still, so that no time that passes changes
/// what is done. A clock that can stand still takes a lock to be read, so what is timed goes without.
///
/// # Panics
///
/// If there are no resources for it.
#[must_use]
pub fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time();
    #[cfg(feature = "still-clock")]
    builder.start_paused(true);
    builder.build().expect("a runtime")
}

/// The output of a future that is ready at once.
///
/// # Panics
///
/// If it is not.
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready at once"),
    }
}
