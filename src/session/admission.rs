//! Who may have one more session: by address and by browser.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use super::{Hub, MessageRate, rate::FullAt, table::SHARDS};
use crate::{
    Reason,
    protocol::BrowserId,
    sync::{Mutex, lock},
};

/// The most addresses of one shard that are remembered for their handshakes alone.
const MOST_REMEMBERED: usize = 1024;

/// What one client, or one browser, may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdmissionLimits {
    pub(crate) sessions_per_address: usize,
    pub(crate) sessions_per_browser: usize,
    pub(crate) handshake_rate: MessageRate,
}

/// Sessions by address and by browser. Nobody is remembered who has no session and has not handshaken lately.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: AdmissionLimits,
    addresses: [Mutex<Places>; SHARDS],
    hasher: RandomState,
    browsers: Mutex<HashMap<BrowserId, usize>>,
}

/// What is known of some addresses.
#[derive(Debug, Default)]
struct Places {
    by_address: HashMap<IpAddr, Place>,
    /// At how many the next look for some that can be forgotten is due: not at each newcomer.
    look_at: usize,
}

/// What is known of one address.
#[derive(Debug, Default)]
struct Place {
    sessions: usize,
    handshakes: FullAt,
}

/// The right to one session; given back when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    hub: Arc<Hub>,
    address: Option<IpAddr>,
    browser: Option<BrowserId>,
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Self {
        Self {
            limits,
            addresses: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            browsers: Mutex::default(),
        }
    }

    #[expect(clippy::indexing_slicing, reason = "the index is taken modulo the number of shards")]
    fn shard(&self, address: IpAddr) -> &Mutex<Places> {
        let mut hasher = self.hasher.build_hasher();
        address.hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let hash = std::hash::Hasher::finish(&hasher) as usize;
        &self.addresses[hash % SHARDS]
    }

    fn enter_address(&self, address: IpAddr, now: u64) -> Result<(), Reason> {
        let mut shard = lock(self.shard(address));
        if !shard.by_address.contains_key(&address) {
            shard.make_room(now);
        }
        let place = shard.by_address.entry(address).or_default();
        // Sessions first: a client that is over that limit need not lose its handshakes, too.
        if place.sessions >= self.limits.sessions_per_address {
            return Err(Reason::AddressFull);
        }
        if !place.handshakes.take(self.limits.handshake_rate, now) {
            return Err(Reason::HandshakeRate);
        }
        place.sessions += 1;
        Ok(())
    }

    fn leave_address(&self, address: IpAddr, now: u64) {
        let mut shard = lock(self.shard(address));
        if let Entry::Occupied(mut place) = shard.by_address.entry(address) {
            place.get_mut().sessions = place.get().sessions.saturating_sub(1);
            if place.get().is_forgettable(now) {
                place.remove();
            }
        }
    }

    fn enter_browser(&self, browser: BrowserId) -> Result<(), Reason> {
        let mut browsers = lock(&self.browsers);
        let sessions = browsers.entry(browser).or_default();
        if *sessions >= self.limits.sessions_per_browser {
            if *sessions == 0 {
                browsers.remove(&browser);
            }
            return Err(Reason::BrowserFull);
        }
        *sessions += 1;
        Ok(())
    }

    fn leave_browser(&self, browser: BrowserId) {
        if let Entry::Occupied(mut sessions) = lock(&self.browsers).entry(browser) {
            *sessions.get_mut() -= 1;
            if *sessions.get() == 0 {
                sessions.remove();
            }
        }
    }

    /// Forgets the addresses of one shard that have no sessions and could make as many handshakes as ever.
    pub(crate) fn sweep(&self, shard: usize, now: u64) {
        if let Some(shard) = self.addresses.get(shard) {
            let places = &mut lock(shard).by_address;
            places.retain(|_, place| !place.is_forgettable(now));
            if places.is_empty() {
                places.shrink_to_fit();
            }
        }
    }
}

