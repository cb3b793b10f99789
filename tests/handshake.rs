//! `/meta/handshake` makes a session, whatever the client says about itself.

mod common;

use std::{collections::HashSet, time::Duration};

use common::{Client, advice, keys, send_json};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

async fn handshake(server: &BayeuxServer, fields: Value) -> Value {
    let mut message = json!({ "channel": "/meta/handshake", "id": "1" });
    let fields = fields.as_object().unwrap().clone();
    message.as_object_mut().unwrap().extend(fields);
    send_json(server, json!([message])).await.only()
}

#[tokio::test(start_paused = true)]
async fn the_reply_has_all_that_a_client_needs_and_nothing_else() {
    let reply = handshake(&BayeuxServer::new(), json!({ "version": "1.0" })).await;
    let expected = [
        "advice",
        "channel",
        "clientId",
        "id",
        "minimumVersion",
        "successful",
        "supportedConnectionTypes",
        "version",
    ];
    assert_eq!(keys(&reply), expected);
    assert_eq!(reply["channel"], "/meta/handshake");
    assert_eq!(reply["id"], "1");
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["version"], "1.0");
    assert_eq!(reply["minimumVersion"], "1.0");
    assert_eq!(reply["advice"], advice("retry", 0, 30_000));
}

#[tokio::test(start_paused = true)]
async fn the_connection_types_are_those_that_are_served() {
    let reply = handshake(&BayeuxServer::new(), json!({})).await;
    let types: Vec<_> = reply["supportedConnectionTypes"].as_array().unwrap().clone();
    assert!(types.contains(&json!("long-polling")), "{types:?}");
    assert_eq!(types.contains(&json!("websocket")), cfg!(feature = "websocket"));
    for not_served in ["callback-polling", "eventsource", "in-process"] {
        assert!(!types.contains(&json!(not_served)), "{not_served}");
    }
    let all = BayeuxServer::builder()
        .transports(tower_bayeux::Transports::all())
        .build();
    let reply = handshake(&all, json!({})).await;
    let mut types = vec![
        "eventsource",
        "long-polling",
        "cross-origin-long-polling",
        "callback-polling",
    ];
    if cfg!(feature = "websocket") {
        types.insert(0, "websocket");
    }
    assert_eq!(reply["supportedConnectionTypes"], json!(types));
}

