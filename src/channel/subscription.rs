//! Server-side subscriptions: what clients and the application publish, as a stream.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::Message;
use crate::{
    mailbox::{Received, Receiver, Sender, Sent, mailbox},
    protocol::ChannelName,
    session::Delivery,
};

/// The subscribing end of a [`Subscription`], as it stands in the channel index.
#[derive(Debug)]
pub(crate) struct Feed(Sender<Message>);

impl Feed {
    /// Queues a message. What must not happen under a lock is left to `delivery`.
    pub(super) fn offer(&self, message: Message, delivery: &mut Delivery<'_>) {
        match self.0.send(message) {
            Sent::Queued(Some(waker)) => delivery.wake(waker),
            Sent::Missed => delivery.count_missed(),
            Sent::Queued(None) | Sent::Gone => {}
        }
    }
}

/// The floor above, as subscriptions see it.
pub(crate) trait Unsubscribe: Send + Sync {
    fn unsubscribe_feed(&self, channel: &ChannelName, number: u64);
}

/// A server-side subscription: a stream of [`Message`]s, made by
/// [`BayeuxServer::subscribe`](crate::BayeuxServer::subscribe). Dropping it unsubscribes.
///
/// It holds as many unread messages as
/// [`subscription_capacity`](crate::BayeuxBuilder::subscription_capacity) says; further ones are dropped and counted
/// by [`missed`](Self::missed), so that no publisher ever waits for the reader.
pub struct Subscription {
    channel: ChannelName,
    number: u64,
    messages: Receiver<Message>,
    server: Weak<dyn Unsubscribe>,
}

impl Subscription {
    /// Makes both ends and lets `subscribe` put one of them into the index.
    pub(crate) fn new(
        channel: ChannelName,
        capacity: usize,
        server: Weak<dyn Unsubscribe>,
        subscribe: impl FnOnce(&ChannelName, Arc<Feed>) -> u64,
    ) -> Self {
        let (sender, messages) = mailbox(capacity);
        let number = subscribe(&channel, Arc::new(Feed(sender)));
        Self {
            channel,
            number,
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
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            return match ready!(self.messages.poll_recv(cx)) {
                Some(Received::Value(message)) => Poll::Ready(Some(message)),
                // Told by `missed`.
                Some(Received::Missed(_)) => continue,
                None => Poll::Ready(None),
            };
        }
    }

    /// How many messages were dropped so far because this subscription was not read fast enough.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.messages.missed_in_all()
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(server) = self.server.upgrade() {
            server.unsubscribe_feed(&self.channel, self.number);
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
