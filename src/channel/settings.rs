//! What the application has set for single channels.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::pattern_map::{Names, PatternMap};
use crate::{
    attributes::Attributes,
    protocol::ChannelName,
    sync::{read, write},
};

/// Settings of a channel or pattern, for [`BayeuxServer::configure`](crate::BayeuxServer::configure).
///
/// ```
/// use std::time::Duration;
///
/// use tower_bayeux::{BayeuxServer, ChannelSettings};
///
/// let bayeux = BayeuxServer::new();
/// bayeux.configure("/lobby", ChannelSettings::new().persistent(true))?;
/// let lazy = ChannelSettings::new().lazy(true).lazy_timeout(Duration::from_secs(1));
/// bayeux.configure("/telemetry/**", lazy)?;
/// # Ok::<(), tower_bayeux::InvalidChannel>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct ChannelSettings {
    /// Whether the channel exists though nobody has subscribed. Default no.
    pub persistent: bool,
    /// Whether what is published may wait. Default no.
    pub lazy: bool,
    /// For how long it may, at most. Default: the server's `max_lazy_timeout`.
    pub lazy_timeout: Option<Duration>,
    /// Whether publishers that have subscribed get their own messages. Default yes.
    pub broadcast_to_publisher: bool,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl ChannelSettings {
    /// The settings of a channel that has none.
    pub const fn new() -> Self {
        Self {
            persistent: false,
            lazy: false,
            lazy_timeout: None,
            broadcast_to_publisher: true,
        }
    }

    /// Whether the channel exists though nobody has subscribed: [`channels`](crate::BayeuxServer::channels) lists it, and
    /// [`can_create`](crate::SecurityPolicy::can_create) is not asked about it. Default no. Of a pattern it says that
    /// somebody may subscribe to the pattern, and nothing about the channels that it matches.
    pub const fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Whether what is published on the channel, or on those that the pattern matches, is
    /// [lazy](crate::Publication::lazy), whoever publishes it. Default no.
    pub const fn lazy(mut self, lazy: bool) -> Self {
        self.lazy = lazy;
        self
    }

    /// How long a lazy message waits at most. Default: [`max_lazy_timeout`](crate::BayeuxBuilder::max_lazy_timeout). Zero
    /// is not lazy at all. Where several lazy settings match, the shortest time counts.
    pub const fn lazy_timeout(mut self, timeout: Duration) -> Self {
        self.lazy_timeout = Some(timeout);
        self
    }

    /// Whether a client that has subscribed gets what it publishes itself. Default yes. It does not where this is off for
    /// any setting that matches, for the server ([`broadcast_to_publisher`](crate::BayeuxBuilder::broadcast_to_publisher))
    /// or for the [session](crate::ServerSession::set_broadcast_to_publisher).
    pub const fn broadcast_to_publisher(mut self, broadcast: bool) -> Self {
        self.broadcast_to_publisher = broadcast;
        self
    }

    /// Whether publishes have to look at them.
    const fn concerns_publishes(&self) -> bool {
        self.lazy || !self.broadcast_to_publisher
    }
}

/// How a message goes out, by all settings that match its channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Manner {
    /// How long it may wait.
    pub(crate) lazy: Option<Duration>,
    /// Whether its publisher gets it.
    pub(crate) broadcast_to_publisher: bool,
}

#[derive(Debug, Default)]
struct Channel {
    settings: ChannelSettings,
    /// Shared, so that no user's `Drop` runs under the lock.
    attributes: Arc<Attributes>,
}

/// All settings and attributes of channels. They stay until they are taken away, and only the application adds any.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    channels: RwLock<PatternMap<Channel>>,
    /// How many of them concern publishes, changed under the lock: publishes pay no more than this where none does.
    concerning_publishes: AtomicUsize,
}

impl Configured {
    /// Sets everything at once: nobody sees a part of it.
    pub(crate) fn configure(&self, name: &ChannelName, settings: ChannelSettings) {
        let mut channels = write(&self.channels);
        let channel = channels.get_or_insert_default(name.as_str());
        let before = std::mem::replace(&mut channel.settings, settings);
        self.count(Some(&before), Some(&channel.settings));
    }

