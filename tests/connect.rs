//! `/meta/connect`: when it is answered, and what its reply says.

mod common;

use std::time::Duration;

use common::{Client, advice, keys, pass, post, send};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, Outcome, Reason, Transport};

fn connect(fields: Value) -> Value {
    let mut message = json!({ "channel": "/meta/connect", "id": "c", "connectionType": "long-polling" });
    let fields = fields.as_object().unwrap().clone();
    message.as_object_mut().unwrap().extend(fields);
    message
}

/// For how long a lone connect with these fields is held, and its reply.
async fn held(client: &Client, fields: Value) -> (Duration, Value) {
    let started = Instant::now();
    let reply = client.ask(connect(fields)).await;
    (started.elapsed(), reply)
}

#[track_caller]
fn assert_full_advice(reply: &Value) {
    assert_eq!(keys(&reply["advice"]), ["interval", "reconnect", "timeout"], "{reply}");
    assert!(
        reply["advice"]["interval"].is_u64() && reply["advice"]["timeout"].is_u64(),
        "{reply}"
    );
    if reply["successful"] == true {
        assert_ne!(reply["advice"]["reconnect"], "handshake", "{reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_connect_of_a_session_is_answered_at_once_though_no_advice_asks_for_it() {
    let client = Client::handshake(&BayeuxServer::new()).await;
    let (waited, reply) = held(&client, json!({})).await;
    assert_eq!(waited, Duration::ZERO);
    assert_eq!(keys(&reply), ["advice", "channel", "id", "successful"]);
    assert_eq!(reply["channel"], "/meta/connect");
    assert_eq!(reply["id"], "c");
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["advice"], advice("retry", 0, 30_000));
}

#[tokio::test(start_paused = true)]
async fn the_first_connect_is_answered_at_once_whatever_timeout_it_asks_for() {
    let client = Client::handshake(&BayeuxServer::new()).await;
    let (waited, _) = held(&client, json!({ "advice": { "timeout": 20_000 } })).await;
    assert_eq!(waited, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_failed_does_not_count_as_the_first() {
    let client = Client::handshake(&BayeuxServer::new()).await;
    let (_, reply) = held(&client, json!({ "advice": 5 })).await;
    assert_eq!(reply["successful"], false);
    let (waited, _) = held(&client, json!({})).await;
    assert_eq!(waited, Duration::ZERO);
    let (waited, _) = held(&client, json!({})).await;
    assert_eq!(waited, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_in_the_advice_shortens_the_hold_of_that_connect_only() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let (waited, reply) = held(&client, json!({ "advice": { "timeout": 2000 } })).await;
    assert_eq!(waited, Duration::from_secs(2));
    assert_eq!(
        reply["advice"],
        advice("retry", 0, 30_000),
        "the next one is held in full"
    );
    let (waited, _) = held(&client, json!({})).await;
    assert_eq!(waited, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_may_be_a_number_with_decimals() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let (waited, _) = held(&client, json!({ "advice": { "timeout": 1500.0 } })).await;
    assert_eq!(waited, Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_in_the_advice_never_lengthens_the_hold() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for timeout in [json!(30_001), json!(3_600_000), json!(u64::MAX), json!(1e300)] {
        let (waited, reply) = held(&client, json!({ "advice": { "timeout": timeout } })).await;
        assert_eq!(reply["successful"], true, "{timeout}");
        assert_eq!(waited, Duration::from_secs(30), "{timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_zero_is_answered_at_once_with_what_is_queued() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let started = Instant::now();
    assert_eq!(client.poll().await.events(), []);
    server.publish("/a", &1).unwrap();
    let answer = client.poll().await;
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
    assert_eq!(answer.connect_reply()["advice"], advice("retry", 0, 30_000));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn negative_numbers_in_the_advice_count_as_absent() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for number in [json!(-1), json!(-0.5), json!(-1e300), json!(i64::MIN)] {
        let fields = json!({ "advice": { "timeout": number, "interval": number } });
        let (waited, reply) = held(&client, fields).await;
        assert_eq!(waited, Duration::from_secs(30), "{number}");
        assert_eq!(reply["advice"], advice("retry", 0, 30_000), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn advice_without_known_fields_changes_nothing() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for odd in [
        json!({}),
        json!(null),
        json!({ "timeout": null }),
        json!({ "reconnect": "none", "multiple-clients": true, "x": [] }),
    ] {
        let (waited, reply) = held(&client, json!({ "advice": odd })).await;
        assert_eq!(reply["successful"], true, "{odd}");
        assert_eq!(waited, Duration::from_secs(30), "{odd}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_field_repeated_in_the_advice_the_last_counts() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let started = Instant::now();
    let body = format!(
        r#"[{{"channel":"/meta/connect","clientId":"{}","advice":{{"timeout":9000,"timeout":0}}}}]"#,
        client.id
    );
    let reply = client.send_text(body).await.only();
    assert_eq!(reply["successful"], true, "{reply}");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn advice_of_a_wrong_type_fails_that_message_only() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for bad in [
        json!(5),
        json!("0"),
        json!(true),
        json!([]),
        json!([0, 0]),
        json!({ "timeout": "0" }),
        json!({ "timeout": {} }),
        json!({ "interval": [1] }),
        json!({ "interval": true }),
    ] {
        let (waited, reply) = held(&client, json!({ "advice": bad })).await;
        assert_eq!(waited, Duration::ZERO, "{bad}");
        assert_eq!(
            keys(&reply),
            ["advice", "channel", "error", "id", "successful"],
            "{bad}"
        );
        assert_eq!(reply["successful"], false, "{bad}");
        assert_eq!(reply["error"], "400::advice_invalid", "{bad}");
        assert_eq!(reply["advice"]["reconnect"], "retry", "{bad}");
        let interval = reply["advice"]["interval"].as_u64().unwrap();
        assert!(interval >= 1000, "a client that keeps on would storm: {bad}");

        let batch = json!([connect(json!({ "advice": bad })), { "channel": "/a", "data": 1 }]);
        let answer = client.send(batch).await;
        assert_eq!(answer.status, StatusCode::OK);
        let successful: Vec<_> = answer
            .messages()
            .iter()
            .map(|reply| (reply["channel"].clone(), reply["successful"].clone()))
            .collect();
        assert!(successful.contains(&(json!("/a"), json!(true))), "{bad}");
        assert!(successful.contains(&(json!("/meta/connect"), json!(false))), "{bad}");
    }
    assert_eq!(client.poll().await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn advice_of_a_wrong_type_on_other_messages_is_ignored() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for message in [
        json!({ "channel": "/meta/subscribe", "subscription": "/a", "advice": 5 }),
        json!({ "channel": "/a", "advice": [], "ext": 5 }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/a", "advice": { "timeout": "x" }, "ext": [] }),
        json!({ "channel": "/meta/disconnect", "advice": false }),
    ] {
        assert_eq!(client.ask(message.clone()).await["successful"], true, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_the_client_announces_is_reflected_and_ends_with_that_connect() {
    let server = BayeuxServer::builder().interval(Duration::from_millis(100)).build();
    let client = Client::connected(&server).await;
    let (_, reply) = held(&client, json!({ "advice": { "timeout": 0, "interval": 1234 } })).await;
    assert_eq!(reply["advice"], advice("retry", 1234, 30_000));
    let (_, reply) = held(&client, json!({ "advice": { "timeout": 0 } })).await;
    assert_eq!(reply["advice"], advice("retry", 100, 30_000));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_announces_a_pause_is_waited_for() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(10)).build();
    let client = Client::connected(&server).await;
    held(&client, json!({ "advice": { "timeout": 0, "interval": 8000 } })).await;
    pass(Duration::from_secs(17)).await;
    assert_eq!(server.session_count(), 1);
    pass(Duration::from_secs(3)).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_announced_pause_keeps_a_session_for_ever() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(10)).build();
    let client = Client::connected(&server).await;
    held(&client, json!({ "advice": { "timeout": 0, "interval": 1e15 } })).await;
    pass(Duration::from_secs(60)).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connect_in_a_batch_is_never_held_and_its_reply_comes_last() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &"queued").unwrap();
    let started = Instant::now();
    let batch = json!([
        connect(json!({})),
        { "channel": "/meta/subscribe", "id": "s", "subscription": "/b" },
        { "channel": "/a", "id": "p", "data": "own" },
    ]);
    let answer = client.send(batch).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    let summary: Vec<_> = answer
        .messages()
        .iter()
        .map(|message| message.get("id").or(message.get("data")).unwrap().clone())
        .collect();
    assert_eq!(summary, ["queued", "own", "s", "p", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_connect_in_a_batch_is_not_held_though_there_is_nothing_to_say() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let started = Instant::now();
    let batch = json!([{ "channel": "/a", "id": "p" }, connect(json!({ "advice": { "timeout": 9000 } }))]);
    let messages = client.send(batch).await.messages();
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(messages[0]["id"], "p");
    assert_eq!(messages[1]["id"], "c");
}

#[tokio::test(start_paused = true)]
async fn two_connects_in_one_request_are_both_answered_and_deliver_once() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    let started = Instant::now();
    let answer = client
        .send(json!([connect(json!({ "id": 1 })), connect(json!({ "id": 2 }))]))
        .await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(answer.events().len(), 1);
    let messages = answer.messages();
    assert_eq!(messages[0]["data"], 1, "events come before any reply");
    assert_eq!((&messages[1]["id"], &messages[2]["id"]), (&json!(1), &json!(2)));
    assert!(messages[1..].iter().all(|reply| reply["successful"] == true));
}

#[tokio::test(start_paused = true)]
async fn connects_of_two_sessions_in_one_request_are_each_answered() {
    let server = BayeuxServer::new();
    let one = Client::connected(&server).await;
    let two = Client::connected(&server).await;
    let batch = json!([
        connect(json!({ "id": "one" })),
        connect(json!({ "id": "two", "clientId": two.id }))
    ]);
    let messages = one.send(batch).await.messages();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|reply| reply["successful"] == true), "{messages:?}");
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_queued_goes_out_in_one_answer_before_the_reply() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for n in 0..100 {
        server.publish("/a", &n).unwrap();
    }
    let answer = client.connect().await;
    let numbers: Vec<_> = answer.events().into_iter().map(|(_, data)| data).collect();
    assert_eq!(numbers, (0..100).map(Value::from).collect::<Vec<_>>());
    assert_eq!(answer.connect_reply()["successful"], true);
    assert_eq!(server.stats().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn replies_to_other_messages_carry_no_events() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    client.subscribe("/b").await;
    let reply = client.publish("/a", json!(2)).await;
    assert!(reply.get("data").is_none());
    assert_eq!(client.poll().await.events().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn any_connection_type_is_accepted() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for kind in [
        json!("websocket"),
        json!("cross-origin-long-polling"),
        json!("no-such"),
        json!(5),
        json!(null),
    ] {
        let (_, reply) = held(&client, json!({ "connectionType": kind, "advice": { "timeout": 0 } })).await;
        assert_eq!(reply["successful"], true, "{kind}");
    }
    let reply = client
        .ask(json!({ "channel": "/meta/connect", "advice": { "timeout": 0 } }))
        .await;
    assert_eq!(reply["successful"], true, "none at all");
}

#[tokio::test(start_paused = true)]
async fn every_connect_reply_has_full_advice_good_or_bad() {
    let server = BayeuxServer::new();
    let client = Client::handshake(&server).await;
    assert_full_advice(&client.connect().await.connect_reply()); // first
    assert_full_advice(&client.connect().await.connect_reply()); // timed out
    client.subscribe("/a").await;
    server.publish("/a", &1).unwrap();
    assert_full_advice(&client.connect().await.connect_reply()); // with events
    assert_full_advice(&client.ask(connect(json!({ "id": {} }))).await); // bad id
    assert_full_advice(&client.ask(connect(json!({ "advice": 1 }))).await); // bad advice
    assert_full_advice(&client.ask(connect(json!({ "clientId": "x" }))).await); // unknown session
    let older = client.hold().await;
    let newer = client.hold_instead().await;
    assert_full_advice(&older.await.unwrap().connect_reply()); // superseded
    client.disconnect().await;
    assert_full_advice(&newer.await.unwrap().connect_reply()); // disconnected
    assert_full_advice(&client.connect().await.connect_reply()); // gone
}

#[tokio::test(start_paused = true)]
async fn a_lone_connect_in_an_object_is_held_like_one_in_an_array() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let started = Instant::now();
    let body = json!({ "channel": "/meta/connect", "clientId": client.id });
    send(&client.server, post(body.to_string())).await.only();
    assert_eq!(started.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn while_the_server_shuts_down_connects_deliver_and_are_not_held() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.shutdown();
    server.publish("/a", &1).unwrap();
    let started = Instant::now();
    let answer = client.connect().await;
    assert_eq!(answer.events().len(), 1);
    assert_eq!(answer.connect_reply()["successful"], true);
    assert_eq!(answer.connect_reply()["advice"]["reconnect"], "retry");
    client.connect().await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn layers_outside_learn_what_an_answer_was() {
    let server = BayeuxServer::new();
    let client = Client::handshake(&server).await;
    let info = client.connect().await.info.unwrap();
    assert_eq!(info.transport, Transport::LongPolling);
    assert_eq!(info.transport.as_str(), "long-polling");
    assert_eq!(info.outcome, Outcome::Connected(Reason::NotHeld));
    assert_eq!((info.held, info.messages), (Duration::ZERO, 0));

    let subscribe = json!([{ "channel": "/meta/subscribe", "subscription": "/a" }]);
    assert_eq!(client.send(subscribe).await.info.unwrap().outcome, Outcome::Replied);

    let held = client.hold().await;
    pass(Duration::from_secs(3)).await;
    server.publish("/a", &1).unwrap();
    server.publish("/a", &2).unwrap();
    let info = held.await.unwrap().info.unwrap();
    assert_eq!(info.outcome, Outcome::Connected(Reason::Delivered));
    assert_eq!((info.held, info.messages), (Duration::from_secs(3), 2));

    let info = send(&server, post("no bayeux")).await.info.unwrap();
    assert_eq!(info.outcome, Outcome::Refused(StatusCode::BAD_REQUEST));
}

#[tokio::test(start_paused = true)]
async fn layers_outside_learn_nothing_where_that_is_switched_off() {
    let server = BayeuxServer::builder().answer_info(false).build();
    let client = Client::handshake(&server).await;
    assert_eq!(client.connect().await.info, None);
    assert_eq!(send(&server, post("no bayeux")).await.info, None);
}