#[tokio::test(start_paused = true)]
async fn the_client_id_is_forty_lower_case_hex_digits() {
    let reply = handshake(&BayeuxServer::new(), json!({})).await;
    let id = reply["clientId"].as_str().unwrap();
    assert_eq!(id.len(), 40);
    assert!(id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{id}");
}

#[tokio::test(start_paused = true)]
async fn no_client_id_is_given_twice() {
    let server = BayeuxServer::new();
    let mut ids = HashSet::new();
    for _ in 0..1000 {
        let reply = handshake(&server, json!({})).await;
        assert!(ids.insert(reply["clientId"].as_str().unwrap().to_owned()));
    }
    assert_eq!(server.session_count(), 1000);
}

#[tokio::test(start_paused = true)]
async fn the_advice_tells_the_configured_timeout_and_interval() {
    let server = BayeuxServer::builder()
        .timeout(Duration::from_millis(12_345))
        .interval(Duration::from_millis(250))
        .build();
    let reply = handshake(&server, json!({})).await;
    assert_eq!(reply["advice"], advice("retry", 250, 12_345));
}

#[tokio::test(start_paused = true)]
async fn any_version_is_accepted() {
    let server = BayeuxServer::new();
    for version in [
        json!("1.0"),
        json!("9.0"),
        json!("1.0beta"),
        json!(""),
        json!(1),
        json!({}),
        json!(null),
    ] {
        for field in ["version", "minimumVersion"] {
            let reply = handshake(&server, json!({ field: version })).await;
            assert_eq!(reply["successful"], true, "{field} {version}");
            assert_eq!(reply["version"], "1.0", "{field} {version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn any_connection_types_are_accepted() {
    let server = BayeuxServer::new();
    for types in [
        json!(["long-polling"]),
        json!(["flash"]),
        json!([]),
        json!("x"),
        json!([5]),
        json!(null),
    ] {
        let reply = handshake(&server, json!({ "supportedConnectionTypes": types })).await;
        assert_eq!(reply["successful"], true, "{types}");
    }
}

#[tokio::test(start_paused = true)]
async fn fields_that_a_handshake_has_no_use_for_are_ignored() {
    let server = BayeuxServer::new();
    for fields in [
        json!({ "advice": { "timeout": 60_000, "interval": 0 } }),
        json!({ "advice": "no object" }),
        json!({ "ext": { "replay": true, "authentication": { "user": "u" } } }),
        json!({ "ext": 5 }),
        json!({ "subscription": 5, "data": [], "x": { "y": 1 } }),
    ] {
        let reply = handshake(&server, fields.clone()).await;
        assert_eq!(reply["successful"], true, "{fields}");
        assert!(reply.get("ext").is_none(), "nobody has agreed on any: {reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_client_id_is_ignored_and_the_old_session_left_alone() {
    let server = BayeuxServer::new();
    let old = Client::connected(&server).await;
    for id in [json!(old.id), json!("gone"), json!(5), json!(null)] {
        let reply = handshake(&server, json!({ "clientId": id })).await;
        assert_eq!(reply["successful"], true, "{id}");
        assert_ne!(reply["clientId"], json!(old.id));
    }
    assert_eq!(old.poll().await.only()["successful"], true);
    assert_eq!(server.session_count(), 5);
}

#[tokio::test(start_paused = true)]
async fn its_reply_is_alone_and_messages_beside_it_are_not_processed() {
    let server = BayeuxServer::new();
    let other = Client::subscribed(&server, "/a").await;
    let hello = json!({ "channel": "/meta/handshake", "id": "h" });
    let publish = json!({ "channel": "/a", "id": "p", "data": 1, "clientId": other.id });
    let subscribe = json!({ "channel": "/meta/subscribe", "subscription": "/b", "clientId": other.id });
    let connect = json!({ "channel": "/meta/connect", "clientId": other.id });
    for batch in [
        json!([hello, publish, subscribe]),
        json!([publish, subscribe, hello]),
        json!([connect, hello, {}]),
    ] {
        let answer = send_json(&server, batch.clone()).await;
        assert_eq!(answer.status, StatusCode::OK);
        let reply = answer.only();
        assert_eq!(reply["channel"], "/meta/handshake", "{batch}");
        assert_eq!(reply["successful"], true, "{batch}");
    }
    assert_eq!(other.poll().await.events(), []);
    assert_eq!(server.subscriber_count("/b"), 0);
}

#[tokio::test(start_paused = true)]
async fn two_handshakes_in_one_request_make_one_session() {
    let server = BayeuxServer::new();
    let hello = |id| json!({ "channel": "/meta/handshake", "id": id });
    let reply = send_json(&server, json!([hello("1"), hello("2")])).await.only();
    assert_eq!(reply["id"], "1");
    assert_eq!(server.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_may_come_as_a_single_object() {
    let answer = send_json(&BayeuxServer::new(), json!({ "channel": "/meta/handshake" })).await;
    assert_eq!(answer.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn an_id_of_a_wrong_type_is_refused_for_good_and_makes_no_session() {
    let server = BayeuxServer::new();
    for id in [json!(true), json!([]), json!({})] {
        let answer = send_json(&server, json!([{ "channel": "/meta/handshake", "id": id }])).await;
        let reply = answer.only();
        assert_eq!(reply["successful"], false);
        assert_eq!(reply["error"], "405::message_id_invalid");
        assert_eq!(reply["advice"]["reconnect"], "none");
        assert!(reply.get("clientId").is_none() && reply.get("id").is_none(), "{reply}");
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
    }
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_server_shuts_down_clients_are_sent_away_with_a_pause() {
    let server = BayeuxServer::builder().shutdown_jitter(Duration::from_secs(3)).build();
    server.shutdown();
    let mut intervals = HashSet::new();
    for _ in 0..20 {
        let answer = send_json(&server, json!([{ "channel": "/meta/handshake", "id": 7 }])).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
        let reply = answer.only();
        assert_eq!(keys(&reply), ["advice", "channel", "error", "id", "successful"]);
        assert_eq!(reply["id"], 7);
        assert_eq!(reply["successful"], false);
        assert_eq!(reply["error"], "403::handshake_denied");
        assert_eq!(reply["advice"]["reconnect"], "handshake");
        assert_eq!(reply["advice"]["timeout"], 30_000);
        let interval = reply["advice"]["interval"].as_u64().unwrap();
        assert!((1000..=10_000).contains(&interval), "no storm, no exile: {interval}");
        intervals.insert(interval);
    }
    assert!(intervals.len() > 1, "clients are spread over the jitter: {intervals:?}");
    assert_eq!(server.session_count(), 0);
}
