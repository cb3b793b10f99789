//! tower-bayeux on plain hyper.

use std::error::Error;

use hyper_util::service::TowerToHyperService;
use tower_bayeux::{BayeuxServer, BayeuxService};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let bayeux = BayeuxServer::builder().max_sessions(usize::MAX).build();
    compare::serve(TowerToHyperService::new(BayeuxService::new("/cometd", bayeux))).await
}
