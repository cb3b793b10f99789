//! The handlers of one server.

use std::{
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, RwLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    task::Poll,
};

use serde_json::value::RawValue;

use super::{
    Answer, Call, CallError, CallHandler, IntoAnswer,
    handler::{DynHandler, Erased},
    template::Target,
};
use crate::{
    protocol::InvalidChannel,
    sync::{read, write},
};

type Service = (Target, Arc<dyn DynHandler>);

/// All handlers, in the order in which they are called.
#[derive(Default)]
pub(crate) struct Services {
    services: RwLock<Arc<[Service]>>,
    /// Whether there are any; spares publishers the lock where there are none.
    any: AtomicBool,
}

impl Services {
    /// Adds a handler.
    pub(crate) fn add<Args: 'static>(
        &self,
        target: &str,
        handler: impl CallHandler<Args>,
    ) -> Result<(), InvalidChannel> {
        let service: Service = (Target::parse(target)?, Arc::new(Erased::new(handler)));
        let mut services = write(&self.services);
        let mut all: Vec<Service> = services.iter().cloned().chain([service]).collect();
        // Stable, so that those for one target stay in the order in which they came.
        all.sort_by_key(|(target, _)| target.breadth());
        *services = all.into();
        self.any.store(true, Release);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Acquire)
    }

    /// Calls each handler that matches. `answer` gets what each of them has to say, success or failure and data, before
    /// the next one is called.
    pub(crate) async fn call(&self, call: &Call<'_>, answer: impl Fn(bool, &RawValue) + Send + Sync) {
        // A snapshot: user code runs under no lock.
        let services = Arc::clone(&read(&self.services));
        let channel = call.channel();
        for (target, handler) in services.iter().filter(|(target, _)| target.matches(channel)) {
            let call = call.clone().through(target.template());
            if let Some(sent) = handle(&**handler, &call).await.sent() {
                answer(sent.successful, &sent.data);
            }
        }
    }
}

/// Runs a handler; a panic in it is a failure, of which the caller need not know more.
async fn handle(handler: &dyn DynHandler, call: &Call<'_>) -> Answer {
    let mut handling = handler.handle(call);
    let handled = poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| handling.as_mut().poll(cx)));
        polled.map_or_else(|panic| Poll::Ready(Err(panic)), |poll| poll.map(Ok))
    });
    handled.await.unwrap_or_else(|_| {
        crate::trace::warning!(channel = call.channel(), "a handler panicked");
        CallError::new("the call could not be handled").into_answer()
    })
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = read(&self.services);
        f.debug_list()
            .entries(services.iter().map(|(target, _)| target))
            .finish()
    }
}
