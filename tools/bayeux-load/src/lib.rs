//! Puts load on any Bayeux server by long-polling over HTTP/1.1, and checks and measures what comes back.
//!
//! Every message carries who sent it, when it was to be sent, and its number in the sequence of its publisher and
//! channel. So each subscriber sees for itself what is lost, doubled, out of order or not meant for it, and latency
//! counts from the moment at which a message *should* have been sent: a server that makes the publisher late does not
//! make its figures look better.
//!
//! One thread, no locks: the tool is to be cheaper than any server it measures. Its own share of a core is in the
//! report, so that one can see whether it was; but not while it spins, when it is always all of it.

mod http;
mod ledger;
mod message;
mod mode;
mod options;
mod process;
mod publisher;
mod random;
mod report;
mod session;
mod target;
mod track;

pub use mode::run;
pub use options::{Mode, Options};
pub use report::{Checks, Latency, Report, ServerUsage, Share};
pub use target::Target;

/// What ends a run early.
pub type Error = Box<dyn std::error::Error>;
