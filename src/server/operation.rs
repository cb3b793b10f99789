//! The handle for those who run the server: figures, health, and its end.

use super::BayeuxServer;
use crate::{session::Stats, trouble::Health};

impl BayeuxServer {
    /// A snapshot of the counters: some 700 loads, no lock. Cheap enough for a collector that asks every second, too dear for
    /// each message.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.hub.stats()
    }

    /// How the server is: whether it takes clients, and what it sees to be wrong. Cheap, for probes of a load balancer.
    #[must_use]
    pub fn health(&self) -> Health {
        let hub = &self.0.hub;
        if hub.is_draining() {
            return Health::Draining;
        }
        let troubles = hub.watch.troubles(hub.now());
        if troubles.is_empty() {
            Health::Ready
        } else {
            Health::Degraded(troubles)
        }
    }

    /// Lets clients go: every held connect is answered at once, telling its client to come back after a random part of
    /// [`shutdown_jitter`](crate::BayeuxBuilder::shutdown_jitter), and none is held from now on. New handshakes are refused
    /// likewise. Call it before a graceful shutdown of the HTTP server, which waits for held connects otherwise, and
    /// [`drained`](Self::drained) after it.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// Waits until every WebSocket and every event stream has closed: after [`shutdown`](Self::shutdown) they do so by
    /// themselves, once what is queued is out. An HTTP server that shuts down gracefully waits for its answers, held
    /// connects and event streams among them, but not for connections that have become WebSockets: a process that ends
    /// without waiting for these may cut them off.
    ///
    /// A client has five seconds to confirm that its socket closes. One that does not even read is given up after
    /// [`idle_timeout`](crate::WebSocketConfig::idle_timeout); who can't wait for so long puts a timeout around this.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_bayeux::BayeuxServer;
    /// # async fn example(bayeux: BayeuxServer, stop_serving: impl Future<Output = ()>) {
    /// bayeux.shutdown();
    /// stop_serving.await;
    /// let _ = tokio::time::timeout(Duration::from_secs(5), bayeux.drained()).await;
    /// # }
    /// ```
    pub async fn drained(&self) {
        self.0.hub.wait_until_closed().await;
    }
}
