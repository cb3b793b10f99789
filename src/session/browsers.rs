//! How many connects of each browser are held.

use std::{collections::HashMap, sync::Arc};

use super::Hub;
use crate::{
    protocol::BrowserId,
    sync::{Mutex, lock},
};

/// Held connects by browser. A browser has six connections to a host over HTTP/1.1; held connects of that many tabs
/// would leave none for anything else.
#[derive(Debug)]
pub(super) struct Browsers {
    limit: usize,
    held: Mutex<HashMap<BrowserId, usize>>,
}

impl Browsers {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            held: Mutex::default(),
        }
    }
}

/// A browser's right to one held connect; given back when dropped.
#[derive(Debug)]
pub(crate) struct BrowserSlot {
    hub: Arc<Hub>,
    browser: BrowserId,
}

impl BrowserSlot {
    /// One more, or none if the browser has as many as it may have. `replaces` says that one of them is about to end.
    pub(crate) fn take(hub: &Arc<Hub>, browser: BrowserId, replaces: bool) -> Option<Self> {
        let browsers = &hub.browsers;
        let mut held = lock(&browsers.held);
        let count = held.entry(browser).or_default();
        if *count >= browsers.limit.saturating_add(usize::from(replaces)) {
            if *count == 0 {
                held.remove(&browser);
            }
            return None;
        }
        *count += 1;
        Some(Self {
            hub: Arc::clone(hub),
            browser,
        })
    }
}

impl Drop for BrowserSlot {
    fn drop(&mut self) {
        let mut held = lock(&self.hub.browsers.held);
        if let Some(count) = held.get_mut(&self.browser) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.browser);
            }
        }
    }
}
