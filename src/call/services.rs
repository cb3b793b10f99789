//! The handlers of one server.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{
    Answer, Call, CallError, CallHandler, IntoAnswer,
    handler::{DynHandler, Erased},
    template::Target,
};
use crate::{panics::Contained, protocol::InvalidChannel, registry::Registry};

type Service = (Target, Arc<dyn DynHandler>);

/// All handlers, in the order in which they are called.
#[derive(Debug, Default)]
pub(crate) struct Services(Registry<Service>);

impl Services {
    /// Adds a handler.
    pub(crate) fn add<Args: 'static>(
        &self,
        target: &str,
        handler: impl CallHandler<Args>,
    ) -> Result<(), InvalidChannel> {
        let service: Service = (Target::parse(target)?, Arc::new(Erased::new(handler)));
        self.0.add_sorted(service, |(target, _)| target.breadth());
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls each handler that matches. `answer` gets what each of them has to say, success or failure and data, before
    /// the next one is called.
    pub(crate) async fn call(&self, call: &Call<'_>, answer: impl Fn(bool, &RawValue) + Send + Sync) {
        let channel = call.channel();
        for (target, handler) in self.0.all().iter().filter(|(target, _)| target.matches(channel)) {
            let call = call.clone().through(target.template());
            if let Some(sent) = handle(&**handler, &call).await.sent() {
                answer(sent.successful, &sent.data);
            }
        }
    }
}

/// Runs a handler; a panic in it is a failure, of which the caller need not know more.
async fn handle(handler: &dyn DynHandler, call: &Call<'_>) -> Answer {
    let handled = Contained::new(handler.handle(call)).await;
    handled.unwrap_or_else(|| CallError::new("the call could not be handled").into_answer())
}
