//! The binary extension: bytes as data.

mod common;

use common::Client;
use serde_json::json;
use tower_bayeux::{
    BayeuxServer,
    call::Data,
    extension::{Binary, BinaryData},
};

/// `HelloWorld` in Z85.
const BYTES: [u8; 8] = [0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B];

fn server() -> BayeuxServer {
    let server = BayeuxServer::new();
    server.add_extension(Binary);
    server
}

#[tokio::test(start_paused = true)]
async fn what_a_client_publishes_as_binary_arrives_as_binary() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut own = server.subscribe("/a").unwrap();
    let data = json!({ "data": "HelloWorld", "last": false, "meta": { "name": "x" } });
    client
        .ask(json!({ "channel": "/a", "data": data, "ext": { "binary": {}, "secret": 1 } }))
        .await;
    let event = client.poll().await.messages().swap_remove(0);
    assert_eq!(event, json!({ "channel": "/a", "data": data, "ext": { "binary": {} } }));
    let heard: BinaryData = own.recv().await.unwrap().data().unwrap();
    assert_eq!((heard.bytes.as_slice(), heard.last), (&BYTES[..], false));
    assert_eq!(heard.meta::<serde_json::Value>().unwrap(), json!({ "name": "x" }));
}

#[tokio::test(start_paused = true)]
async fn what_the_application_sends_as_binary_arrives_as_binary() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let data = BinaryData::new(BYTES).with_meta("m").unwrap();
    server.publish("/a", &data).unwrap();
    client.session().deliver("/b", &data.last(false)).unwrap();
    let messages = client.poll().await.messages();
    let event = |channel: &str, last: bool| {
        let data = json!({ "data": "HelloWorld", "last": last, "meta": "m" });
        json!({ "channel": channel, "data": data, "ext": { "binary": {} } })
    };
    assert_eq!(messages[..2], [event("/a", true), event("/b", false)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_take_and_answer_bytes() {
    let server = server();
    let reverse = |Data(mut data): Data<BinaryData>| async move {
        data.bytes.reverse();
        Data(data)
    };
    server.service("/service/reverse", reverse).unwrap();
    let client = Client::connected(&server).await;
    let data = json!({ "data": "HelloWorld", "last": true });
    client
        .ask(json!({ "channel": "/service/reverse", "id": 1, "data": data, "ext": { "binary": {} } }))
        .await;
    let answer = client.poll().await.messages().swap_remove(0);
    assert_eq!(answer["ext"], json!({ "binary": {} }));
    assert_eq!((&answer["id"], &answer["successful"]), (&json!(1), &json!(true)));
    let back: BinaryData = serde_json::from_value(answer["data"].clone()).unwrap();
    assert_eq!(back.bytes, BYTES.iter().rev().copied().collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn other_messages_are_not_marked() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let looks_like_it = json!({ "data": "HelloWorld", "last": true });
    client.publish("/a", looks_like_it.clone()).await;
    server
        .publish("/a", &json!({ "data": "HelloWorld", "last": true, "more": 1 }))
        .unwrap();
    server
        .publish("/a", &json!({ "data": "no z85 ", "last": true }))
        .unwrap();
    server.publish("/a", "text").unwrap();
    let messages = client.poll().await.messages();
    assert_eq!(messages.len(), 5);
    assert!(
        messages.iter().all(|message| message.get("ext").is_none()),
        "{messages:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_claims_to_be_binary_and_is_not_fails() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    for data in [
        json!(null),
        json!("HelloWorld"),
        json!({ "data": "a", "last": true }),
        json!({ "data": "HelloWorld" }),
    ] {
        let reply = client
            .ask(json!({ "channel": "/a", "data": data, "ext": { "binary": {} } }))
            .await;
        assert_eq!(
            (&reply["successful"], &reply["error"]),
            (&json!(false), &json!("400::binary_invalid")),
            "{data}"
        );
    }
    assert!(client.poll().await.events().is_empty());
}
