//! What the command line says.

use std::time::Duration;

use crate::Error;

/// How many for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) sessions: u32,
    pub(crate) duration: Duration,
}

/// How many sessions share a room.
const SESSIONS_PER_ROOM: u32 = 50;

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Error> {
        let mut options = Self {
            sessions: 5000,
            duration: Duration::from_secs(20 * 60),
        };
        while let Some(argument) = arguments.next() {
            let mut number = || {
                arguments
                    .next()
                    .ok_or(format!("{argument}: how many?"))?
                    .parse::<u32>()
                    .map_err(Error::from)
            };
            match &*argument {
                "--short" => options.duration = Duration::from_secs(2 * 60),
                "--sessions" => options.sessions = number()?,
                "--minutes" => options.duration = Duration::from_secs(60) * number()?,
                _ => return Err(format!("{argument}: --short, --sessions N, --minutes N are known").into()),
            }
        }
        Ok(options)
    }

    pub(crate) fn rooms(&self) -> u32 {
        (self.sessions / SESSIONS_PER_ROOM).max(1)
    }
}
