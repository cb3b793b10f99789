//! tower-bayeux on axum.

use std::error::Error;

use axum::{Router, routing::get, serve::ListenerExt};
use tower_bayeux::BayeuxLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let bayeux = compare::bayeux();
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .layer(BayeuxLayer::new("/cometd", bayeux));
    let listener = compare::listen().await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}
