//! A limit of the messages that a session may send.

mod common;

use std::time::Duration;

use common::{Client, pass};
use serde_json::json;
use tower_bayeux::{BayeuxError, BayeuxServer, ErrorTexts, MessageRate, PolicyRequest, SecurityPolicy, Verdict};

fn limited() -> BayeuxServer {
    BayeuxServer::builder()
        .message_rate(MessageRate::per_second(2).burst(3))
        .build()
}

#[tokio::test(start_paused = true)]
async fn what_goes_beyond_the_limit_fails_and_is_not_published() {
    let server = limited();
    let subscriber = Client::subscribed(&server, "/a").await;
    let client = Client::connected(&server).await;
    let publishes: Vec<_> = (0..5)
        .map(|number| json!({ "channel": "/a", "id": number, "data": number }))
        .collect();
    let replies = client.send(json!(publishes)).await.messages();
    for (number, reply) in replies.iter().enumerate() {
        let expected = if number < 3 {
            json!({ "channel": "/a", "id": number, "successful": true })
        } else {
            json!({ "channel": "/a", "id": number, "successful": false, "error": "429::rate_limited" })
        };
        assert_eq!(*reply, expected);
    }
    assert_eq!(subscriber.poll().await.events().len(), 3);
    assert_eq!(server.stats().rate_limited_messages, 2);
    assert_eq!(server.stats().published_messages, 3);
}

#[tokio::test(start_paused = true)]
async fn it_may_go_on_as_time_passes() {
    let server = limited();
    let client = Client::connected(&server).await;
    for _ in 0..3 {
        client.publish("/a", json!(1)).await;
    }
    assert_eq!(client.publish("/a", json!(1)).await["successful"], false);
    pass(Duration::from_millis(500)).await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    assert_eq!(client.publish("/a", json!(1)).await["successful"], false);
    let other = Client::connected(&server).await;
    assert_eq!(
        other.publish("/a", json!(1)).await["successful"],
        true,
        "each session for itself"
    );
}

#[tokio::test(start_paused = true)]
async fn connects_and_the_disconnect_do_not_count() {
    let server = limited();
    let client = Client::connected(&server).await;
    for _ in 0..10 {
        assert_eq!(client.poll().await.connect_reply()["successful"], true);
    }
    for channel in ["/a", "/b", "/c"] {
        client.subscribe(channel).await;
    }
    let refused = client
        .ask(json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }))
        .await;
    assert_eq!(refused["error"], "429::rate_limited");
    assert_eq!(refused["subscription"], "/a");
    assert_eq!(client.session().subscriptions().len(), 3);
    assert_eq!(client.poll().await.connect_reply()["successful"], true);
    assert_eq!(client.disconnect().await["successful"], true);
}

struct NobodyAsks;

impl SecurityPolicy for NobodyAsks {
    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        assert_eq!(request.data::<i32>().unwrap(), 1);
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_about_what_is_refused_and_the_text_can_be_changed() {
    let server = BayeuxServer::builder()
        .security_policy(NobodyAsks)
        .message_rate(MessageRate::per_second(1))
        .error_texts(ErrorTexts::cometd().with(BayeuxError::RateLimited, "slow down"))
        .build();
    let client = Client::connected(&server).await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    assert_eq!(client.publish("/a", json!(2)).await["error"], "slow down");
}

#[tokio::test(start_paused = true)]
async fn there_is_no_limit_by_default() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for _ in 0..1_000 {
        assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    }
    assert_eq!(server.stats().rate_limited_messages, 0);
}
