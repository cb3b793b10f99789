//! A server on a socket of its own.

use std::{net::SocketAddr, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};
use tower_bayeux::{BayeuxBuilder, BayeuxServer, BayeuxService};

/// How long a request's head may take to arrive where that is limited, and so how long a connection may be idle.
pub const HEAD_TIMEOUT: Duration = Duration::from_millis(500);

/// Bayeux on plain hyper. A hold lasts for ever, unless the test says otherwise.
pub struct Site {
    pub server: BayeuxServer,
    pub address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Site {
    pub async fn open(builder: BayeuxBuilder) -> Self {
        Self::with(builder, None).await
    }

    /// One that lets slow heads and idle connections go.
    pub async fn open_impatient(builder: BayeuxBuilder) -> Self {
        Self::with(builder, Some(HEAD_TIMEOUT)).await
    }

    async fn with(builder: BayeuxBuilder, head_timeout: Option<Duration>) -> Self {
        let server = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            serving: tokio::spawn(serve(listener, server.clone(), head_timeout)),
            server,
        }
    }

    /// Ends it with no goodbye, as a crash does.
    pub async fn crash(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

async fn serve(listener: TcpListener, server: BayeuxServer, head_timeout: Option<Duration>) {
    let service = TowerToHyperService::new(BayeuxService::new("/cometd", server));
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let service = service.clone();
        connections.spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            // More resets than h2 takes from a peer by default, before it closes the connection as an attack.
            builder.http2().max_pending_accept_reset_streams(1000);
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(head_timeout);
            let _ = builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}
