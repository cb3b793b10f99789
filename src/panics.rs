//! User code whose panic stays its own, where what comes after it concerns others.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// Runs user code; `None` if it panicked. No lock may be held.
pub(crate) fn contain<T>(code: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(code)).ok();
    if result.is_none() {
        crate::trace::warning!("user code panicked");
    }
    result
}

pin_project! {
    /// A future of user code; `None` if it panicked.
    #[derive(Debug)]
    pub(crate) struct Contained<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Contained<F> {
    pub(crate) const fn new(future: F) -> Self {
        Self { future }
    }
}

impl<F: Future> Future for Contained<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match contain(|| future.poll(cx)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        }
    }
}
