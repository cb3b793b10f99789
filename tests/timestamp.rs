//! The timestamp extension.

mod common;

use common::{Client, send_json};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, extension::Timestamp};

#[track_caller]
fn assert_stamped(message: &Value) {
    let timestamp = message["timestamp"].as_str().expect("no timestamp");
    let form: String = timestamp
        .chars()
        .map(|each| if each.is_ascii_digit() { '0' } else { each })
        .collect();
    assert_eq!(form, "0000-00-00T00:00:00.00", "{message}");
}

#[tokio::test(start_paused = true)]
async fn every_reply_and_every_event_says_when_it_was_made() {
    let server = BayeuxServer::new();
    server.add_extension(Timestamp);
    let reply = send_json(&server, json!([{ "channel": "/meta/handshake" }]))
        .await
        .only();
    assert_stamped(&reply);
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    client.session().deliver("/b", &1).unwrap();
    assert_stamped(&client.publish("/a", json!(1)).await);
    let messages = client.poll().await.messages();
    assert_eq!(messages.len(), 4);
    messages.iter().for_each(assert_stamped);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_stamped_without_it() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    let messages = client.poll().await.messages();
    assert!(messages.iter().all(|message| message.get("timestamp").is_none()));
}
