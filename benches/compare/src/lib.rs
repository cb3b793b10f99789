//! What the servers that are compared have in common.

use std::{env, error::Error, net::Ipv4Addr};

use hyper::{Request, Response, body::Body, body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tower_bayeux::{BayeuxServer, MessageRate};

/// The server, with its defaults but for limits that a load tool meets and a client does not: all sessions are one
/// machine's, and some ask all the time not to be held.
#[must_use]
pub fn bayeux() -> BayeuxServer {
    let unlimited = MessageRate::per_second(u32::MAX);
    BayeuxServer::builder()
        .max_sessions(usize::MAX)
        .connect_rate(unlimited)
        .refusal_rate(unlimited)
        .build()
}

/// Listens on a free port, or on `PORT`, and says where.
///
/// # Errors
///
/// There is no such port to be had.
pub async fn listen() -> Result<TcpListener, Box<dyn Error + Send + Sync>> {
    let port = env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/cometd", listener.local_addr()?);
    Ok(listener)
}

/// Serves on hyper's HTTP/1.1, with nothing around it.
///
/// # Errors
///
/// It can't listen or accept.
pub async fn serve<S, B>(service: S) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let listener = listen().await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        tokio::spawn(async move {
            // Clients go away; that is no news.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
