//! The state that all handles, layers and services of one server share.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Config, Upgrades};
use crate::{
    Reason, Transport, Transports,
    call::Services,
    channel::{ChannelIndex, Configured, Unsubscribe},
    event::{Announced, Event, EventBus},
    extension::Extensions,
    listener::Listeners,
    policy::Rules,
    protocol::{Advice, ChannelName, ClientId, Frame, Prepared, Reconnect, Reply, meta::CONNECT},
    session::{Host, Hub, ServerSession, Session, SessionTable, Sweeper, Times},
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
    pub(crate) upgrades: Upgrades,
    pub(super) sweeper: Sweeper,
    pub(super) this: Weak<Self>,
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
            upgrades: Upgrades::default(),
            sweeper: Sweeper::default(),
            this: this.clone(),
        })
    }

    /// What a handle holds.
    pub(super) fn strong(&self) -> Option<Arc<Self>> {
        self.this.upgrade()
    }

    /// Puts an event into all streams; may be called under a session's lock, to keep its events in order.
    pub(super) fn announce(&self, event: impl FnOnce() -> Event) -> Announced {
        let announced = self.events.announce(event);
        if announced.missed > 0 {
            self.hub.counters.dropped.add(Reason::EventsFull, announced.missed);
        }
        announced
    }

    pub(crate) fn emit(&self, event: Event) {
        self.announce(|| event).wake();
    }

    /// What clients are offered: WebSockets only where they come about.
    pub(crate) fn transports(&self) -> Transports {
        let transports = self.config.transports;
        if self.upgrades.fail(|| self.hub.now()) {
            transports.without(Transport::WebSocket)
        } else {
            transports
        }
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
        self.sweeper.runs(now);
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
