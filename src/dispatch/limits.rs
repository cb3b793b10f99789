//! What is over a limit is refused here, before work is done for it; and clients that do not heed advice are slowed down.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use http::HeaderName;
use tokio::time::sleep;

use super::{Dispatched, Exchange, STORM_PAUSE};
use crate::{
    Reason,
    protocol::{BayeuxError, ChannelName, Denied, Reconnect, Reply},
    server::{BrowserBinding, State},
    session::{Admitted, Session},
    trouble::Trouble,
};

/// How long the answers to refused requests wait where there are too many of them.
const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// What every browser sends, and nothing else.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// A pause that differs from client to client, so that they do not come back all at once.
pub(super) fn storm_pause(state: &State) -> Duration {
    STORM_PAUSE + state.hub.random.pause(STORM_PAUSE)
}

/// How many there are that do not exist.
fn count_new(channels: &[ChannelName], exists: impl Fn(&ChannelName) -> bool) -> usize {
    channels.iter().filter(|channel| !exists(channel)).count()
}

impl Exchange<'_> {
    /// Takes room for one more session, if there is some for this client.
    pub(super) fn admit(&self) -> Result<Option<Admitted>, Reason> {
        if self.state.is_full() {
            self.state.hub.note(Trouble::SessionsFull);
            return Err(Reason::SessionsFull);
        }
        let find = self.state.config.client_address.as_ref();
        let address = find.and_then(|find| find.of(self.request));
        Admitted::enter(&self.state.hub, address, self.cookies.ids.first().copied())
    }

    /// Whether clients may use this name. One that is short enough can't have too many segments, and most are.
    pub(super) fn may_use(&self, name: &str) -> bool {
        let config = &self.state.config;
        let most = config.max_channel_segments;
        name.len() <= config.max_channel_bytes
            && (name.len() / 2 <= most || name.bytes().filter(|byte| *byte == b'/').count() <= most)
    }

    /// Refuses what a session has no room for, of channels of which no two are the same; asked before the policy is, and
    /// after it.
    pub(super) fn check_room(&self, session: &Session, channels: &[ChannelName]) -> Result<(), Denied<'static>> {
        self.has_room(session, channels).map_err(|limit| {
            self.state.hub.counters.limited(limit);
            BayeuxError::SubscribeFailed.into()
        })
    }

    /// Whether a session may subscribe to these, as far as numbers go.
    fn has_room(&self, session: &Session, channels: &[ChannelName]) -> Result<(), Reason> {
        let config = &self.state.config;
        // Not one by one, and under a lock, where none of them could be had.
        if channels.len() > config.max_subscriptions {
            return Err(Reason::SubscriptionsFull);
        }
        let subscriptions = session.subscriptions();
        if subscriptions.numbers.len() + channels.len() > config.max_subscriptions {
            let added = count_new(channels, |channel| subscriptions.numbers.contains_key(channel));
            if subscriptions.numbers.len() + added > config.max_subscriptions {
                return Err(Reason::SubscriptionsFull);
            }
        }
        drop(subscriptions);
        let existing = self.state.channels.len();
        if existing + channels.len() > config.max_channels {
            let added = count_new(channels, |channel| self.state.channel_exists(channel.as_str()));
            if added > 0 && existing + added > config.max_channels {
                return Err(Reason::ChannelsFull);
            }
        }
        Ok(())
    }

    /// Counts what failed because of a limit of names.
    pub(super) fn count_denied(&self, denied: &Denied<'_>) {
        let is_about_names = matches!(
            denied.error,
            BayeuxError::ChannelInvalid | BayeuxError::SubscriptionInvalid
        );
        let channel = &denied.context.channel;
        if is_about_names && !channel.starts_with("/meta/") && !self.may_use(channel) {
            self.state.hub.counters.limited(Reason::ChannelNameTooLong);
        }
    }

    /// Notes a sign of trouble, one for each request.
    pub(super) fn note_once(&self, trouble: Trouble) {
        if !self.noted.swap(true, Relaxed) {
            self.state.hub.note(trouble);
        }
    }

    /// Notes that a session is not known whose id looks like one of ours. While the clients of the server that was here
    /// before come back, that is no sign of anything.
    pub(super) fn note_unknown(&self) {
        let hub = &self.state.hub;
        let now = hub.now();
        let config = &self.state.config;
        let return_time = config
            .timeout
            .saturating_add(config.interval)
            .saturating_add(config.max_interval);
        if u128::from(now) >= return_time.as_millis() {
            self.note_once(Trouble::UnknownSessions);
            // Without a session there is no sweeper to do it.
            hub.watch.warn(now);
        }
    }

    /// Notes a browser that does not send the cookie back that its handshake has set.
    pub(super) fn note_first_connect(&self, session: &Session) {
        let should_have_it = session.browser().is_some() && !session.is_bound() && !self.pushes;
        if should_have_it
            && self.state.config.browser_binding != BrowserBinding::Off
            && self.request.headers.contains_key(SEC_FETCH_MODE)
        {
            self.state.hub.note(Trouble::CookiesLost);
        }
    }

    /// Makes a connect wait that takes the place of another one, if its session had too many of the kind: two tabs that chase
    /// each other, or a client that does not wait for answers. The other one goes on being held meanwhile.
    pub(super) async fn space_overlapping(&self, session: &Session) {
        if !self.overlaps(session) {
            return;
        }
        if let Some(pause) = session.connect_pause() {
            self.note_paced();
            Box::pin(sleep(pause)).await;
        }
    }

    /// Whether a connect of this session takes the place of another one.
    pub(super) fn overlaps(&self, session: &Session) -> bool {
        !self.pushes && session.has_consumer()
    }

    pub(super) fn note_paced(&self) {
        self.state.hub.counters.limited(Reason::ConnectRate);
        self.state.hub.note(Trouble::ConnectsTooClose);
    }

    /// Whether there are as many held connects as there may be.
    pub(super) fn holds_enough(&self) -> bool {
        let most = self.state.config.max_held_connects;
        // Not counted together where nobody has to know.
        let held = || self.state.hub.counters.held_connects();
        most < usize::MAX && usize::try_from(held()).is_ok_and(|held| held >= most)
    }
}

impl Dispatched {
    /// Books a refusal. Where there are too many, the answer is to wait, and the client to take a pause.
    pub(super) fn refuse(&mut self, exchange: &Exchange<'_>, reply: &mut Reply<'_>) {
        // One for the request, however many messages it has.
        let may_refuse = *self.may_refuse.get_or_insert_with(|| {
            let may_refuse = exchange.state.hub.may_refuse();
            if !may_refuse {
                exchange.state.hub.counters.limited(Reason::RefusalRate);
            }
            may_refuse
        });
        if may_refuse {
            return;
        }
        self.pause = Some(REFUSAL_DELAY);
        if let Some(advice) = reply
            .advice
            .as_mut()
            .filter(|advice| advice.reconnect != Reconnect::None)
        {
            let pause = u64::try_from(storm_pause(exchange.state).as_millis()).unwrap_or(u64::MAX);
            advice.interval = advice.interval.max(pause);
        }
    }

    /// Waits, if the answer is not to come at once.
    pub(super) async fn pace(&mut self, exchange: &Exchange<'_>) {
        let connects = if self.messages > 1 { &*self.connects } else { &[] };
        let paced = connects.iter().filter_map(|connect| connect.pace(exchange)).max();
        if let Some(pause) = self.pause.take().max(paced) {
            Box::pin(sleep(pause)).await;
        }
    }
}
