//! Remote calls: async functions that clients call, and that answer them.
//!
//! What it shows:
//!
//! - [`BayeuxServer::service`] with a closure (`/service/add`), with an async function that takes typed data, shared state
//!   and the server, and may fail (`/service/order`), and on a pattern (`/service/stock/*`).
//! - An error type of the application's own that says what the caller may know.
//! - axum's `Extension` layer: what it puts into the requests, handlers take as [`Extension<T>`](Extension). It stands
//!   *outside* the [`BayeuxLayer`].
//! - A handler that tells everybody, by publishing on `/stock/<item>`, what it has done for one.
//!
//! ```text
//! cargo run --example remote_call
//! ```
//!
//! `PORT` is the port on 127.0.0.1 (default 8085; 0 picks a free one). In a browser, with cometd.js:
//!
//! ```text
//! cometd.remoteCall("order", { item: "tea", count: 2 }, reply => {
//!     if (reply.successful) console.log(reply.data.total);
//!     else console.log(reply.data.message);
//! });
//! ```
//!
//! The same by hand: the call is a publish, and the answer comes with the next connect.
//!
//! ```text
//! URL=http://127.0.0.1:8085/cometd
//! post() { curl -s "$URL" -d "$1"; echo; }
//! connect() { post '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]'; }
//!
//! post '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]'
//! ID=... # the clientId of that answer
//! connect
//!
//! post '[{"channel":"/service/add","id":"1","clientId":"'$ID'","data":[2,3]}]'
//! connect # 5, with the id of the call
//! post '[{"channel":"/service/order","id":"2","clientId":"'$ID'","data":{"item":"tea","count":2}}]'
//! connect # the receipt
//! post '[{"channel":"/service/order","id":"3","clientId":"'$ID'","data":{"item":"tea","count":999}}]'
//! connect # successful: false, and why
//! post '[{"channel":"/service/order","id":"4","clientId":"'$ID'","data":"tea"}]'
//! connect # the data does not fit
//! post '[{"channel":"/service/stock/tea","id":"5","clientId":"'$ID'"}]'
//! connect # how many are left
//! ```

mod shutdown;

use std::{
    collections::HashMap,
    env,
    error::Error,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, routing::get};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower_bayeux::{
    BayeuxLayer, BayeuxServer, ChannelName,
    call::{CallError, Data, Extension},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::new();
    bayeux.service(
        "/service/add",
        |Data((a, b)): Data<(f64, f64)>| async move { Data(a + b) },
    )?;
    bayeux.service("/service/order", order)?;
    bayeux.service("/service/stock/*", left)?;

    let app = Router::new()
        .route(
            "/",
            get(|| async { "call /service/add, /service/order or /service/stock/tea at /cometd\n" }),
        )
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()))
        // The last layer is the outermost one.
        .layer(axum::Extension(Stock::default()));

    let port = env::var("PORT").map_or(Ok(8085), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/", listener.local_addr()?);

    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown::signal().await;
            // Answers the held polls; axum would otherwise wait for each of them to run out.
            bayeux.shutdown();
        })
        .await?;
    Ok(())
}

/// What is left of each item.
#[derive(Clone)]
struct Stock(Arc<Mutex<HashMap<String, u32>>>);

impl Default for Stock {
    fn default() -> Self {
        let items = [("tea".to_owned(), 100), ("coffee".to_owned(), 0)];
        Self(Arc::new(Mutex::new(items.into())))
    }
}

impl Stock {
    /// Takes some of an item, and says how many are left.
    fn take(&self, item: &str, count: u32) -> Result<u32, ShopError> {
        let mut items = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = items.get_mut(item).ok_or(ShopError::Unknown)?;
        *left = left.checked_sub(count).ok_or(ShopError::SoldOut { left: *left })?;
        Ok(*left)
    }
}

/// Why an order fails.
enum ShopError {
    Unknown,
    SoldOut { left: u32 },
    Internal(Box<dyn Error + Send + Sync>),
}

/// What the caller is told of it.
impl From<ShopError> for CallError {
    fn from(error: ShopError) -> Self {
        match error {
            ShopError::Unknown => Self::new("we do not sell that"),
            ShopError::SoldOut { left } => {
                Self::with_data(&serde_json::json!({ "message": "not enough of it", "left": left }))
            }
            ShopError::Internal(error) => {
                eprintln!("an order failed: {error}");
                Self::new("try again later")
            }
        }
    }
}

#[derive(Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Serialize)]
struct Receipt {
    item: String,
    total: u64,
}

/// `/service/order`: sells to the caller, and tells everybody what is left.
async fn order(
    bayeux: BayeuxServer,
    Extension(stock): Extension<Stock>,
    Data(order): Data<Order>,
) -> Result<Data<Receipt>, ShopError> {
    let left = stock.take(&order.item, order.count)?;
    bayeux
        .publish(format!("/stock/{}", order.item), &left)
        .map_err(|error| ShopError::Internal(error.into()))?;
    Ok(Data(Receipt {
        item: order.item,
        total: 5 * u64::from(order.count),
    }))
}

/// `/service/stock/<item>`: how many are left.
async fn left(channel: ChannelName, Extension(stock): Extension<Stock>) -> Result<Data<u32>, ShopError> {
    let item = channel.as_str().rsplit('/').next().unwrap_or_default();
    stock.take(item, 0).map(Data)
}
