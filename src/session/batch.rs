//! Batches: what is delivered to a session inside of one leaves in one answer.

use std::sync::Arc;

use super::Session;
use crate::sync::wake;

/// While there is one, nothing that is queued wakes the session's held connect. Ends when dropped, by whatever it comes
/// to that: the last one wakes the connect if there is something for it.
#[derive(Debug)]
pub(crate) struct Batch(Arc<Session>);

impl Batch {
    pub(crate) fn begin(session: Arc<Session>) -> Self {
        session.state().batches += 1;
        Self(session)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.batches -= 1;
        let is_over = state.batches == 0 && !state.queue.is_empty();
        let waker = if is_over { state.waker.take() } else { None };
        drop(state);
        wake(waker);
    }
}
