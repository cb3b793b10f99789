//! The state that all handles, layers and services of one server share.

use std::{
    collections::HashSet,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use http::request::Parts;
use tokio::time::Instant;

use super::Config;
use crate::{
    Reason,
    attributes::Value,
    call::Services,
    channel::{ChannelIndex, Configured, Feed, Manner, Message, Subscriber, Subscription, Unsubscribe},
    event::{Announced, Event, EventBus},
    extension::{Extensions, Fate, OutgoingContext},
    listener::{Listeners, MessageContext},
    policy::Rules,
    protocol::{Advice, ChannelName, ClientId, Frame, MutableMessage, Prepared, Reconnect, Reply, meta::CONNECT},
    session::{
        Admitted, Delivery, Host, Hub, Origin, ServerSession, Session, SessionTable, SubscriptionMap, Sweeper, Times,
    },
};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) hub: Arc<Hub>,
    pub(crate) sessions: SessionTable,
    pub(crate) channels: ChannelIndex,
    pub(crate) configured: Configured,
    pub(crate) events: EventBus,
    pub(crate) rules: Rules,
    pub(crate) services: Services,
    pub(crate) extensions: Extensions,
    pub(crate) listeners: Listeners,
    /// The reply to a connect of which there is nothing special to say.
    pub(crate) connect_reply: Prepared,
    sweeper: Sweeper,
    this: Weak<Self>,
}

/// Why a subscribe changed nothing.
pub(crate) enum NotSubscribed {
    SessionClosed,
    TooMany,
}

fn connect_reply(times: Times) -> Prepared {
    Prepared::new(&Reply {
        channel: Some(CONNECT.into()),
        successful: true,
        advice: Some(Advice::new(Reconnect::Retry, times.interval, times.timeout)),
        ..Reply::default()
    })
}

impl State {
    pub(crate) fn new(config: Config, rules: Rules) -> Arc<Self> {
        let settings = config.of_sessions();
        Arc::new_cyclic(|this: &Weak<Self>| Self {
            connect_reply: connect_reply(settings.times),
            hub: Arc::new(Hub::new(settings, this.clone() as Weak<dyn Host>)),
            config,
            sessions: SessionTable::default(),
            channels: ChannelIndex::default(),
            configured: Configured::default(),
            events: EventBus::default(),
            rules,
            services: Services::default(),
            extensions: Extensions::default(),
            listeners: Listeners::default(),
            sweeper: Sweeper::default(),
            this: this.clone(),
        })
    }

