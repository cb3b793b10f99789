//! The handlers of one server.

use std::{
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use serde_json::value::RawValue;

use super::{
    Call, CallHandler,
    handler::{DynHandler, Erased},
};
use crate::{
    protocol::ChannelName,
    sync::{read, write},
};

type Service = (ChannelName, Arc<dyn DynHandler>);

/// All handlers, in the order in which they are called.
#[derive(Default)]
pub(crate) struct Services {
    services: RwLock<Arc<[Service]>>,
    /// Whether there are any; spares publishers the lock where there are none.
    any: AtomicBool,
}

impl Services {
    /// Adds a handler.
    pub(crate) fn add<Args: 'static>(&self, pattern: ChannelName, handler: impl CallHandler<Args>) {
        let service: Service = (pattern, Arc::new(Erased::new(handler)));
        let mut services = write(&self.services);
        let mut all: Vec<Service> = services.iter().cloned().chain([service]).collect();
        // Stable, so that those on one pattern stay in the order in which they came.
        all.sort_by_key(|(pattern, _)| pattern.breadth());
        *services = all.into();
        self.any.store(true, Release);
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
        for (_, handler) in services.iter().filter(|(pattern, _)| pattern.matches(channel)) {
            if let Some(sent) = handler.handle(call).await.sent() {
                answer(sent.successful, &sent.data);
            }
        }
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = read(&self.services);
        f.debug_list()
            .entries(services.iter().map(|(pattern, _)| pattern))
            .finish()
    }
}
