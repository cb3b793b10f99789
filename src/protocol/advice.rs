//! Advice: what a server tells a client about its next step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a client should do after this reply (Bayeux 1.0, "reconnect advice field").
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconnect {
    /// Send the next `/meta/connect` after `interval`.
    Retry,
    /// The session is gone: start again with `/meta/handshake`.
    Handshake,
    /// Do not come back.
    None,
}

impl Reconnect {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Handshake => "handshake",
            Self::None => "none",
        }
    }
}

/// The `advice` object that every handshake and connect reply carries.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Advice {
    /// The next step.
    pub reconnect: Reconnect,
    /// How long to wait before it, in milliseconds.
    pub interval: u64,
    /// How long the server will hold the next connect, in milliseconds.
    pub timeout: u64,
    /// Whether other clients of the same browser keep this one from being held, so that it polls instead.
    #[serde(default, rename = "multiple-clients", skip_serializing_if = "std::ops::Not::not")]
    pub multiple_clients: bool,
}

impl Advice {
    /// Advice with its durations in whole milliseconds, capped at what a browser timer can wait for.
    #[must_use]
    pub fn new(reconnect: Reconnect, interval: Duration, timeout: Duration) -> Self {
        Self {
            reconnect,
            interval: millis(interval),
            timeout: millis(timeout),
            multiple_clients: false,
        }
    }

    pub(crate) const fn for_multiple_clients(mut self) -> Self {
        self.multiple_clients = true;
        self
    }
}

/// `setTimeout` takes 31 bits; a larger number fires at once, which would turn a long wait into a storm.
const MAX_MILLIS: u64 = i32::MAX as u64;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(MAX_MILLIS, |millis| millis.min(MAX_MILLIS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stay_within_a_browser_timer() {
        let advice = Advice::new(Reconnect::Retry, Duration::MAX, Duration::from_millis(1500));
        assert_eq!(advice.interval, 2_147_483_647);
        assert_eq!(advice.timeout, 1500);
    }

    #[test]
    fn reconnect_is_a_lower_case_word() {
        let json = serde_json::to_string(&Advice::new(Reconnect::None, Duration::ZERO, Duration::ZERO)).unwrap();
        assert_eq!(json, r#"{"reconnect":"none","interval":0,"timeout":0}"#);
    }
}
