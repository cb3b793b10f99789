//! What several clients and the application do, one after the other.

use arbitrary::Arbitrary;
use serde_json::{Value, json};

/// A whole life of a server, made from bytes.
#[derive(Arbitrary, Debug)]
pub(crate) struct Scenario {
    /// Whether messages take the way through extensions.
    pub(crate) extended: bool,
    /// Whether a full queue ends its session; otherwise the oldest messages go.
    pub(crate) overflow_ends: bool,
    pub(crate) steps: Vec<Step>,
}

/// One thing that happens. Clients, requests and streams are named by a number, whatever it is.
#[derive(Arbitrary, Debug)]
pub(crate) enum Step {
    Handshake {
        acknowledges: bool,
    },
    Send {
        client: u8,
        messages: Vec<Draft>,
        fate: Fate,
    },
    /// Goes on with a request that was left in the middle.
    GoOn {
        request: u8,
        fate: Fate,
    },
    OpenStream {
        client: u8,
    },
    ReadStream {
        stream: u8,
    },
    CloseStream {
        stream: u8,
    },
    Publish {
        channel: Name,
        size: u16,
        lazy: bool,
    },
    Deliver {
        client: u8,
        channel: Name,
    },
    Disconnect {
        client: u8,
    },
    SetTimes {
        client: u8,
        timeout: Option<u8>,
        interval: Option<u8>,
        max_interval: Option<u8>,
    },
    Pass {
        millis: u16,
    },
    Shutdown,
}

/// What becomes of a request.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// It is answered, and its answer read.
    Answered,
    /// It is polled once and kept.
    Kept,
    /// It is polled once, and then its connection breaks.
    Dropped,
    /// It is answered, and then its connection breaks.
    AnswerDropped,
    /// Its connection breaks before anything happens.
    Unpolled,
}

/// A message in the making.
#[derive(Arbitrary, Debug)]
pub(crate) enum Draft {
    Handshake,
    Connect {
        timeout: Option<u8>,
        interval: Option<u16>,
        ack: Option<i8>,
        by_stream: bool,
    },
    Subscribe {
        names: Vec<Name>,
    },
    Unsubscribe {
        name: Name,
    },
    Publish {
        channel: Name,
        id: Option<u8>,
        size: u16,
    },
    Disconnect,
    Nothing,
}

/// A channel or pattern.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Name {
    A,
    B,
    BelowA,
    Everything,
    ChildrenOfA,
    Service,
    Meta,
    Invalid,
}

impl Name {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::A => "/a",
            Self::B => "/b",
            Self::BelowA => "/a/b",
            Self::Everything => "/**",
            Self::ChildrenOfA => "/a/*",
            Self::Service => "/service/a",
            Self::Meta => "/meta/connect",
            Self::Invalid => "/a//b",
        }
    }
}

impl Draft {
    /// The message, from a client with this id.
    pub(crate) fn message(&self, client: &str) -> Value {
        match self {
            Self::Handshake => json!({ "channel": "/meta/handshake", "version": "1.0" }),
            Self::Connect {
                timeout,
                interval,
                ack,
                by_stream,
            } => {
                let kind = if *by_stream { "eventsource" } else { "long-polling" };
                let mut connect = json!({ "channel": "/meta/connect", "clientId": client, "connectionType": kind });
                connect["advice"] = json!({});
                if let Some(timeout) = timeout {
                    connect["advice"]["timeout"] = (u64::from(*timeout) * 10).into();
                }
                if let Some(interval) = interval {
                    connect["advice"]["interval"] = (*interval).into();
                }
                if let Some(ack) = ack {
                    connect["ext"] = json!({ "ack": ack });
                }
                connect
            }
            Self::Subscribe { names } => {
                let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
                json!({ "channel": "/meta/subscribe", "clientId": client, "subscription": names })
            }
            Self::Unsubscribe { name } => {
                json!({ "channel": "/meta/unsubscribe", "clientId": client, "subscription": name.as_str() })
            }
            Self::Publish { channel, id, size } => {
                json!({ "channel": channel.as_str(), "clientId": client, "id": id, "data": data(*size) })
            }
            Self::Disconnect => json!({ "channel": "/meta/disconnect", "clientId": client }),
            Self::Nothing => json!({}),
        }
    }
}

/// Something of this size.
pub(crate) fn data(size: u16) -> String {
    "x".repeat(usize::from(size % 3000))
}
