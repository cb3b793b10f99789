//! The application's handle on one channel.

use std::{any::Any, fmt, sync::Arc};

use serde::Serialize;

use super::BayeuxServer;
use crate::{
    channel::ChannelSettings,
    protocol::{ChannelName, PublishError},
};

/// A channel or pattern, as the application sees it: its settings, its attributes, its subscribers. Made by
/// [`BayeuxServer::channel`]; cheap to clone.
///
/// A handle makes no channel: that exists while somebody has subscribed to it, or while it is
/// [`persistent`](ChannelSettings::persistent). Settings and attributes belong to the name; they stay, whoever comes and
/// goes, until [`remove`](Self::remove). Who attaches attributes to channels that clients make up removes them in time,
/// on [`Event::Unsubscribed`](crate::Event::Unsubscribed) say.
///
/// A handle is also one on the server, and keeps that alive.
///
/// ```
/// use tower_bayeux::{BayeuxServer, ChannelSettings};
///
/// struct Topic(&'static str);
///
/// let bayeux = BayeuxServer::new();
/// let lobby = bayeux.channel("/lobby")?;
/// lobby.insert_attribute(Topic("tea"));
/// lobby.configure(ChannelSettings::new().persistent(true));
/// assert!(lobby.exists());
/// lobby.publish("the lobby is open")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ServerChannel {
    server: BayeuxServer,
    name: ChannelName,
}

impl ServerChannel {
    pub(super) const fn new(server: BayeuxServer, name: ChannelName) -> Self {
        Self { server, name }
    }

    /// The name or pattern.
    #[must_use]
    pub const fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Whether somebody has subscribed to exactly this name or pattern, or it is persistent.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.server.state().channel_exists(self.name.as_str())
    }

    /// How many sessions have subscribed to exactly this name or pattern.
    #[must_use]
    pub fn subscriber_count(&self) -> usize {
        self.server.subscriber_count(&self.name)
    }

    /// Publishes a message; see [`BayeuxServer::publish`].
    ///
    /// # Errors
    ///
    /// [`PublishError`]: this is a pattern, or the data can't be serialised.
    pub fn publish<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), PublishError> {
        self.server.publish(&self.name, data)
    }

    /// The settings; those of a channel without any, if there are none.
    pub fn settings(&self) -> ChannelSettings {
        self.server.state().configured.settings(&self.name)
    }

    /// Replaces all settings, in one step: no message is published under a part of them. Messages that are queued already
    /// stay as they are.
    pub fn configure(&self, settings: ChannelSettings) {
        self.server.state().configured.configure(&self.name, settings);
    }

    /// Takes settings and attributes away. Subscribers stay.
    pub fn remove(&self) {
        self.server.state().configured.remove(&self.name);
    }

    /// Attaches a value, one per type, and returns the one it replaces.
    pub fn insert_attribute<T: Any + Send + Sync>(&self, value: T) -> Option<Arc<T>> {
        self.server.state().configured.attributes_mut(&self.name).insert(value)
    }

    /// The attached value of this type.
    #[must_use]
    pub fn attribute<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.server.state().configured.attributes(&self.name)?.get()
    }

    /// Detaches the value of this type.
    pub fn remove_attribute<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.server.state().configured.attributes(&self.name)?.remove()
    }
}

impl fmt::Debug for ServerChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerChannel").field(&self.name).finish()
    }
}
