//! The timesync extension: clients learn the server's clock and the lag of the network.

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Client, keys, poll_once, read, send_json, start};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer,
    extension::{Lag, Timesync},
};

fn server() -> BayeuxServer {
    let server = BayeuxServer::new();
    server.add_extension(Timesync::new());
    server
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

/// What a reply's `ext.timesync` says.
fn answer(reply: &Value) -> &Value {
    &reply["ext"]["timesync"]
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_asks_is_told_the_servers_clock() {
    let before = now().floor();
    let handshake = json!([{ "channel": "/meta/handshake", "ext": { "timesync": { "tc": 5000, "l": 0, "o": 0 } } }]);
    let reply = send_json(&server(), handshake).await.only();
    let answer = answer(&reply);
    assert_eq!(keys(answer), ["a", "p", "tc", "ts"]);
    assert_eq!(answer["tc"], 5000);
    let received = answer["ts"].as_i64().unwrap();
    assert!((before..=now()).contains(&(received as f64)), "{answer}");
    assert_eq!(answer["a"], 5000 - received);
    assert!((0..10_000).contains(&answer["p"].as_i64().unwrap()), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn every_meta_message_may_ask_and_a_publish_may_not() {
    let client = Client::connected(&server()).await;
    let ext = json!({ "timesync": { "tc": 5000, "l": 0, "o": 0 } });
    for message in [
        json!({ "channel": "/meta/subscribe", "subscription": "/a", "ext": ext }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/b", "ext": ext }),
        json!({ "channel": "/meta/connect", "advice": { "timeout": 0 }, "ext": ext }),
    ] {
        assert_eq!(answer(&client.ask(message).await)["tc"], 5000);
    }
    let publish = json!({ "channel": "/a", "data": 1, "ext": ext });
    assert!(client.ask(publish).await.get("ext").is_none());
    let event = client.poll().await.messages().swap_remove(0);
    assert_eq!(keys(&event), ["channel", "data"]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_was_held_is_answered_too() {
    let client = Client::subscribed(&server(), "/a").await;
    let ext = json!({ "timesync": { "tc": 5000, "l": 0, "o": 0 } });
    let connect = client.request(json!([{ "channel": "/meta/connect", "ext": ext }]));
    let mut held = start(&client.server, connect);
    assert!(poll_once(&mut held).is_pending());
    client.server.publish("/a", &1).unwrap();
    let reply = read(held.await).await.connect_reply();
    assert_eq!(answer(&reply)["tc"], 5000);
    assert!(answer(&reply)["p"].as_i64().unwrap() >= 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_knows_well_enough_is_not_told_again() {
    let client = Client::connected(&server()).await;
    let ask = |offset: f64| {
        let client = &client;
        async move {
            let ext = json!({ "timesync": { "tc": 5000, "l": 1, "o": offset - 5001.0 } });
            client
                .ask(json!({ "channel": "/meta/connect", "advice": { "timeout": 0 }, "ext": ext }))
                .await
        }
    };
    assert!(ask(now()).await.get("ext").is_none());
    assert!(answer(&ask(now() + 60_000.0).await)["a"].as_i64().unwrap() > 50_000);
    assert!(answer(&ask(now() - 60_000.0).await)["a"].as_i64().unwrap() < -50_000);
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_an_attribute_of_the_session() {
    let client = Client::connected(&server()).await;
    assert!(client.session().attribute::<Lag>().is_none());
    let ext = json!({ "timesync": { "tc": 5000, "l": 37.5, "o": 0 } });
    client
        .ask(json!({ "channel": "/meta/connect", "advice": { "timeout": 0 }, "ext": ext }))
        .await;
    assert_eq!(
        client.session().attribute::<Lag>().unwrap().0,
        Duration::from_micros(37_500)
    );
}

#[tokio::test(start_paused = true)]
async fn nonsense_gets_no_answer_and_harms_nobody() {
    let client = Client::connected(&server()).await;
    for nonsense in [
        json!(null),
        json!(5),
        json!([]),
        json!({}),
        json!({ "tc": "x" }),
        json!({ "tc": 1, "l": "x" }),
        json!({ "l": -1 }),
        json!({ "tc": 1, "l": 1e300, "o": 1e300, "ts": {} }),
    ] {
        let reply = client
            .ask(json!({ "channel": "/meta/subscribe", "subscription": "/a", "ext": { "timesync": nonsense } }))
            .await;
        assert_eq!(reply["successful"], true, "{nonsense}");
    }
    let told = client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/a", "ext": { "timesync": { "tc": 1, "ts": 7 } } }))
        .await;
    assert_ne!(
        answer(&told)["ts"],
        7,
        "the client does not say when the server has got its message"
    );
}