impl Place {
    const fn is_forgettable(&self, now: u64) -> bool {
        self.sessions == 0 && self.handshakes.is_full(now)
    }
}

impl Places {
    /// Makes room for one more: first by those who need not be remembered, and if these are too few, by all who have no
    /// session.
    fn make_room(&mut self, now: u64) {
        if self.by_address.len() < self.look_at.max(MOST_REMEMBERED) {
            return;
        }
        self.by_address.retain(|_, place| !place.is_forgettable(now));
        let remembered = self.by_address.values().filter(|place| place.sessions == 0).count();
        if remembered >= MOST_REMEMBERED / 2 {
            self.by_address.retain(|_, place| place.sessions > 0);
        }
        self.look_at = self.by_address.len() + MOST_REMEMBERED / 2;
    }
}

impl Admitted {
    /// Takes the right to one more session, if its address and its browser may have one; `None` where neither is limited.
    pub(crate) fn enter(
        hub: &Arc<Hub>,
        address: Option<IpAddr>,
        browser: Option<BrowserId>,
    ) -> Result<Option<Self>, Reason> {
        let browser = browser.filter(|_| hub.admission.limits.sessions_per_browser < usize::MAX);
        if address.is_none() && browser.is_none() {
            return Ok(None);
        }
        let mut admitted = Self {
            hub: Arc::clone(hub),
            address: None,
            browser: None,
        };
        if let Some(address) = address.map(network) {
            hub.admission.enter_address(address, hub.now_in_nanos())?;
            admitted.address = Some(address);
        }
        if let Some(browser) = browser {
            hub.admission.enter_browser(browser)?;
            admitted.browser = Some(browser);
        }
        Ok(Some(admitted))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = &self.hub.admission;
        if let Some(address) = self.address {
            admission.leave_address(address, self.hub.now_in_nanos());
        }
        if let Some(browser) = self.browser {
            admission.leave_browser(browser);
        }
    }
}

/// What counts as one client: an IPv4 address, or the 64 bits of an IPv6 address that a subscriber is given at least.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission::new(AdmissionLimits {
            sessions_per_address: 2,
            sessions_per_browser: 2,
            handshake_rate: MessageRate::per_second(1).burst(2),
        })
    }

    fn remembered(admission: &Admission) -> usize {
        admission
            .addresses
            .iter()
            .map(|shard| lock(shard).by_address.len())
            .sum()
    }

    #[test]
    fn an_address_is_forgotten_when_its_sessions_and_its_handshakes_are() {
        let admission = admission();
        let address = IpAddr::from([10, 0, 0, 1]);
        admission.enter_address(address, 0).unwrap();
        admission.leave_address(address, 1);
        assert_eq!(remembered(&admission), 1);
        (0..SHARDS).for_each(|shard| admission.sweep(shard, 1_000_000_000));
        assert_eq!(remembered(&admission), 0);
        admission.enter_address(address, 2_000_000_000).unwrap();
        admission.leave_address(address, 3_000_000_000);
        assert_eq!(remembered(&admission), 0);
    }

    #[test]
    fn those_who_handshake_from_everywhere_are_not_all_remembered() {
        let admission = admission();
        for number in 0..200_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            admission.enter_address(address, 0).unwrap();
            admission.leave_address(address, 0);
        }
        assert!(remembered(&admission) <= SHARDS * MOST_REMEMBERED);
    }

    #[test]
    fn where_all_have_sessions_not_every_newcomer_looks_for_some_to_forget() {
        let admission = admission();
        let mut looks = 0;
        for number in 0..200_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            let look_at = || lock(admission.shard(address)).look_at;
            let before = look_at();
            admission.enter_address(address, 0).unwrap();
            looks += usize::from(look_at() != before);
        }
        // About 3,125 in each shard; from 1,024 on, one look for 512 newcomers.
        assert!((SHARDS..SHARDS * 6).contains(&looks), "{looks}");
    }

    #[test]
    fn an_ipv6_client_counts_by_its_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
