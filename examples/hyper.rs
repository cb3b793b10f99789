//! A Bayeux server on plain hyper, with nothing else around it.
//!
//! What it shows:
//!
//! - [`BayeuxService::new`] as all that hyper calls: `/cometd` speaks Bayeux, every other path is a 404.
//! - HTTP/1.1 and HTTP/2 on one port, through hyper-util's `auto` server.
//! - Every transport: long-polling, JSONP, event streams and, with `--features websocket`, WebSockets.
//! - A graceful end: [`BayeuxServer::shutdown`] answers the held polls and closes streams and sockets, so hyper need not
//!   wait for them.
//!
//! Anybody may subscribe and publish anywhere, and call `/service/echo`, so any Bayeux client or test suite can be pointed
//! at it.
//!
//! ```text
//! cargo run --example hyper --features websocket
//! ```
//!
//! | variable | what | default |
//! |---|---|---|
//! | `PORT` | the port on 127.0.0.1; 0 picks a free one | 8080 |
//! | `BAYEUX_TIMEOUT_MS` | how long a `/meta/connect` is held | 30000 |
//! | `BAYEUX_MAX_INTERVAL_MS` | how long a session may stay away before it is removed | 30000 |
//! | `BAYEUX_MAX_SESSIONS` | how many sessions there may be | 1000000 |
//!
//! What to try:
//!
//! ```text
//! URL=http://127.0.0.1:8080/cometd
//! post() { curl -s "$URL" -H 'content-type: application/json' -d "$1"; echo; }
//!
//! post '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]'
//! ID=... # the clientId of that answer
//!
//! post '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":"/greetings/*"}]'
//! post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]'   # at once
//! post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' & # held
//! post '[{"channel":"/greetings/en","clientId":"'$ID'","data":"hello"}]'                    # ends the poll
//! ```

mod shutdown;

use std::{env, error::Error, net::Ipv4Addr, pin::pin, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::Service;
use tower_bayeux::{BayeuxServer, BayeuxService, Transports, call::Data};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::builder()
        .transports(Transports::all())
        .timeout(Duration::from_millis(env_or("BAYEUX_TIMEOUT_MS", 30_000)?))
        .max_interval(Duration::from_millis(env_or("BAYEUX_MAX_INTERVAL_MS", 30_000)?))
        .max_sessions(env_or("BAYEUX_MAX_SESSIONS", 1_000_000)?)
        .build();
    bayeux.service(
        "/service/echo",
        |Data(anything): Data<Value>| async move { Data(anything) },
    )?;
    let service = BayeuxService::new("/cometd", bayeux.clone());
    // It is always ready, so that nothing has to wait for that.
    let service = service_fn(move |request| service.clone().call(request));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, env_or("PORT", 8080)?)).await?;
    println!("listening on http://{}/cometd", listener.local_addr()?);

    let mut http = auto::Builder::new(TokioExecutor::new());
    // With a timer, hyper lets go who does not send the head of a request within 30 s; bodies are timed by the server.
    http.http1().timer(TokioTimer::new());
    http.http2().timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    let mut stop = pin!(shutdown::signal());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely out of file descriptors: wait for some connections to end.
                    eprintln!("cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Small answers that must go out now: do not wait for more to fill a packet.
        let _ = stream.set_nodelay(true);
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service.clone());
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            // Clients go away in the middle of a poll all the time: an error here is no news.
            let _ = connection.await;
        });
    }

    drop(listener);
    bayeux.shutdown();
    connections.shutdown().await;
    // hyper does not wait for what has become a WebSocket. One whose client does not read is not waited for either.
    let _ = tokio::time::timeout(Duration::from_secs(5), bayeux.drained()).await;
    Ok(())
}

/// The variable as a number, or `default` where it is not set.
fn env_or<T>(name: &str, default: T) -> Result<T, Box<dyn Error>>
where
    T: std::str::FromStr<Err: Error + 'static>,
{
    match env::var(name) {
        Ok(value) => Ok(value.parse()?),
        Err(_) => Ok(default),
    }
}
