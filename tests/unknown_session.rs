//! Messages that name no live session: `402::session_unknown`, each for itself.

mod common;

use std::time::Duration;

use common::{Client, advice, keys, pass, send_json};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_bayeux::BayeuxServer;

const NOBODY: &str = "0000000000000000000000000000000000000000";

/// One message of each kind that needs a session.
fn kinds() -> [Value; 6] {
    [
        json!({ "channel": "/meta/connect", "id": "1" }),
        json!({ "channel": "/meta/subscribe", "id": "1", "subscription": ["/a"] }),
        json!({ "channel": "/meta/unsubscribe", "id": "1", "subscription": "/a" }),
        json!({ "channel": "/meta/disconnect", "id": "1" }),
        json!({ "channel": "/a", "id": "1", "data": {} }),
        json!({ "channel": "/service/a", "id": "1", "data": {} }),
    ]
}

fn of(client_id: &Value, mut message: Value) -> Value {
    message["clientId"] = client_id.clone();
    message
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_told_to_handshake_at_once() {
    let started = Instant::now();
    let connect = json!([{ "channel": "/meta/connect", "id": "1", "clientId": NOBODY }]);
    let answer = send_json(&BayeuxServer::new(), connect).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(answer.status, StatusCode::OK);
    let reply = answer.only();
    assert_eq!(keys(&reply), ["advice", "channel", "error", "id", "successful"]);
    assert_eq!(reply["channel"], "/meta/connect");
    assert_eq!(reply["id"], "1");
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"], advice("handshake", 0, 30_000));
}

/// Behind a balancer that sends each request to another server, the next session would not be known either.
#[tokio::test(start_paused = true)]
async fn a_connect_of_a_session_that_another_server_has_just_made_is_told_to_take_its_time() {
    let elsewhere = Client::handshake(&BayeuxServer::new()).await;
    let connect = json!([{ "channel": "/meta/connect", "id": "1", "clientId": elsewhere.id }]);
    let reply = send_json(&BayeuxServer::new(), connect).await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"], advice("handshake", 2_000, 30_000));
}

#[tokio::test(start_paused = true)]
async fn other_messages_fail_without_advice() {
    let server = BayeuxServer::new();
    for message in kinds().into_iter().skip(1) {
        let reply = send_json(&server, json!([of(&json!(NOBODY), message.clone())]))
            .await
            .only();
        assert_eq!(reply["channel"], message["channel"]);
        assert_eq!(reply["id"], "1");
        assert_eq!(reply["successful"], false, "{message}");
        assert_eq!(reply["error"], "402::session_unknown", "{message}");
        assert!(reply.get("advice").is_none(), "{message}");
        assert!(reply.get("clientId").is_none(), "{message}");
        assert!(reply.get("data").is_none(), "{message}");
        assert_eq!(reply.get("subscription"), message.get("subscription"), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_id_of_any_shape_names_no_session_and_harms_nothing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let live = &client.id;
    let ids = [
        json!(""),
        json!("x"),
        json!(live[..39]),
        json!(format!("{live}0")),
        json!(format!(" {}", &live[1..])),
        json!(format!("{live} ")),
        json!(format!("{live}\0")),
        json!("g".repeat(40)),
        json!("\u{e4}".repeat(20)),
        json!("\u{1f600}".repeat(10)),
        json!(format!("{}\u{e4}", &live[..38])),
        json!(format!("\u{e4}{}", &live[2..])),
        json!("\u{0}".repeat(40)),
        json!("0".repeat(100_000)),
        json!(5),
        json!(null),
        json!(true),
        json!([live]),
        json!({ "id": live }),
    ];
    for id in &ids {
        for message in kinds() {
            let reply = send_json(&server, json!([of(id, message.clone())])).await.only();
            assert_eq!(reply["successful"], false, "{id} {message}");
            assert_eq!(reply["error"], "402::session_unknown", "{id} {message}");
        }
    }
    assert_eq!(client.poll().await.only()["successful"], true);
    assert_eq!(server.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_client_id_is_not_processed() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    for message in kinds() {
        let reply = send_json(&server, json!([message])).await.only();
        assert_eq!(reply["error"], "402::session_unknown", "{message}");
    }
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn in_a_batch_only_the_message_with_the_wrong_client_id_fails() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for position in 0..3 {
        let mut batch: Vec<_> = (0..3).map(|n| json!({ "channel": "/a", "id": n, "data": n })).collect();
        batch[position]["clientId"] = json!(NOBODY);
        let replies = client.send(batch.into()).await.messages();
        for (index, reply) in replies.iter().enumerate() {
            assert_eq!(reply["id"], json!(index));
            assert_eq!(reply["successful"], json!(index != position), "{position} {reply}");
        }
        assert_eq!(client.poll().await.events().len(), 2, "{position}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_may_speak_for_several_sessions() {
    let server = BayeuxServer::new();
    let one = Client::connected(&server).await;
    let two = Client::connected(&server).await;
    let batch = json!([
        { "channel": "/meta/subscribe", "subscription": "/one" },
        { "channel": "/meta/subscribe", "subscription": "/two", "clientId": two.id },
    ]);
    let replies = one.send(batch).await.messages();
    assert!(replies.iter().all(|reply| reply["successful"] == true), "{replies:?}");
    server.publish("/two", &2).unwrap();
    assert_eq!(one.poll().await.events(), []);
    assert_eq!(two.poll().await.events(), [("/two".to_owned(), json!(2))]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_expired_is_unknown() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let client = Client::subscribed(&server, "/a").await;
    pass(Duration::from_secs(6)).await;
    for message in kinds() {
        let reply = client.ask(message.clone()).await;
        assert_eq!(reply["error"], "402::session_unknown", "{message}");
        if message["channel"] == "/meta/connect" {
            assert_eq!(reply["advice"], advice("handshake", 2_000, 30_000));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_invalid_is_told_before_the_session_is_looked_for() {
    let server = BayeuxServer::new();
    let bad_channel = json!([{ "channel": "no-slash", "clientId": NOBODY }]);
    assert_eq!(
        send_json(&server, bad_channel).await.only()["error"],
        "405::channel_invalid"
    );
    let bad_id = json!([{ "channel": "/a", "id": [], "clientId": NOBODY }]);
    assert_eq!(
        send_json(&server, bad_id).await.only()["error"],
        "405::message_id_invalid"
    );
}
