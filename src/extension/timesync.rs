//! The timesync extension.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{Extension, Fate, Incoming, IncomingContext, OutgoingContext};
use crate::protocol::MutableMessage;

const NAME: &str = "timesync";

/// Lets clients work out the server's clock and the lag of the network: CometD's `TimesyncExtension`, for the extension
/// of that name in cometd.js.
///
/// A client puts its clock into the `ext` of its meta messages; the reply tells when the server has got the message and
/// how long it has kept it, unless what the client has worked out already is [accurate](Self::accuracy) enough. The lag
/// that a client has worked out becomes an attribute of its session: [`Lag`].
///
/// ```
/// use tower_bayeux::{BayeuxServer, extension::Timesync};
///
/// let bayeux = BayeuxServer::new();
/// bayeux.add_extension(Timesync::new());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timesync {
    accuracy: Duration,
}

/// The network lag between a client and the server, one way, as the client has worked it out: an attribute of its
/// session, set by [`Timesync`].
///
/// ```
/// use tower_bayeux::{ServerSession, extension::Lag};
///
/// fn is_far_away(session: &ServerSession) -> bool {
///     session.attribute::<Lag>().is_some_and(|lag| lag.0.as_millis() > 200)
/// }
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lag(pub Duration);

impl Default for Timesync {
    fn default() -> Self {
        Self::new()
    }
}

impl Timesync {
    /// With an accuracy of 25 ms.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            accuracy: Duration::from_millis(25),
        }
    }

    /// From which error of a client's figures on it is told again. Default 25 ms.
    #[must_use]
    pub const fn accuracy(mut self, accuracy: Duration) -> Self {
        self.accuracy = accuracy;
        self
    }

    /// The answer, unless the client knows well enough. One of the old kind does not say what it knows.
    fn answer(&self, asked: Asked, now: i64) -> Option<Answered> {
        let received = asked.ts?;
        let error = asked.error(received)?;
        if let (Some(lag), Some(error)) = (asked.l, error)
            && lag != 0.0
            && error.abs() < self.accuracy.as_secs_f64() * 1000.0
        {
            return None;
        }
        Some(Answered {
            tc: asked.tc,
            ts: received,
            p: now.saturating_sub(received),
            a: error.map(whole),
        })
    }
}

/// What a client puts into `ext`; times in milliseconds, whole or not.
#[derive(Deserialize)]
struct Asked {
    /// The client's clock.
    tc: Number,
    /// The lag that it has worked out.
    l: Option<f64>,
    /// The offset of its clock that it has worked out.
    o: Option<f64>,
    /// The server's clock when it came: filled in here.
    ts: Option<i64>,
}

impl Asked {
    /// By how much the client's figures miss the moment when the message came, if it has any.
    fn error(&self, received: i64) -> Option<Option<f64>> {
        let Some(lag) = self.l else { return Some(None) };
        let estimated = self.tc.as_f64()? + self.o.unwrap_or_default() + lag;
        Some(Some(estimated - millis_of(received)))
    }
}

/// What it gets back.
#[derive(Debug, PartialEq, Serialize)]
struct Answered {
    tc: Number,
    ts: i64,
    /// How long the server has kept the message.
    p: i64,
    /// The error of the client's figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<i64>,
}

impl Extension for Timesync {
    async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        if !message.is_meta() {
            return Incoming::Pass;
        }
        let Ok(Some(mut asked)) = message.ext::<Map<String, Value>>(NAME) else {
            return Incoming::Pass;
        };
        let lag = asked.get("l").and_then(Value::as_f64);
        if let (Some(session), Some(lag)) = (context.session(), lag)
            && let Ok(lag) = Duration::try_from_secs_f64(lag / 1000.0)
        {
            session.insert_attribute(Lag(lag));
        }
        asked.insert("ts".to_owned(), now().into());
        // It was JSON before.
        let _ = message.set_ext(NAME, &asked);
        Incoming::Pass
    }

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        if !message.is_meta() {
            return Fate::Pass;
        }
        let asked = context
            .incoming()
            .and_then(|incoming| incoming.ext::<Asked>(NAME).ok().flatten());
        if let Some(answer) = asked.and_then(|asked| self.answer(asked, now())) {
            // Numbers can always be written.
            let _ = message.set_ext(NAME, &answer);
        }
        Fate::Pass
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
const fn millis_of(time: i64) -> f64 {
    time as f64
}

#[expect(clippy::cast_possible_truncation, reason = "saturates, as it should")]
const fn whole(millis: f64) -> i64 {
    millis as i64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(json: &str) -> Asked {
        serde_json::from_str(json).unwrap()
    }

    fn answered(timesync: Timesync, json: &str, now: i64) -> Option<serde_json::Value> {
        let answer = timesync.answer(asked(json), now);
        answer.map(|answer| serde_json::to_value(answer).unwrap())
    }

    #[test]
    fn a_client_that_knows_nothing_yet_is_told() {
        let answer = answered(Timesync::new(), r#"{"tc":1000,"l":0,"o":0,"ts":1500}"#, 1520);
        assert_eq!(answer, Some(json!({ "tc": 1000, "ts": 1500, "p": 20, "a": -500 })));
    }

    #[test]
    fn one_whose_figures_are_good_is_not() {
        let good = r#"{"tc":1000,"l":10,"o":480,"ts":1500}"#;
        assert_eq!(answered(Timesync::new(), good, 1520), None);
        let strict = Timesync::new().accuracy(Duration::from_millis(10));
        assert!(answered(strict, good, 1520).is_some());
        let bad = answered(Timesync::new(), r#"{"tc":1000,"l":10,"o":515.5,"ts":1500}"#, 1520);
        assert_eq!(bad.unwrap()["a"], 25);
    }

    #[test]
    fn one_of_the_old_kind_always_is_without_the_error() {
        let answer = answered(Timesync::new(), r#"{"tc":1000,"ts":1500}"#, 1500);
        assert_eq!(answer, Some(json!({ "tc": 1000, "ts": 1500, "p": 0 })));
    }
}
