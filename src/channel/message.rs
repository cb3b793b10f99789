//! A message that was published, as subscribers see it.

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{
    protocol::{DataError, Frame, MutableMessage, Publication},
    session::ServerSession,
};

/// A published message, as a server-side [`Subscription`](super::Subscription) yields it. Cheap to clone.
///
/// Its data is the JSON that the publisher sent, parsed only when [`data`](Self::data) is called.
#[derive(Clone, Debug)]
pub struct Message {
    frame: Frame,
    sender: Option<ServerSession>,
    /// Looked at once per subscriber, so kept.
    is_service: bool,
    /// Whether its publisher says that it may wait.
    lazy: bool,
}

impl Message {
    pub(crate) fn new(frame: Frame, sender: Option<ServerSession>) -> Self {
        let mut message = Self {
            frame,
            sender,
            is_service: false,
            lazy: false,
        };
        message.is_service = message.channel().starts_with("/service/");
        message
    }

    /// What the application sends.
    pub(crate) fn from_application(publication: Publication) -> Self {
        Self {
            lazy: publication.lazy,
            ..Self::new(publication.frame, None)
        }
    }

    /// The channel that the message was published on, without a trailing slash.
    #[must_use]
    pub fn channel(&self) -> &str {
        let channel = self.frame.channel();
        channel.strip_suffix('/').unwrap_or(channel)
    }

    /// The data, parsed into `T`.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the data is not a `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        DataError::parse(self.raw_data())
    }

    /// The data as JSON text.
    #[must_use]
    pub fn raw_data(&self) -> &str {
        self.frame.data()
    }

    /// The session that published it; `None` if the application did.
    #[must_use]
    pub const fn sender(&self) -> Option<&ServerSession> {
        self.sender.as_ref()
    }

    /// The message, taken apart to be changed.
    pub(crate) fn open(&self) -> MutableMessage {
        self.frame.open()
    }

    /// The same message with what has become of its fields; the channel stays.
    pub(crate) fn with(mut self, fields: &MutableMessage) -> Self {
        self.frame = Frame::of(self.frame.channel(), fields);
        self
    }

    pub(crate) const fn json(&self) -> &Bytes {
        self.frame.json()
    }

    pub(crate) const fn is_lazy(&self) -> bool {
        self.lazy
    }

    pub(crate) const fn is_service(&self) -> bool {
        self.is_service
    }
}
