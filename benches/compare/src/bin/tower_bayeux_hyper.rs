//! tower-bayeux on plain hyper.

use std::error::Error;

use hyper::service::service_fn;
use tower::Service;
use tower_bayeux::BayeuxService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let bayeux = BayeuxService::new("/cometd", compare::bayeux());
    compare::serve(service_fn(move |request| bayeux.clone().call(request))).await
}
