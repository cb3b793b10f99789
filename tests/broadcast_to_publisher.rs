//! Whether publishers get their own messages.

mod common;

use common::Client;
use serde_json::json;
use tower_bayeux::{BayeuxServer, ChannelSettings};

/// What the publisher and another subscriber get of one message on each of two channels.
async fn heard(server: &BayeuxServer, publisher: &Client) -> (Vec<String>, Vec<String>) {
    let other = Client::subscribed(server, "/**").await;
    for channel in ["/a/b", "/c"] {
        publisher.publish(channel, json!(1)).await;
    }
    let channels = |answer: common::Answer| answer.events().into_iter().map(|(channel, _)| channel).collect();
    (channels(publisher.poll().await), channels(other.poll().await))
}

#[tokio::test(start_paused = true)]
async fn it_can_be_switched_off_for_the_server() {
    let server = BayeuxServer::builder().broadcast_to_publisher(false).build();
    let publisher = Client::subscribed(&server, "/**").await;
    let (own, others) = heard(&server, &publisher).await;
    assert_eq!(own, [""; 0]);
    assert_eq!(others, ["/a/b", "/c"]);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_switched_off_for_a_channel_or_pattern() {
    let server = BayeuxServer::new();
    let settings = ChannelSettings::new().broadcast_to_publisher(false);
    let pattern = server.configure("/a/*", settings).unwrap();
    let publisher = Client::subscribed(&server, "/**").await;
    let (own, others) = heard(&server, &publisher).await;
    assert_eq!(own, ["/c"]);
    assert_eq!(others, ["/a/b", "/c"]);
    pattern.remove();
    assert_eq!(heard(&server, &publisher).await.0, ["/a/b", "/c"]);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_switched_off_for_a_session() {
    let server = BayeuxServer::new();
    let publisher = Client::subscribed(&server, "/**").await;
    assert!(publisher.session().broadcast_to_publisher());
    publisher.session().set_broadcast_to_publisher(false);
    assert!(!publisher.session().broadcast_to_publisher());
    let (own, others) = heard(&server, &publisher).await;
    assert_eq!(own, [""; 0]);
    assert_eq!(others, ["/a/b", "/c"]);
    publisher.session().set_broadcast_to_publisher(true);
    assert_eq!(heard(&server, &publisher).await.0, ["/a/b", "/c"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_application_publishes_or_delivers_goes_to_everybody() {
    let server = BayeuxServer::builder().broadcast_to_publisher(false).build();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    client.session().deliver("/a", &2).unwrap();
    assert_eq!(client.poll().await.events().len(), 2);
}
