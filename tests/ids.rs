//! The `id` of a message comes back in its reply exactly as it was sent.

mod common;

use common::{Client, post, send};
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

const IDS: [&str; 16] = [
    "\"1\"",
    "\"0\"",
    "\"\"",
    "0",
    "1",
    "-1",
    "1.50",
    "1e3",
    "123456789012345678901234567890",
    "\"with space\"",
    "\"\u{e4}\u{1f600}\"",
    r#""\u00e4\"\\\/""#,
    "\"null\"",
    "\"<script>\"",
    "\"a-b_c.d\"",
    "-0",
];

/// The other fields of one message of each kind.
fn kinds(client_id: &str) -> Vec<String> {
    [
        r#""channel":"/a""#,
        r#""channel":"/service/a""#,
        r#""channel":"/meta/subscribe","subscription":"/x""#,
        r#""channel":"/meta/unsubscribe","subscription":"/x""#,
        r#""channel":"/meta/connect","advice":{"timeout":0}"#,
        // Failures echo it too.
        r#""channel":"/meta/subscribe""#,
        r#""channel":"/meta/subscribe","subscription":"/meta/connect""#,
        r#""channel":"/meta/connect","advice":5"#,
        r#""channel":"/meta/x""#,
        r#""channel":"no slash""#,
        r#""channel":5"#,
        r#""data":"no channel""#,
    ]
    .iter()
    .map(|fields| format!(r#"{fields},"clientId":"{client_id}""#))
    .chain([
        r#""channel":"/meta/handshake""#.to_owned(),
        r#""channel":"/meta/connect","clientId":"unknown""#.to_owned(),
        r#""channel":"/a""#.to_owned(),
        r#""channel":"/meta/disconnect""#.to_owned(),
    ])
    .collect()
}

#[tokio::test(start_paused = true)]
async fn an_id_comes_back_letter_by_letter_whatever_became_of_the_message() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for kind in kinds(&client.id) {
        for id in IDS {
            let answer = send(&server, post(format!(r#"[{{"id":{id},{kind}}}]"#))).await;
            let text = std::str::from_utf8(&answer.body).unwrap();
            let echo = format!(r#""id":{id}"#);
            assert!(
                text.contains(&format!("{echo},")) || text.contains(&format!("{echo}}}")),
                "{id} {kind}: {text}"
            );
            answer.only();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_was_no_id_there_is_none_in_the_reply() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for kind in kinds(&client.id) {
        for absent in ["", r#""id":null,"#] {
            let reply = send(&server, post(format!("[{{{absent}{kind}}}]"))).await.only();
            assert!(reply.get("id").is_none(), "{kind}: {reply}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_neither_text_nor_number_fails_its_own_message_only() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for bad in [
        json!(true),
        json!(false),
        json!({}),
        json!([]),
        json!(["1"]),
        json!({ "id": 1 }),
    ] {
        let batch = json!([
            { "channel": "/a", "id": "1", "data": 1 },
            { "channel": "/a", "id": bad, "data": 2 },
            { "channel": "/a", "id": 3, "data": 3 },
        ]);
        let replies = client.send(batch).await.messages();
        assert_eq!(replies[1]["successful"], false, "{bad}");
        assert_eq!(replies[1]["error"], "405::message_id_invalid", "{bad}");
        assert_eq!(replies[1]["channel"], "/a", "{bad}");
        assert!(replies[1].get("id").is_none(), "{bad}");
        assert_eq!((&replies[0]["id"], &replies[2]["id"]), (&json!("1"), &json!(3)));
        let data: Vec<_> = client.poll().await.events().into_iter().map(|(_, data)| data).collect();
        assert_eq!(data, [json!(1), json!(3)], "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_request_may_share_an_id_and_are_answered_each() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let batch: Value = (0..5).map(|_| json!({ "channel": "/a", "id": "same" })).collect();
    let replies = client.send(batch).await.messages();
    assert_eq!(replies.len(), 5);
    assert!(replies.iter().all(|reply| reply["id"] == "same"));
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_is_answered_with_its_own_id() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for id in [json!(17), json!("0"), json!("")] {
        let reply = client.ask(json!({ "channel": "/meta/connect", "id": id })).await;
        assert_eq!(reply["id"], id);
    }
    let reply = client.ask(json!({ "channel": "/meta/connect" })).await;
    assert!(reply.get("id").is_none());
}

#[tokio::test(start_paused = true)]
async fn no_event_carries_the_id_of_its_publisher() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for id in IDS {
        let body = format!(r#"[{{"channel":"/a","id":{id},"clientId":"{}","data":1}}]"#, client.id);
        client.send_text(body).await;
    }
    let messages = client.poll().await.messages();
    assert_eq!(messages.len(), IDS.len() + 1);
    for event in &messages[..IDS.len()] {
        assert_eq!(event, &json!({ "channel": "/a", "data": 1 }));
    }
}
