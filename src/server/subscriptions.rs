//! Who hears what: the subscriptions of sessions and of the server itself.

use std::sync::{Arc, Weak};

use http::request::Parts;

use super::State;
use crate::{
    channel::{Feed, Names, Subscriber, Subscription, Unsubscribe},
    event::Event,
    protocol::ChannelName,
    session::{ServerSession, Session, SubscriptionMap},
};

/// Why a subscribe changed nothing.
pub(crate) enum NotSubscribed {
    SessionClosed,
    TooMany,
}

impl State {
    /// Subscribes a session to all of `channels`, of which no two are the same, or to none, and announces those that are
    /// new to it.
    pub(crate) fn subscribe(
        &self,
        session: &Arc<Session>,
        channels: &[ChannelName],
        request: &Arc<Parts>,
    ) -> Result<(), NotSubscribed> {
        let mut subscriptions = session.subscriptions();
        if subscriptions.closed || !session.is_open() {
            return Err(NotSubscribed::SessionClosed);
        }
        let added: Vec<ChannelName> = channels
            .iter()
            .filter(|channel| !subscriptions.numbers.contains_key(*channel))
            .cloned()
            .collect();
        if subscriptions.numbers.len() + added.len() > self.config.max_subscriptions {
            return Err(NotSubscribed::TooMany);
        }
        for channel in &added {
            let number = self
                .channels
                .subscribe(channel, Subscriber::Session(Arc::clone(session)));
            subscriptions.numbers.insert(channel.clone(), number);
        }
        if !added.is_empty() {
            let subscribed = self.announce(|| Event::Subscribed {
                session: ServerSession::new(Arc::clone(session)),
                channels: added,
                request: Arc::clone(request),
            });
            drop(subscriptions);
            subscribed.wake();
        }
        Ok(())
    }

    /// Unsubscribes a session and announces what it had been subscribed to.
    pub(crate) fn unsubscribe(&self, session: &Arc<Session>, channels: &[ChannelName], request: &Arc<Parts>) {
        let mut subscriptions = session.subscriptions();
        if subscriptions.closed {
            return;
        }
        let mut removed = Vec::new();
        for channel in channels {
            if let Some((channel, number)) = subscriptions.numbers.remove_entry(channel) {
                self.channels.unsubscribe(&channel, number);
                removed.push(channel);
            }
        }
        if !removed.is_empty() {
            let unsubscribed = self.announce(|| Event::Unsubscribed {
                session: ServerSession::new(Arc::clone(session)),
                channels: removed,
                request: Some(Arc::clone(request)),
            });
            drop(subscriptions);
            unsubscribed.wake();
        }
    }

    /// Takes a closed session out of the index; its list of names stays, for the event's readers.
    pub(super) fn unsubscribe_all(&self, subscriptions: &SubscriptionMap) -> Vec<ChannelName> {
        for (channel, number) in &subscriptions.numbers {
            self.channels.unsubscribe(channel, *number);
        }
        subscriptions.numbers.keys().cloned().collect()
    }

    /// Whether somebody has subscribed to exactly this name or pattern, or it is persistent.
    pub(crate) fn channel_exists(&self, name: &str) -> bool {
        self.channels.contains(name) || self.configured.is_persistent(name)
    }

    /// Those that somebody has subscribed to, and those that are persistent.
    pub(super) fn channel_names(&self) -> Vec<ChannelName> {
        let subscribed = self.channels.names();
        let persistent = self.configured.persistent();
        let names = subscribed.iter().chain(self.deserted(&persistent));
        names.filter_map(|name| ChannelName::parse(name).ok()).collect()
    }

    /// How many there are of them.
    pub(super) fn channel_count(&self) -> usize {
        self.channels.len() + self.deserted(&self.configured.persistent()).count()
    }

    /// Those of the persistent ones that nobody has subscribed to.
    fn deserted<'n>(&self, persistent: &'n Names) -> impl Iterator<Item = &'n str> {
        persistent.iter().filter(|name| !self.channels.contains(name))
    }

    /// A server-side subscription.
    pub(crate) fn subscription(&self, channel: ChannelName) -> Subscription {
        let server = self.this.clone() as Weak<dyn Unsubscribe>;
        Subscription::new(
            channel,
            self.config.subscription_capacity,
            server,
            |channel, feed: Arc<Feed>| self.channels.subscribe(channel, Subscriber::Feed(feed)),
        )
    }
}
