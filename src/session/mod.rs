//! Sessions: the shared table, each session's bounded queue, its held connect, and its end.
//!
//! # Locks
//!
//! A session has three: `subscriptions` (held while the channel index is changed), `state` (the queue and the held
//! connect; the innermost lock of all) and `attributes`. No user code and no waker runs under any of them.

mod acks;
mod admission;
mod batch;
mod browsers;
mod connect;
mod counters;
mod delivery;
mod ending;
mod expiry;
mod gather;
mod handle;
mod held;
mod hub;
mod lazy;
mod lease;
#[cfg(all(test, model))]
mod model;
mod published;
mod push;
mod queue;
mod rate;
mod record;
mod refused;
mod shard;
mod table;
mod times;
mod watch;

pub use counters::{ReasonCounts, Stats};
pub use handle::{DeliverError, ServerSession};
pub use queue::OverflowPolicy;
pub use rate::MessageRate;
pub use refused::ErrorCounts;

pub(crate) use admission::{Admission, AdmissionLimits, Admitted};
pub(crate) use batch::Batch;
pub(crate) use browsers::BrowserSlot;
pub(crate) use connect::{Asked, Connect, Role, Taken, Terms};
pub(crate) use delivery::Delivery;
pub(crate) use expiry::Sweeper;
pub(crate) use held::Held;
pub(crate) use hub::{Host, Hub, Settings};
pub(crate) use lease::Lease;
pub(crate) use published::Attempt;
pub(crate) use push::Push;
pub(crate) use queue::QueueLimits;
pub(crate) use record::{Origin, Session, SubscriptionMap};
pub(crate) use table::SessionTable;
pub(crate) use times::Times;
pub(crate) use watch::Watch;
