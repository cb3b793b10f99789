//! axum-cometd, on the axum of its time.

use std::error::Error;

use axum_cometd::{LongPollingServiceContextBuilder, RouterBuilder};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let context = LongPollingServiceContextBuilder::new().build::<(), ()>();
    let app = RouterBuilder::new()
        .subscribe_base_path("/cometd/subscribe")
        .handshake_base_path("/cometd")
        .connect_base_path("/cometd")
        .disconnect_base_path("/cometd")
        .build(context);
    let listener = compare::listen().await?.into_std()?;
    let server = axum_06::Server::from_tcp(listener)?.tcp_nodelay(true);
    Ok(server.serve(app.into_make_service()).await?)
}
