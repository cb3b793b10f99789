//! Runs the server of this package's library: gRPC and Bayeux on one port.
//!
//! ```text
//! cargo run -p example-tonic
//! ```
//!
//! `PORT` is the port on 127.0.0.1 (default 8082; 0 picks a free one). What to try, with
//! [grpcurl](https://github.com/fullstorydev/grpcurl) for the gRPC side:
//!
//! ```text
//! URL=http://127.0.0.1:8082/cometd
//! post() { curl -s "$URL" -d "$1"; echo; } # the same with `curl --http2-prior-knowledge`
//!
//! post '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]'
//! ID=... # the clientId of that answer
//!
//! post '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":"/news/*"}]'
//! post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]'   # at once
//! post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' & # held
//!
//! grpcurl -plaintext -proto examples/tonic/proto/announcer.proto \
//!     -d '{"channel":"/news/local","text":"rain"}' 127.0.0.1:8082 announcer.Announcer/Announce
//! ```

#[path = "../../shutdown/mod.rs"]
mod shutdown;

use std::{env, error::Error, net::Ipv4Addr};

use tokio::net::TcpListener;
use tower_bayeux::{BayeuxServer, Transport, Transports};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let port = env::var("PORT").map_or(Ok(8082), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/cometd", listener.local_addr()?);

    // Only matters where the `websocket` feature is on: tonic serves no upgrades.
    let transports = Transports::default().without(Transport::WebSocket);
    let bayeux = BayeuxServer::builder().transports(transports).build();
    example_tonic::serve(listener, bayeux, shutdown::signal()).await
}