    pub(crate) fn settings(&self, name: &ChannelName) -> ChannelSettings {
        let channels = read(&self.channels);
        let channel = channels.get(name.as_str());
        channel.map_or_else(ChannelSettings::new, |channel| channel.settings.clone())
    }

    /// Takes settings and attributes away.
    pub(crate) fn remove(&self, name: &ChannelName) {
        let mut channels = write(&self.channels);
        let removed = channels.remove_if(name.as_str(), |_| true);
        self.count(removed.as_ref().map(|channel| &channel.settings), None);
        drop(channels);
        drop(removed);
    }

    /// Counts settings that have gone out and those that have come in; called under the lock.
    fn count(&self, gone: Option<&ChannelSettings>, come: Option<&ChannelSettings>) {
        let concern = |settings: Option<&ChannelSettings>| settings.is_some_and(ChannelSettings::concerns_publishes);
        match (concern(gone), concern(come)) {
            (false, true) => self.concerning_publishes.fetch_add(1, Relaxed),
            (true, false) => self.concerning_publishes.fetch_sub(1, Relaxed),
            _ => return,
        };
    }

    /// The attributes, if there may be some.
    pub(crate) fn attributes(&self, name: &ChannelName) -> Option<Arc<Attributes>> {
        let channels = read(&self.channels);
        channels
            .get(name.as_str())
            .map(|channel| Arc::clone(&channel.attributes))
    }

    /// The attributes, to be added to.
    pub(crate) fn attributes_mut(&self, name: &ChannelName) -> Arc<Attributes> {
        let mut channels = write(&self.channels);
        Arc::clone(&channels.get_or_insert_default(name.as_str()).attributes)
    }

    pub(crate) fn is_persistent(&self, name: &str) -> bool {
        let channels = read(&self.channels);
        channels.get(name).is_some_and(|channel| channel.settings.persistent)
    }

    /// All names and patterns that are persistent, in no particular order.
    pub(crate) fn persistent(&self) -> Names {
        read(&self.channels).names(|channel| channel.settings.persistent)
    }

    /// How a message goes out on the channel that `channel` tells; `manner` says what holds where nothing is set.
    #[inline]
    pub(crate) fn manner<'a>(
        &self,
        channel: impl FnOnce() -> &'a str,
        max_lazy_timeout: Duration,
        manner: Manner,
    ) -> Manner {
        if self.concerning_publishes.load(Relaxed) == 0 {
            return manner;
        }
        self.manner_on(channel(), max_lazy_timeout, manner)
    }

    fn manner_on(&self, channel: &str, max_lazy_timeout: Duration, mut manner: Manner) -> Manner {
        read(&self.channels).for_each_matching(channel, |Channel { settings, .. }| {
            manner.broadcast_to_publisher &= settings.broadcast_to_publisher;
            if settings.lazy {
                let timeout = settings.lazy_timeout.unwrap_or(max_lazy_timeout);
                manner.lazy = Some(manner.lazy.map_or(timeout, |others| others.min(timeout)));
            }
        });
        manner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishes_look_at_settings_as_long_as_some_concern_them() {
        let configured = Configured::default();
        let manner = |channel: &'static str| {
            let plain = Manner {
                lazy: None,
                broadcast_to_publisher: true,
            };
            configured.manner(|| channel, Duration::from_secs(1), plain).lazy
        };
        let [a, b, c] = ["/a", "/b", "/c"].map(|name| ChannelName::parse(name).unwrap());
        let lazy = || ChannelSettings::new().lazy(true);
        for (name, settings) in [(&a, lazy()), (&a, lazy()), (&b, lazy()), (&c, ChannelSettings::new())] {
            configured.configure(name, settings);
        }
        configured.remove(&c);
        configured.remove(&c);
        configured.configure(&a, ChannelSettings::new().persistent(true));
        assert_eq!((manner("/a"), manner("/b")), (None, Some(Duration::from_secs(1))));
        configured.remove(&b);
        configured.remove(&a);
        assert_eq!(configured.concerning_publishes.load(Relaxed), 0);
        configured.configure(&a, ChannelSettings::new().broadcast_to_publisher(false));
        assert_eq!(configured.concerning_publishes.load(Relaxed), 1);
    }
}
