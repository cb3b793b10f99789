//! tower-bayeux on plain hyper.

use std::error::Error;

use hyper_util::service::TowerToHyperService;
use tower_bayeux::BayeuxService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let bayeux = compare::bayeux();
    compare::serve(TowerToHyperService::new(BayeuxService::new("/cometd", bayeux))).await
}
