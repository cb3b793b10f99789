//! What a client publishes: what becomes of it, and what its publisher is told.

mod common;

use common::{Client, keys, send_json};
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

/// The events that a client has in its queue, with all their fields.
async fn events(client: &Client) -> Vec<Value> {
    let mut messages = client.poll().await.messages();
    messages.pop();
    messages
}

#[tokio::test(start_paused = true)]
async fn the_reply_says_that_it_went_well_and_not_what_was_sent() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let reply = client.publish("/a/b", json!({ "x": 1 })).await;
    assert_eq!(reply, json!({ "channel": "/a/b", "id": "p", "successful": true }));
}

#[tokio::test(start_paused = true)]
async fn subscribers_get_channel_and_data_and_nothing_else_of_the_message() {
    let server = BayeuxServer::new();
    let subscriber = Client::subscribed(&server, "/a").await;
    let publisher = Client::connected(&server).await;
    let message = json!({
        "channel": "/a",
        "id": "secret-1",
        "data": { "id": "mine", "clientId": "mine", "ext": "mine" },
        "ext": { "token": "secret-2" },
        "advice": { "reconnect": "none" },
        "successful": false,
        "error": "no",
        "subscription": "/x",
        "other": "secret-3",
    });
    let answer = publisher.send(json!([message])).await;
    assert_eq!(
        answer.only(),
        json!({ "channel": "/a", "id": "secret-1", "successful": true })
    );
    let answer = subscriber.poll().await;
    assert!(!std::str::from_utf8(&answer.body).unwrap().contains("secret"));
    let event = json!({ "channel": "/a", "data": { "id": "mine", "clientId": "mine", "ext": "mine" } });
    assert_eq!(answer.messages()[0], event);
}

#[tokio::test(start_paused = true)]
async fn ext_is_passed_on_where_the_server_is_told_to() {
    let server = BayeuxServer::builder().forward_ext(true).build();
    let client = Client::subscribed(&server, "/a").await;
    client
        .ask(json!({ "channel": "/a", "id": 1, "data": 1, "ext": { "k": [1, "v"] }, "other": 5 }))
        .await;
    client.ask(json!({ "channel": "/a", "data": 2 })).await;
    for odd in [json!(5), json!("x"), json!([]), json!(null)] {
        client.ask(json!({ "channel": "/a", "data": 3, "ext": odd })).await;
    }
    let events = events(&client).await;
    assert_eq!(
        events[0],
        json!({ "channel": "/a", "data": 1, "ext": { "k": [1, "v"] } })
    );
    assert_eq!(events[1], json!({ "channel": "/a", "data": 2 }));
    for event in &events[2..] {
        assert_eq!(event, &json!({ "channel": "/a", "data": 3 }), "no object, no ext");
    }
}

