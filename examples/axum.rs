//! A Bayeux server as one layer of an axum application, next to its own routes.
//!
//! What it shows:
//!
//! - [`BayeuxLayer`] on the outer `Router`: `/cometd` is answered by the layer, everything else by axum.
//! - Publishing from a handler (`POST /announce`) and from a background task (`/time`, every second).
//! - The order of layers: `TraceLayer` sees every request, `CorsLayer` must stand outside the Bayeux layer so that
//!   its headers get onto Bayeux answers too, and it answers the preflight `OPTIONS /cometd`.
//! - CORS with cookies. Bayeux sessions use a cookie, so credentials are allowed, and then every list must be
//!   spelt out: tower-http panics when credentials meet a wildcard.
//! - JSONP, where it is wanted: Faye's client needs it for the handshake of a page of another origin. CORS does not hold
//!   it, so any page may then use this server.
//!
//! With `--features websocket` it serves WebSockets, too: nothing else is needed, for axum lets connections be upgraded.
//!
//! A `TimeoutLayer`, a concurrency limit or a rate limit does *not* belong outside the Bayeux layer: a held poll
//! would be cut by the first and would occupy a permit of the others. Put them inside, on the routes they are for.
//!
//! ```text
//! cargo run --example axum
//! ```
//!
//! | variable | what | default |
//! |---|---|---|
//! | `PORT` | the port on 127.0.0.1; 0 picks a free one | 8081 |
//! | `ALLOW_ORIGIN` | the origin whose pages may use this server | `http://127.0.0.1:3000` |
//! | `JSONP` | 1 to serve JSONP, too | 0 |
//!
//! What to try (the trace of every request is on stderr):
//!
//! ```text
//! URL=http://127.0.0.1:8081
//! post() { curl -s "$URL/$1" -H 'content-type: application/json' -d "$2"; echo; }
//!
//! post cometd '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]'
//! ID=... # the clientId of that answer
//!
//! post cometd '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":["/time","/announcements"]}]'
//! post announce '{"text":"the bar is open"}'
//! post cometd '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' # repeat
//! curl -s "$URL/stats"
//!
//! curl -si -X OPTIONS "$URL/cometd" -H 'origin: http://127.0.0.1:3000' \
//!     -H 'access-control-request-method: POST' -H 'access-control-request-headers: content-type'
//! ```

mod shutdown;

use std::{
    env,
    error::Error,
    net::Ipv4Addr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::State,
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, PRAGMA},
    },
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower_bayeux::{BayeuxLayer, BayeuxServer, Transport, Transports};
use tower_http::{cors::CorsLayer, trace::TraceLayer};
use tracing_subscriber::filter::LevelFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(std::io::stderr)
        .init();

    let mut transports = Transports::default();
    if env::var("JSONP").is_ok_and(|value| value == "1") {
        transports = transports.with(Transport::CallbackPolling);
    }
    let bayeux = BayeuxServer::builder().transports(transports).build();
    let origin = env::var("ALLOW_ORIGIN").unwrap_or_else(|_| "http://127.0.0.1:3000".to_owned());

    let app = Router::new()
        .route("/", get(|| async { "Bayeux is spoken at /cometd\n" }))
        .route("/announce", post(announce))
        .route("/stats", get(stats))
        .with_state(bayeux.clone())
        // The last layer is the outermost one.
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()))
        .layer(cors(origin.parse()?))
        .layer(TraceLayer::new_for_http());

    tokio::spawn(tell_the_time(bayeux.clone()));

    let port = env::var("PORT").map_or(Ok(8081), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/", listener.local_addr()?);

    let stopping = bayeux.clone();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown::signal().await;
            // Answers the held polls; axum would otherwise wait for each of them to run out.
            stopping.shutdown();
        })
        .await?;
    // axum does not wait for what has become a WebSocket. One whose client does not read is not waited for either.
    let _ = tokio::time::timeout(Duration::from_secs(5), bayeux.drained()).await;
    Ok(())
}

/// What a browser page from `origin` may do here.
fn cors(origin: HeaderValue) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(origin)
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            ACCEPT,
            AUTHORIZATION,
            CONTENT_TYPE,
            PRAGMA,
            HeaderName::from_static("x-requested-with"),
        ])
        .max_age(Duration::from_secs(600))
}

/// Publishes the seconds since 1970, every second.
async fn tell_the_time(bayeux: BayeuxServer) {
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        every_second.tick().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Err(error) = bayeux.publish("/time", &now.as_secs()) {
            eprintln!("cannot publish the time: {error}");
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Announcement {
    text: String,
}

/// `POST /announce`: an ordinary handler that has something to tell everybody.
async fn announce(
    State(bayeux): State<BayeuxServer>,
    Json(announcement): Json<Announcement>,
) -> Result<StatusCode, (StatusCode, String)> {
    bayeux
        .publish("/announcements", &announcement)
        .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(StatusCode::ACCEPTED)
}

#[derive(Serialize)]
struct Counts {
    sessions: usize,
    channels: usize,
}

/// `GET /stats`: how many are here.
async fn stats(State(bayeux): State<BayeuxServer>) -> Json<Counts> {
    Json(Counts {
        sessions: bayeux.session_count(),
        channels: bayeux.channel_count(),
    })
}
