//! What an answer was, for layers outside.

use std::time::Duration;

use http::StatusCode;

use crate::{Reason, Transport, session::Taken};

/// What an answer was: put into the extensions of every response that the Bayeux layer makes itself, unless
/// [`answer_info`](crate::BayeuxBuilder::answer_info) is off.
///
/// A response without one came from the application. A layer outside uses it to keep held connects out of latency
/// figures:
///
/// ```
/// use std::time::Duration;
///
/// use tower_bayeux::AnswerInfo;
///
/// fn own_latency<B>(response: &http::Response<B>, latency: Duration) -> Duration {
///     let held = response.extensions().get::<AnswerInfo>().map_or(Duration::ZERO, |info| info.held);
///     latency.saturating_sub(held)
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AnswerInfo {
    /// The transport that was spoken.
    pub transport: Transport,
    /// How long the request was held waiting for messages.
    pub held: Duration,
    /// How many messages were delivered.
    pub messages: usize,
    /// What became of the request.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// It had no connect; each message got its reply.
    Replied,
    /// It had a connect, which ended for this reason; [`Reason::UnknownSession`] if it was refused.
    Connected(Reason),
    /// It opened a WebSocket or an event stream.
    Opened,
    /// It was no Bayeux request and got this HTTP error.
    Refused(StatusCode),
}

impl AnswerInfo {
    pub(crate) const fn replied(transport: Transport) -> Self {
        Self {
            transport,
            held: Duration::ZERO,
            messages: 0,
            outcome: Outcome::Replied,
        }
    }

    /// Notes how a connect has ended, and what it brings.
    pub(crate) fn connected(&mut self, taken: &Taken) {
        self.held = self.held.max(taken.held);
        self.messages += taken.lease.messages().len();
        self.outcome = Outcome::Connected(taken.reason);
    }

    pub(crate) const fn refused(transport: Transport, status: StatusCode) -> Self {
        Self {
            outcome: Outcome::Refused(status),
            ..Self::replied(transport)
        }
    }
}
