//! An order book that is told change by change, to clients that miss none: the acknowledgement extension.
//!
//! What it shows:
//!
//! - Every change is published on `/book` with a number. Whoever misses one has a wrong book from then on, so at most
//!   once, which is what Bayeux promises, is not enough.
//! - A client that handshakes with `ext: {"ack": true}` gets a number with every answer to a connect, and says with
//!   the next connect which one it got last. The server keeps what it sent until then, and sends it again when an answer
//!   was lost. The client's library does all that: cometd.js has its `AckExtension`. On the server, it is on by default.
//! - `GET /book` is the whole book as of one of these numbers. A client subscribes first, gets the book then, and from
//!   there on applies the changes with greater numbers.
//! - What is kept counts towards the bounds of the session's queue: a client that never acknowledges is disconnected,
//!   and starts over with a new book.
//!
//! ```text
//! cargo run --example acknowledged
//! ```
//!
//! | variable | what | default |
//! |---|---|---|
//! | `PORT` | the port on 127.0.0.1; 0 picks a free one | 8086 |
//! | `TICK_MS` | after how many milliseconds the book changes again; at least 1 | 1000 |
//!
//! What to try:
//!
//! ```text
//! URL=http://127.0.0.1:8086
//! post() { curl -s "$URL/cometd" -H 'content-type: application/json' -d "$1"; echo; }
//! connect() {
//!     post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling","ext":{"ack":'$1'}}]'
//! }
//!
//! post '[{"channel":"/meta/handshake","version":"1.0","ext":{"ack":true}}]'
//! ID=... # the clientId of that answer, which also says "ext":{"ack":true}
//!
//! connect 0 # nothing has come before; the answer is number 1
//! # [{"channel":"/meta/connect","successful":true,"ext":{"ack":1},...}]
//!
//! post '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":"/book"}]'
//! curl -s "$URL/book"; echo
//! # {"number":5,"offers":{"101":4,"104":3,"107":2,"108":5}}
//!
//! connect 1 # the changes since, as number 2
//! # [{"channel":"/book","data":{"number":6,...}},{"channel":"/meta/connect","successful":true,"ext":{"ack":2},...}]
//!
//! connect 1 # as if that answer had been lost: the same once more, with what is new, as number 3
//! # [{"channel":"/book","data":{"number":6,...}},{"channel":"/book","data":{"number":7,...}},
//! #  {"channel":"/meta/connect","successful":true,"ext":{"ack":3},...}]
//!
//! connect 3 # only what is new: the rest has arrived
//! # [{"channel":"/book","data":{"number":8,...}},{"channel":"/meta/connect","successful":true,"ext":{"ack":4},...}]
//! ```

mod shutdown;

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::get};
use serde::Serialize;
use tokio::net::TcpListener;
use tower_bayeux::{BayeuxLayer, BayeuxServer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::new();
    let book = SharedBook::default();

    let app = Router::new()
        .route("/", get(|| async { "Bayeux is spoken at /cometd\n" }))
        .route("/book", get(whole_book))
        .with_state(Arc::clone(&book))
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()));

    let tick = env::var("TICK_MS").map_or(Ok(1000), |millis| millis.parse())?;
    tokio::spawn(trade(bayeux.clone(), book, Duration::from_millis(tick)));

    let port = env::var("PORT").map_or(Ok(8086), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/cometd", listener.local_addr()?);

    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown::signal().await;
            bayeux.shutdown();
        })
        .await?;
    Ok(())
}

type SharedBook = Arc<Mutex<Book>>;

/// What is offered, and the number of the change that made it so.
#[derive(Clone, Debug, Default, Serialize)]
struct Book {
    number: u64,
    /// Quantity by price.
    offers: BTreeMap<u64, i64>,
}

/// A change of the book: so much more or less is offered at a price.
#[derive(Clone, Copy, Debug, Serialize)]
struct Change {
    number: u64,
    price: u64,
    quantity: i64,
}

impl Book {
    /// Somebody buys or sells; nobody in particular in this demo.
    fn change(&mut self) -> Change {
        self.number += 1;
        let number = self.number;
        let price = 100 + number * 7 % 10;
        let offered = self.offers.entry(price).or_default();
        let quantity = if *offered > 20 {
            -*offered
        } else {
            1 + (number % 5) as i64
        };
        *offered += quantity;
        if *offered == 0 {
            self.offers.remove(&price);
        }
        Change {
            number,
            price,
            quantity,
        }
    }
}

/// Changes the book, and tells everybody, again and again.
async fn trade(bayeux: BayeuxServer, book: SharedBook, tick: Duration) {
    let mut ticks = tokio::time::interval(tick);
    loop {
        ticks.tick().await;
        let change = book.lock().unwrap_or_else(PoisonError::into_inner).change();
        if let Err(error) = bayeux.publish("/book", &change) {
            eprintln!("cannot publish a change: {error}");
        }
    }
}

/// `GET /book`: all of it, for those who come later.
async fn whole_book(State(book): State<SharedBook>) -> Json<Book> {
    Json(book.lock().unwrap_or_else(PoisonError::into_inner).clone())
}
