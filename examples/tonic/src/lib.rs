//! gRPC and Bayeux on one port: tonic serves the calls, a layer around it serves the browsers.
//!
//! What it shows:
//!
//! - [`BayeuxLayer`] on a tonic server. It must be a layer of the whole server: the paths of a single gRPC service
//!   all start with the service's name, so a layer on that service would never see `/cometd`.
//! - `accept_http1(true)`: browsers and most Bayeux clients speak HTTP/1.1 unless TLS negotiates HTTP/2, and tonic
//!   refuses that by default.
//! - A gRPC method that publishes to Bayeux subscribers.
//! - No WebSockets (`main.rs`): tonic's server serves no upgrades, so a socket would be closed as soon as it is open.
//!
//! tonic's `Server::timeout`, `concurrency_limit_per_connection` and `load_shed` would count a held poll as a
//! running call. Leave them off, or put them on the gRPC services alone.
//!
//! The code generated from `proto/announcer.proto` is committed under `src/generated`, so no `protoc` is needed.

use std::{error::Error, future::Future};

use serde::Serialize;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use tower_bayeux::{BayeuxLayer, BayeuxServer};

use crate::proto::{
    AnnounceReply, AnnounceRequest,
    announcer_server::{Announcer, AnnouncerServer},
};

/// The messages, client and server of `proto/announcer.proto`.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::nursery)]
pub mod proto {
    include!("generated/announcer.rs");
}

/// Serves gRPC and Bayeux (at `/cometd`) on `listener` until `shutdown` is ready, and then until all is answered.
///
/// # Errors
///
/// As tonic's transport.
pub async fn serve(
    listener: TcpListener,
    bayeux: BayeuxServer,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    Server::builder()
        .accept_http1(true)
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()))
        .add_service(AnnouncerServer::new(AnnouncerService { bayeux: bayeux.clone() }))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
            shutdown.await;
            // Answers the held polls; tonic would otherwise wait for each of them to run out.
            bayeux.shutdown();
        })
        .await?;
    Ok(())
}

/// The gRPC side: what is called here comes out there.
struct AnnouncerService {
    bayeux: BayeuxServer,
}

/// What the subscribers get.
#[derive(Serialize)]
struct Announcement {
    text: String,
}

#[tonic::async_trait]
impl Announcer for AnnouncerService {
    async fn announce(&self, request: Request<AnnounceRequest>) -> Result<Response<AnnounceReply>, Status> {
        let AnnounceRequest { channel, text } = request.into_inner();
        self.bayeux
            .publish(&channel, &Announcement { text })
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let sessions = self.bayeux.session_count() as u64;
        Ok(Response::new(AnnounceReply { sessions }))
    }
}
