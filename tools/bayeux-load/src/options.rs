//! What the command line says.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, builder::RangedI64ValueParser, value_parser};

use crate::Target;

/// Puts load on a Bayeux server by long-polling, and checks and measures what comes back. Ends by itself; succeeds if
/// nothing was lost, doubled, out of order or refused.
#[derive(Clone, Debug, Parser)]
#[command(name = "bayeux-load", version)]
pub struct Options {
    /// Where Bayeux is spoken, such as http://127.0.0.1:8080/cometd; given more than once, clients take turns.
    #[arg(long = "url", required = true)]
    pub urls: Vec<Target>,
    /// Go on although a target is not on this machine.
    #[arg(long)]
    pub allow_remote: bool,
    /// Append `/handshake`, `/subscribe`, `/connect` and `/disconnect` to the path, as axum-cometd wants it.
    #[arg(long)]
    pub endpoints: bool,
    /// Connect from so many loopback addresses (127.0.0.2 and on): one has about 28,000 ports.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u8).range(1..=250))]
    pub sources: u8,
    /// How long to measure, in seconds.
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub duration: Duration,
    /// How long to warm up before, in seconds.
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub warmup: Duration,
    /// Stop after so many messages or operations, if that comes first.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub messages: u64,
    /// Give up what has not come after so many seconds without any progress.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub stall: Duration,
    /// End the whole run after so many seconds, set-up and all.
    #[arg(long, default_value = "300", value_parser = seconds)]
    pub deadline: Duration,
    /// The server's process on this machine, for its CPU time and memory.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Never sleep. A load tool that sleeps on the server's machine is woken by it, which no client elsewhere asks of a
    /// server; and it sleeps the more often the faster it is.
    #[arg(long)]
    pub spin: bool,
    /// Bytes of text in each message, besides what the checks need.
    #[arg(long, default_value_t = 50)]
    pub message_size: usize,
    /// Writes the report as JSON to this file; `-` is standard output, and the text goes to standard error.
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// What to put on the server.
#[derive(Clone, Debug, Subcommand)]
pub enum Mode {
    /// One channel with many subscribers.
    Fanout {
        /// How many subscribers.
        #[arg(long, default_value_t = 100, value_parser = one_or_more())]
        subscribers: u32,
        /// When to publish.
        #[command(flatten)]
        pace: Pace,
    },
    /// Many channels with some subscribers each. The next message of a publisher goes out when all have its last.
    Rooms {
        /// How many clients; each is in one room.
        #[arg(long, default_value_t = 1000, value_parser = one_or_more())]
        clients: u32,
        /// How many rooms.
        #[arg(long, default_value_t = 100, value_parser = one_or_more())]
        rooms: u32,
        /// How many publishers, which go to random rooms.
        #[arg(long, default_value_t = 4, value_parser = one_or_more())]
        publishers: u32,
        /// How many messages of each publisher are under way at a time.
        #[arg(long, default_value_t = 4, value_parser = one_or_more())]
        in_flight: u32,
    },
    /// Held sessions that wait, then one message that must reach all.
    Idle {
        /// How many sessions.
        #[arg(long, default_value_t = 1000, value_parser = one_or_more())]
        sessions: u32,
    },
    /// Handshake and disconnect, over and over.
    Handshake {
        /// How many clients do so at a time.
        #[arg(long, default_value_t = 16, value_parser = one_or_more())]
        clients: u32,
    },
    /// Connects that ask not to be held, over and over.
    Connect {
        /// How many clients do so at a time.
        #[arg(long, default_value_t = 16, value_parser = one_or_more())]
        clients: u32,
    },
    /// The chat of CometD's benchmark, with its defaults: batches at fixed times, each from another client.
    Chat(Chat),
}

/// When to publish. By default the next message goes out when all subscribers have the last.
#[derive(Args, Clone, Copy, Debug, Default)]
#[group(multiple = false)]
pub struct Pace {
    /// So many messages a second, at fixed times, however late others are. All that are due in time are sent, although
    /// that may take a slow server longer.
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// The next message as soon as the last is accepted, whoever has got it.
    #[arg(long)]
    pub flood: bool,
}

/// The chat of CometD's benchmark.
#[derive(Args, Clone, Debug)]
pub struct Chat {
    /// How many clients.
    #[arg(long, default_value_t = 1000, value_parser = one_or_more())]
    pub clients: u32,
    /// How many rooms.
    #[arg(long, default_value_t = 100, value_parser = one_or_more())]
    pub rooms: u32,
    /// How many rooms each client is in.
    #[arg(long, default_value_t = 10, value_parser = one_or_more())]
    pub rooms_per_client: u32,
    /// How many batches are sent.
    #[arg(long, default_value_t = 1000)]
    pub batches: u64,
    /// Messages of one batch, each to a random room.
    #[arg(long, default_value_t = 10, value_parser = one_or_more())]
    pub batch_size: u32,
    /// Microseconds from one batch to the next.
    #[arg(long, default_value_t = 10_000)]
    pub batch_pause: u64,
}

fn one_or_more() -> RangedI64ValueParser<u32> {
    value_parser!(u32).range(1..)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.001..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("not between one in a thousand seconds and a million a second".into())
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    const YEAR: f64 = 31_536_000.0;
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    // No clock reaches the end of the longest that can be written.
    if seconds > YEAR {
        return Err("more than a year".into());
    }
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
