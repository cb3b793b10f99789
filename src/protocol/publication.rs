//! A message that the application sends, ready to be queued.

use std::fmt;

use serde::Serialize;

use super::{Ext, Frame, InvalidChannel, Unfit, normalise};

/// A message to be sent by [`BayeuxServer::send`](crate::BayeuxServer::send) to whoever has subscribed, or by
/// [`ServerSession::send`](crate::ServerSession::send) to one session. Serialised once; cheap to clone.
///
/// Where channel and data are all there is to say, `publish` and `deliver` say it shorter.
///
/// ```
/// use tower_bayeux::{BayeuxServer, Publication};
///
/// let bayeux = BayeuxServer::new();
/// // Nobody needs to be woken for this.
/// bayeux.send(Publication::new("/weather", &"sunny")?.lazy(true))?;
/// # Ok::<(), tower_bayeux::PublishError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is yet to be sent"]
pub struct Publication {
    pub(crate) frame: Frame,
    pub(crate) lazy: bool,
    ext: Ext,
}

impl Publication {
    /// A message with this data.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: the channel is not valid, is a pattern or a `/meta` channel, or the data can't be serialised.
    pub fn new<T>(channel: impl AsRef<str>, data: &T) -> Result<Self, PublishError>
    where
        T: Serialize + ?Sized,
    {
        let channel = publishable(channel.as_ref())?;
        let frame = Frame::new(channel, data).map_err(|source| PublishError::Serialize(source.into()))?;
        Ok(Self {
            frame,
            lazy: false,
            ext: Ext::new(),
        })
    }

    /// Whether the message may wait. Default no. A lazy one answers no held connect: it leaves with the next message that
    /// is not lazy, with the next answer to a connect, or after
    /// [`max_lazy_timeout`](crate::BayeuxBuilder::max_lazy_timeout), whichever comes first. Its place among other messages
    /// stays the same.
    pub const fn lazy(mut self, lazy: bool) -> Self {
        self.lazy = lazy;
        self
    }

    /// Puts an entry into the `ext` of the message. A value that can't be written as JSON is left out.
    pub fn with_ext<T: Serialize + ?Sized>(mut self, name: impl Into<String>, value: &T) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.ext.insert(name.into(), value);
        }
        if let Ok(ext) = serde_json::to_string(&self.ext) {
            self.frame = Frame::from_json(self.frame.channel(), self.frame.data(), Some(&ext));
        }
        self
    }

    /// The channel, without a trailing slash.
    #[must_use]
    pub fn channel(&self) -> &str {
        self.frame.channel()
    }
}

/// The channel, without a trailing slash, if messages can go to it.
fn publishable(channel: &str) -> Result<&str, PublishError> {
    let refused = |rule| PublishError::Channel {
        channel: channel.into(),
        rule,
    };
    let name = normalise(channel).map_err(refused)?;
    if name.ends_with('*') || name.starts_with("/meta/") {
        return Err(refused(InvalidChannel::NotAllowedHere));
    }
    Ok(name)
}

/// Why a message could not be published.
#[derive(Debug)]
#[non_exhaustive]
pub enum PublishError {
    /// The channel is not valid, a pattern, or a `/meta` channel.
    Channel {
        /// The channel, as it was given.
        channel: Box<str>,
        /// The rule that it breaks.
        rule: InvalidChannel,
    },
    /// The data could not be written as JSON.
    Serialize(Box<dyn std::error::Error + Send + Sync>),
    /// A [listener](crate::listener) or an [extension](crate::extension) has deleted the message.
    Deleted,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel { channel, rule } => write!(f, "can't publish on {}", Unfit(channel, *rule)),
            Self::Serialize(_) => f.write_str("the data can't be written as JSON"),
            Self::Deleted => f.write_str("a listener or an extension has deleted the message"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Serialize(source) => Some(&**source),
            Self::Channel { .. } | Self::Deleted => None,
        }
    }
}