    /// What a handle holds.
    pub(super) fn strong(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Makes a session and announces it.
    pub(crate) fn add_session(
        &self,
        origin: Option<Origin>,
        admitted: Option<Admitted>,
        attributes: Vec<Value>,
        request: &Arc<Parts>,
    ) -> Arc<Session> {
        let session = Session::new(ClientId::generate(&self.hub.random), origin, Arc::clone(&self.hub));
        session.attach(attributes);
        if let Some(admitted) = admitted {
            session.keep(admitted);
        }
        // Whatever happens to the session next waits for this lock, and so is announced after this.
        let subscriptions = session.subscriptions();
        self.sessions.insert(Arc::clone(&session));
        self.hub.counters.sessions.fetch_add(1, Relaxed);
        self.hub.counters.sessions_added.fetch_add(1, Relaxed);
        self.sweeper
            .ensure_runs(self.this.clone() as Weak<dyn Host>, self.config.max_interval);
        let added = self.announce(|| Event::SessionAdded {
            session: ServerSession::new(Arc::clone(&session)),
            request: Arc::clone(request),
        });
        drop(subscriptions);
        added.wake();
        crate::trace::debug!(session = %session.id, "session added");
        session
    }

    /// Whether there are as many sessions as there may be.
    pub(crate) fn is_full(&self) -> bool {
        let sessions = self.hub.counters.sessions.load(Relaxed);
        usize::try_from(sessions).is_ok_and(|sessions| sessions >= self.config.max_sessions)
    }

    /// The live session of this id.
    pub(crate) fn session(&self, id: &ClientId) -> Option<Arc<Session>> {
        self.session_or_farewell(id).filter(|session| session.is_open())
    }

    /// The session of this id, live or with a farewell to be fetched.
    pub(crate) fn session_or_farewell(&self, id: &ClientId) -> Option<Arc<Session>> {
        self.find_session(id, Instant::now())
            .filter(|session| session.is_open() || session.owes_farewell())
    }

    /// The session of this id, which may have ended just now. One whose time is over is ended here, however late the
    /// sweeper is.
    pub(crate) fn find_session(&self, id: &ClientId, now: Instant) -> Option<Arc<Session>> {
        let session = self.sessions.get(id)?;
        if session.has_expired(self.hub.at(now)) {
            self.expire(&session);
        }
        Some(session)
    }

    /// Ends a session once: `request` is the one that asked for it.
    pub(crate) fn remove_session(&self, session: &Arc<Session>, reason: Reason, request: Option<&Arc<Parts>>) {
        if !session.close(reason) {
            return;
        }
        self.hub.counters.sessions.fetch_sub(1, Relaxed);
        self.hub.counters.removed.add(reason, 1);
        if reason != Reason::ServerDisconnect {
            self.sessions.remove(&session.id);
        }
        let mut subscriptions = session.subscriptions();
        subscriptions.closed = true;
        let channels = self.unsubscribe_all(&subscriptions);
        let unsubscribed = (!channels.is_empty()).then(|| {
            self.announce(|| Event::Unsubscribed {
                session: ServerSession::new(Arc::clone(session)),
                channels,
                request: request.cloned(),
            })
        });
        let removed = self.announce(|| Event::SessionRemoved {
            session: ServerSession::new(Arc::clone(session)),
            reason,
            request: request.cloned(),
        });
        drop(subscriptions);
        unsubscribed.into_iter().chain([removed]).for_each(Announced::wake);
        crate::trace::debug!(session = %session.id, %reason, "session removed");
    }

    /// Takes a closed session out of the index; its list of names stays, for the event's readers.
    fn unsubscribe_all(&self, subscriptions: &SubscriptionMap) -> Vec<ChannelName> {
        for (channel, number) in &subscriptions.numbers {
            self.channels.unsubscribe(channel, *number);
        }
        subscriptions.numbers.keys().cloned().collect()
    }

    fn expire(&self, session: &Arc<Session>) {
        if session.is_open() {
            self.remove_session(session, Reason::Expired, None);
        } else if session.forget_farewell() {
            self.bury(&session.id);
        }
    }

    /// Subscribes a session to all of `channels` or to none, and announces those that are new to it.
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
        let mut seen = HashSet::new();
        let added: Vec<ChannelName> = channels
            .iter()
            .filter(|channel| !subscriptions.numbers.contains_key(*channel) && seen.insert(*channel))
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

    /// What listeners and extensions make of a message that is about to be published; `None` if one deletes it.
    /// `incoming` is the client's message, and `request` what brought it.
    pub(crate) fn vet(
        &self,
        message: Message,
        incoming: Option<&MutableMessage>,
        request: Option<&Arc<Parts>>,
    ) -> Option<Message> {
        if self.listeners.is_empty() && !self.hub.is_extended() {
            return Some(message);
        }
        let mut fields = message.open();
        let context = MessageContext {
            channel: message.channel(),
            sender: message.sender(),
            request,
        };
        let mut fate = self.listeners.ask(&mut fields, &context);
        // What goes to the server alone does not go out.
        if fate == Fate::Pass && !message.is_service() {
            let context = OutgoingContext {
                session: None,
                sender: message.sender(),
                incoming,
            };
            fate = self.extensions.outgoing(&mut fields, context);
        }
        if fate == Fate::Delete {
            self.hub.counters.dropped.add(Reason::Deleted, 1);
            return None;
        }
        Some(message.with(&fields))
    }

    /// What the extensions make of an event for one session; `None` if one deletes it.
    pub(crate) fn extend(
        &self,
        session: &ServerSession,
        event: &[u8],
        incoming: Option<&MutableMessage>,
    ) -> Option<MutableMessage> {
        let mut message = MutableMessage::parse(event)?;
        let context = OutgoingContext {
            session: Some(session),
            sender: None,
            incoming,
        };
        if self.extensions.outgoing(&mut message, context) == Fate::Delete {
            self.hub.counters.dropped.add(Reason::Deleted, 1);
            return None;
        }
        Some(message)
    }

    /// Queues a message for every subscriber, the one path of all publishes, and says how many there were.
    pub(crate) fn publish(&self, message: &Message) -> usize {
        let mut delivery = self.delivery(message);
        delivery.count_published();
        self.channels.publish(message, &mut delivery);
        delivery.offered()
    }

    /// How a message goes out, by what server, channel and session say.
    fn delivery<'a>(&'a self, message: &'a Message) -> Delivery<'a> {
        let max_lazy_timeout = self.config.max_lazy_timeout;
        let manner = Manner {
            lazy: message.is_lazy().then_some(max_lazy_timeout),
            broadcast_to_publisher: self.config.broadcast_to_publisher,
        };
        let manner = self.configured.manner(|| message.channel(), max_lazy_timeout, manner);
        let sender = message.sender().map(|sender| &**sender.record());
        let except = sender.filter(|sender| !(manner.broadcast_to_publisher && sender.hears_itself()));
        Delivery::new(&self.hub).lazily(manner.lazy).except(except)
    }

    /// Whether somebody has subscribed to exactly this name or pattern, or it is persistent.
    pub(crate) fn channel_exists(&self, name: &str) -> bool {
        self.channels.contains(name) || self.configured.is_persistent(name)
    }

    /// Those that are persistent, though nobody has subscribed to them.
    pub(super) fn deserted_channels(&self) -> Vec<ChannelName> {
        let mut persistent = self.configured.persistent();
        persistent.retain(|name| !self.channels.contains(name.as_str()));
        persistent
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

    /// Puts an event into all streams; may be called under a session's lock, to keep its events in order.
    fn announce(&self, event: impl FnOnce() -> Event) -> Announced {
        let announced = self.events.announce(event);
        if announced.missed > 0 {
            self.hub.counters.dropped.add(Reason::EventsFull, announced.missed);
        }
        announced
    }

    pub(crate) fn emit(&self, event: Event) {
        self.announce(|| event).wake();
    }

    /// Releases every held connect, now and from now on.
    pub(crate) fn shutdown(&self) {
        self.hub.drain();
        self.sessions.for_each(|session| session.wake());
    }

    /// A random pause within the shutdown jitter, so that clients do not come back all at once.
    pub(crate) fn jitter(&self) -> Duration {
        self.hub.random.pause(self.config.shutdown_jitter)
    }
}

impl Host for State {
    fn remove(&self, session: &Arc<Session>, reason: Reason) {
        self.remove_session(session, reason, None);
    }

    fn extend(&self, session: &ServerSession, frame: Frame) -> Option<Frame> {
        if !self.hub.is_extended() {
            return Some(frame);
        }
        let message = Self::extend(self, session, frame.json(), None)?;
        Some(Frame::of(frame.channel(), &message))
    }

    fn bury(&self, id: &ClientId) {
        self.sessions.remove(id);
    }

    fn has_own_times(&self, id: &ClientId) {
        self.sessions.has_own_times(id);
    }

    fn sweep(&self, shard: usize) {
        let now = self.hub.now();
        self.sessions
            .for_each_expired(shard, now, |session| self.expire(session));
        if self.config.client_address.is_some() {
            self.hub.admission.sweep(shard, self.hub.now_in_nanos());
        }
        if shard == 0 {
            self.hub.watch.warn(now);
        }
    }
}

impl Unsubscribe for State {
    fn unsubscribe_feed(&self, channel: &ChannelName, number: u64) {
        self.channels.unsubscribe(channel, number);
    }
}