#[tokio::test(start_paused = true)]
async fn data_of_any_kind_arrives_letter_by_letter_as_it_was_sent() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for data in [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "\"\"",
        "\"text\"",
        "[]",
        "{}",
        "\"\u{e4}\u{20ac}\u{1f600}\"",
        r#""\u00e4 \ud83d\ude00 \" \\ \/ \n \u0000""#,
        "\"\u{2028}\u{2029}\u{7f}\"",
        "123456789012345678901234567890",
        "9007199254740993",
        "3.141592653589793238462643383279502884197",
        "1.10",
        "1E5",
        "1e-7",
        "[ 1 ,\t2,\r\n 3 ]",
        r#"{"b":1,"a":{"c":[null,{}]},"b":2}"#,
        r#"{"channel":"/meta/connect","successful":true}"#,
        r#"["]","}","[","{","\"]"]"#,
    ] {
        let body = format!(r#"[{{"channel":"/a","clientId":"{}","data":{data}}}]"#, client.id);
        assert_eq!(client.send_text(body).await.only()["successful"], true, "{data}");
        let answer = client.poll().await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        let event = format!(r#"[{{"channel":"/a","data":{data}}},"#);
        assert!(text.starts_with(&event), "{text}");
        assert_eq!(answer.messages().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_carries_data_though_none_was_sent() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let reply = client.ask(json!({ "channel": "/a", "id": "1" })).await;
    assert_eq!(reply["successful"], true);
    assert_eq!(events(&client).await, [json!({ "channel": "/a", "data": null })]);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_subscribes_gets_its_own_message_on_its_connect() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let reply = client.publish("/a", json!("own")).await;
    assert_eq!(keys(&reply), ["channel", "id", "successful"]);
    assert_eq!(held.await.unwrap().events(), [("/a".to_owned(), json!("own"))]);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_need_not_subscribe_nor_connect() {
    let server = BayeuxServer::new();
    let subscriber = Client::subscribed(&server, "/a").await;
    let publisher = Client::handshake(&server).await;
    assert_eq!(publisher.publish("/a", json!(1)).await["successful"], true);
    assert_eq!(subscriber.poll().await.events().len(), 1);
    assert_eq!(publisher.connect().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn publishing_where_nobody_listens_goes_well_and_keeps_nothing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for n in 0..100 {
        assert_eq!(
            client.publish(&format!("/nobody/{n}"), json!(n)).await["successful"],
            true
        );
    }
    assert_eq!(server.channel_count(), 0);
    assert_eq!(server.stats().queued_messages, 0);
    client.subscribe("/nobody/1").await;
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn publishing_needs_a_session() {
    let server = BayeuxServer::new();
    let subscriber = Client::subscribed(&server, "/a").await;
    let reply = send_json(&server, json!([{ "channel": "/a", "data": 1 }])).await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(subscriber.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_can_not_be_published_to() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    client.subscribe("/a/*").await;
    for pattern in ["/*", "/**", "/a/*", "/a/**", "/service/*", "/a/*/"] {
        let reply = client.publish(pattern, json!(1)).await;
        assert_eq!(keys(&reply), ["channel", "error", "id", "successful"], "{pattern}");
        assert_eq!(reply["channel"], pattern);
        assert_eq!(reply["successful"], false, "{pattern}");
        assert_eq!(reply["error"], "405::channel_invalid", "{pattern}");
    }
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_meta_channel_that_does_not_exist_is_refused_and_nobody_hears_of_it() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    let mut application = server.subscribe("/**").unwrap();
    for channel in [
        "/meta/x",
        "/meta/Connect",
        "/meta/connect/",
        "/meta/handshake/",
        "/meta/connect/x",
        "/meta/subscribe/x",
        "/meta/disconnect/x",
        "/meta/ connect",
    ] {
        let message = json!({ "channel": channel, "id": "m", "subscription": "/a", "data": 1 });
        let reply = client.ask(message).await;
        assert_eq!(reply["successful"], false, "{channel}");
        assert_eq!(
            reply["error"], "403:denied_by_security_policy:channel_create_denied",
            "{channel}"
        );
        assert_eq!(reply["channel"], channel);
        assert!(reply.get("advice").is_none(), "{channel}");
    }
    assert_eq!(client.poll().await.events(), []);
    client.publish("/b", json!("first")).await;
    assert_eq!(application.recv().await.unwrap().channel(), "/b");
    assert_eq!(server.channels().len(), 1, "{:?}", server.channels());
}

#[tokio::test(start_paused = true)]
async fn a_service_message_is_acknowledged_and_reaches_the_application_alone() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    client.subscribe("/service/x").await;
    client.subscribe("/service/*").await;
    let mut application = server.subscribe("/service/**").unwrap();
    let reply = client.publish("/service/x", json!({ "do": 1 })).await;
    assert_eq!(reply, json!({ "channel": "/service/x", "id": "p", "successful": true }));
    let message = application.recv().await.unwrap();
    assert_eq!(message.channel(), "/service/x");
    assert_eq!(message.data::<Value>().unwrap(), json!({ "do": 1 }));
    assert_eq!(message.sender().unwrap().id().to_string(), client.id);
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_service_message_that_nobody_listens_to_is_acknowledged_too() {
    let client = Client::connected(&BayeuxServer::new()).await;
    assert_eq!(client.publish("/service/nobody", json!(1)).await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn channels_that_only_look_like_service_or_meta_are_broadcast() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    for channel in [
        "/services/x",
        "/metallica",
        "/a/meta/connect",
        "/a/service/x",
        "/Service/x",
    ] {
        assert_eq!(client.publish(channel, json!(1)).await["successful"], true, "{channel}");
        assert_eq!(client.poll().await.events(), [(channel.to_owned(), json!(1))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_trailing_slash_finds_the_same_subscribers_and_stays_in_the_event() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a/b").await;
    client.subscribe("/a/*").await;
    let reply = client.publish("/a/b/", json!(1)).await;
    assert_eq!(reply["channel"], "/a/b/");
    assert_eq!(client.poll().await.events(), [("/a/b/".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_is_no_channel_fails_its_own_message_only() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    for bad in [
        "", "/", "//", "a", "a/b", "/a//b", "//a", "/a/*/b", "/a*", "/**/a", "/\u{e4}", "/a\"b", "/a\0", "/a,b",
        "/a;b", "/a\\b", "/a%b",
    ] {
        let batch = json!([
            { "channel": "/ok", "id": 1, "data": 1 },
            { "channel": bad, "id": 2, "data": 2 },
            { "channel": "/ok", "id": 3, "data": 3 },
        ]);
        let replies = client.send(batch).await.messages();
        assert_eq!(replies[1]["successful"], false, "{bad}");
        assert_eq!(replies[1]["error"], "405::channel_invalid", "{bad}");
        assert_eq!(replies[1]["channel"], bad);
        assert_eq!(replies[1]["id"], 2);
        assert_eq!(
            (&replies[0]["successful"], &replies[2]["successful"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(client.poll().await.events().len(), 2, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_without_channel_is_told_so() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for message in [json!({ "id": "1", "data": 1 }), json!({ "id": "1", "channel": null })] {
        let reply = client.ask(message).await;
        assert_eq!(reply["successful"], false);
        assert_eq!(reply["error"], "400::channel_missing");
        assert_eq!(reply["id"], "1");
    }
}

#[tokio::test(start_paused = true)]
async fn every_message_of_a_batch_is_published_and_answered_in_its_order() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let batch: Vec<_> = (0..50)
        .map(|n| json!({ "channel": "/a", "id": n, "data": n }))
        .collect();
    let replies = client.send(batch.into()).await.messages();
    let ids: Vec<_> = replies.iter().map(|reply| reply["id"].clone()).collect();
    let numbers: Vec<_> = (0..50).map(Value::from).collect();
    assert_eq!(ids, numbers);
    let data: Vec<_> = client.poll().await.events().into_iter().map(|(_, data)| data).collect();
    assert_eq!(data, numbers);
}
