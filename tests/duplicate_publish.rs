//! A message that a client sends again, because its reply was lost, is published once.

mod common;

use common::Client;
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

async fn publish(client: &Client, id: Value, data: u32) {
    let reply = client
        .send(json!([{ "channel": "/a", "id": id, "data": data }]))
        .await
        .only();
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["id"], id);
}

async fn received(client: &Client) -> Vec<Value> {
    let events = client.poll().await.events();
    events.into_iter().map(|(_, data)| data).collect()
}

fn server(window: usize) -> BayeuxServer {
    BayeuxServer::builder().duplicate_window(window).build()
}

#[tokio::test(start_paused = true)]
async fn it_is_off_by_default() {
    let client = Client::subscribed(&BayeuxServer::new(), "/a").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("1"), 2).await;
    assert_eq!(received(&client).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_id_is_answered_but_not_published_again() {
    let client = Client::subscribed(&server(10), "/a").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("1"), 2).await;
    publish(&client, json!("2"), 3).await;
    assert_eq!(received(&client).await, [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_number_and_a_string_are_different_ids() {
    let client = Client::subscribed(&server(10), "/a").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!(1), 2).await;
    assert_eq!(received(&client).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn messages_without_an_id_are_never_repeats() {
    let client = Client::subscribed(&server(10), "/a").await;
    for data in 0..2 {
        client.send(json!([{ "channel": "/a", "data": data }])).await;
    }
    assert_eq!(received(&client).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_ids_are_remembered_and_each_session_has_its_own() {
    let server = server(2);
    let client = Client::subscribed(&server, "/a").await;
    for (id, data) in [("1", 1), ("2", 2), ("3", 3), ("1", 4), ("3", 5)] {
        publish(&client, json!(id), data).await;
    }
    publish(&Client::connected(&server).await, json!("3"), 6).await;
    assert_eq!(received(&client).await, [1, 2, 3, 4, 6]);
}
