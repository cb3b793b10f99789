//! The names of the meta channels.

pub(crate) const HANDSHAKE: &str = "/meta/handshake";
pub(crate) const CONNECT: &str = "/meta/connect";
pub(crate) const SUBSCRIBE: &str = "/meta/subscribe";
pub(crate) const UNSUBSCRIBE: &str = "/meta/unsubscribe";
pub(crate) const DISCONNECT: &str = "/meta/disconnect";
