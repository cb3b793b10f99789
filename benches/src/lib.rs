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
};

use tokio::runtime::{Builder, Runtime};

pub use client::{Client, InFlight, Server, post};
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

/// A runtime whose clock stands still, so that no time that passes changes what is done. Must be entered.
///
/// # Panics
///
/// If there are no resources for it.
#[must_use]
pub fn still_runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
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
