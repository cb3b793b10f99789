//! Fuzzing: what anybody may send, and what must hold whatever it is.
//!
//! A target takes bytes, puts them where a client could, and panics if something is not as it should be. All go through
//! the public face of the crate, a request into the service, in paused time. [`TARGETS`] lists them; libFuzzer runs them
//! by `fuzz_targets/`, and the tests of the workspace on a stable compiler by `tests/corpora`.
//!
//! In all inputs that are text, `$1` stands for the `clientId` of a live session, or for its cookie.

mod answer;
mod callback_polling;
mod channel_names;
mod cookies;
mod expected;
mod messages;
mod scenario;
mod sequences;
mod websocket;
mod world;

pub use callback_polling::callback_polling;
pub use channel_names::channel_names;
pub use cookies::cookies;
pub use messages::{forms, messages};
pub use sequences::sequences;
pub use websocket::websocket;

/// Every target with its name, which is that of its corpus, too.
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("messages", messages),
    ("forms", forms),
    ("cookies", cookies),
    ("channel_names", channel_names),
    ("callback_polling", callback_polling),
    ("websocket", websocket),
    ("sequences", sequences),
];
