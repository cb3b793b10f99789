//! Server-side subscriptions: what clients and the application publish, as a stream.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::Message;
use crate::{Reason, protocol::ChannelName, session::Delivery};

/// The subscribing end of a [`Subscription`], as it stands in the channel index.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: mpsc::Sender<Message>,
    missed: Arc<AtomicU64>,
}

impl Feed {
    /// Queues a message; never blocks.
    pub(super) fn offer(&self, message: Message, delivery: &Delivery<'_>) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(message) {
            self.missed.fetch_add(1, Relaxed);
            delivery.count_dropped(Reason::SubscriptionFull);
        }
    }
}

/// The floor above, as subscriptions see it.
pub(crate) trait Unsubscribe: Send + Sync {
    fn unsubscribe_feed(&self, channel: &ChannelName, slot: usize);
}

/// A server-side subscription: a stream of [`Message`]s, made by
/// [`BayeuxServer::subscribe`](crate::BayeuxServer::subscribe). Dropping it unsubscribes.
///
/// It holds as many unread messages as
/// [`subscription_capacity`](crate::BayeuxBuilder::subscription_capacity) says; further ones are dropped and counted
/// by [`missed`](Self::missed), so that no publisher ever waits for the reader.
pub struct Subscription {
    channel: ChannelName,
    slot: usize,
    missed: Arc<AtomicU64>,
    messages: mpsc::Receiver<Message>,
    server: Weak<dyn Unsubscribe>,
}

impl Subscription {
    /// Makes both ends and lets `subscribe` put one of them into the index.
    pub(crate) fn new(
        channel: ChannelName,
        capacity: usize,
        server: Weak<dyn Unsubscribe>,
        subscribe: impl FnOnce(&ChannelName, Arc<Feed>) -> usize,
    ) -> Self {
        let (sender, messages) = mpsc::channel(capacity.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
        let missed = Arc::new(AtomicU64::new(0));
        let feed = Feed {
            sender,
            missed: Arc::clone(&missed),
        };
        let slot = subscribe(&channel, Arc::new(feed));
        Self {
            channel,
            slot,
            missed,
            messages,
            server,
        }
    }

    /// The name or pattern that was subscribed to.
    #[must_use]
    pub const fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The next message; `None` once the last handle of the server is gone and everything is read.
    ///
    /// Cancel safe: a message is taken only when the future is ready.
    pub async fn recv(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    /// How many messages were dropped so far because this subscription was not read fast enough.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.messages.poll_recv(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(server) = self.server.upgrade() {
            server.unsubscribe_feed(&self.channel, self.slot);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("channel", &self.channel)
            .field("missed", &self.missed())
            .finish_non_exhaustive()
    }
}
