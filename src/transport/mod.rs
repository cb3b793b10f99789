//! HTTP bytes in, Bayeux messages out, and back. Knows HTTP; what a message means is decided below.

mod answer;
mod body;
mod cookie;
mod info;
mod long_polling;
mod request;

pub use body::ResponseBody;
pub use info::{AnswerInfo, Outcome, Transport};

pub(crate) use body::AnswerBody;
pub(crate) use long_polling::serve;
