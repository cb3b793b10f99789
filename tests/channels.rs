//! What the application sets for channels.

mod common;

use std::sync::Arc;

use common::Client;
use serde_json::json;
use tower_bayeux::{
    BayeuxServer, ChannelSettings, InvalidChannel, PolicyRequest, PublishError, SecurityPolicy, Verdict,
};

struct NothingNew;

impl SecurityPolicy for NothingNew {
    async fn can_create(&self, _: PolicyRequest<'_>) -> Verdict {
        Verdict::deny_because("nothing_new")
    }
}

fn persistent() -> ChannelSettings {
    ChannelSettings::new().persistent(true)
}

#[tokio::test(start_paused = true)]
async fn a_persistent_channel_exists_though_nobody_has_subscribed() {
    let server = BayeuxServer::builder().security_policy(NothingNew).build();
    let lobby = server.configure("/lobby", persistent()).unwrap();
    assert!(lobby.exists());
    assert_eq!(server.channels(), ["/lobby"]);
    assert_eq!(server.channel_count(), 1);

    let client = Client::connected(&server).await;
    assert_eq!(client.publish("/lobby", json!(1)).await["successful"], true);
    client.subscribe("/lobby").await;
    assert_eq!((server.channels().len(), server.channel_count()), (1, 1), "listed once");
    let refused = client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/other" }))
        .await;
    assert_eq!(refused["error"], "403:nothing_new:create_denied");

    client.disconnect().await;
    assert_eq!(server.channels(), ["/lobby"]);
    lobby.remove();
    assert!(!lobby.exists());
    assert!(server.channels().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_persistent_pattern_does_not_make_the_channels_that_it_matches() {
    let server = BayeuxServer::builder().security_policy(NothingNew).build();
    server.configure("/room/*", persistent()).unwrap();
    let client = Client::connected(&server).await;
    client.subscribe("/room/*").await;
    let refused = client.publish("/room/1", json!(1)).await;
    assert_eq!(refused["error"], "403:nothing_new:channel_create_denied");
}

#[tokio::test(start_paused = true)]
async fn settings_outlive_subscribers_and_are_replaced_as_a_whole() {
    let server = BayeuxServer::new();
    let channel = server.channel("/a").unwrap();
    assert_eq!(channel.settings(), ChannelSettings::default());
    channel.configure(ChannelSettings::new().broadcast_to_publisher(false));
    let client = Client::subscribed(&server, "/a").await;
    assert_eq!(channel.subscriber_count(), 1);
    client.disconnect().await;
    assert_eq!(channel.subscriber_count(), 0);
    assert!(!channel.exists());
    assert!(!channel.settings().broadcast_to_publisher);
    channel.configure(persistent());
    assert_eq!(channel.settings(), persistent());
}

#[tokio::test(start_paused = true)]
async fn attributes_are_one_per_type_and_go_when_they_are_removed() {
    let server = BayeuxServer::new();
    let channel = server.channel("/a").unwrap();
    assert_eq!(channel.attribute::<u32>(), None);
    assert_eq!(channel.insert_attribute(1_u32), None);
    let same = server.channel("/a/").unwrap();
    assert_eq!(same.insert_attribute(2_u32).as_deref(), Some(&1));
    assert_eq!(channel.attribute::<u32>().as_deref(), Some(&2));
    assert!(!channel.exists(), "attributes make no channel");
    assert_eq!(same.remove_attribute::<u32>().as_deref(), Some(&2));

    let kept = Arc::new(());
    channel.insert_attribute(Arc::clone(&kept));
    channel.remove();
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_can_be_published_on_and_a_pattern_can_not() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let channel = server.channel("/a").unwrap();
    channel.publish(&1).unwrap();
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(1))]);
    let pattern = server.channel("/*").unwrap();
    assert_eq!(pattern.name(), &"/*");
    assert!(matches!(
        pattern.publish(&1),
        Err(PublishError::Channel {
            rule: InvalidChannel::NotAllowedHere,
            ..
        })
    ));
}

#[test]
fn meta_channels_and_bad_names_are_refused() {
    let server = BayeuxServer::new();
    assert_eq!(
        server.channel("/meta/connect").unwrap_err(),
        InvalidChannel::NotAllowedHere
    );
    assert_eq!(
        server.configure("a", persistent()).unwrap_err(),
        InvalidChannel::NoLeadingSlash
    );
}
