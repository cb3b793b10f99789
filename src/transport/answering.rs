//! A request of ours on the way to its answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    AnswerBody,
    long_polling::LongPolling,
    polling::{Hold, Processed, Processing},
};

pin_project! {
    /// The future of an answer. It has several lives: one that reads the body, one that processes what has to wait for the
    /// application, and one that waits for messages, if there is a connect to be held. Nothing of one goes into the next,
    /// so that a held connect is small.
    pub(crate) struct Answering<B> {
        #[pin]
        stage: Stage<B>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<B> {
        Reading { #[pin] reading: LongPolling<B> },
        Processing { processing: Processing },
        Holding { hold: Pin<Box<Hold>> },
    }
}

impl<B> Answering<B> {
    /// Reads the messages from a body.
    #[inline]
    pub(super) const fn read(reading: LongPolling<B>) -> Self {
        Self {
            stage: Stage::Reading { reading },
        }
    }

    /// Processes what is there already.
    pub(super) fn process(processing: impl Future<Output = Processed> + Send + 'static) -> Self {
        let processing = Box::pin(processing);
        Self {
            stage: Stage::Processing { processing },
        }
    }
}

impl<B> Future for Answering<B>
where
    B: Body,
{
    type Output = Response<AnswerBody>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<AnswerBody>> {
        let mut stage = self.project().stage;
        loop {
            let processed = match stage.as_mut().project() {
                StageProj::Reading { reading } => ready!(reading.poll(cx)),
                StageProj::Processing { processing } => ready!(processing.as_mut().poll(cx)),
                StageProj::Holding { hold } => return hold.as_mut().poll(cx),
            };
            stage.set(match processed {
                Processed::Answered(response) => return Poll::Ready(response),
                Processed::Waits(processing) => Stage::Processing { processing },
                Processed::Held(hold) => Stage::Holding { hold },
            });
        }
    }
}

impl<B> fmt::Debug for Answering<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}
