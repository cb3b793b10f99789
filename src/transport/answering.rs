//! A request of ours on the way to its answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;

use super::{
    AnswerBody,
    polling::{Hold, Processed},
};

/// The future of an answer. It has two lives: one that reads and processes the messages, and one that waits, if there is a
/// connect to be held. Nothing of the first goes into the second, so that a held connect is small.
pub(crate) struct Answering(Stage);

enum Stage {
    Processing(Pin<Box<dyn Future<Output = Processed> + Send>>),
    Holding(Pin<Box<Hold>>),
}

impl Answering {
    #[inline]
    pub(super) fn new(processing: impl Future<Output = Processed> + Send + 'static) -> Self {
        Self(Stage::Processing(Box::pin(processing)))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response<AnswerBody>> {
        loop {
            self.0 = match &mut self.0 {
                Stage::Processing(processing) => match ready!(processing.as_mut().poll(cx)) {
                    Processed::Answered(response) => return Poll::Ready(response),
                    Processed::Held(hold) => Stage::Holding(hold),
                },
                Stage::Holding(hold) => return hold.as_mut().poll(cx),
            };
        }
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}
