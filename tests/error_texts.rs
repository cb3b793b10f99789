//! The `error` texts of replies: CometD's, Faye's, Salesforce's, or the application's own.

mod common;

use common::{Client, send_json};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxError, BayeuxServer, ErrorTexts, PolicyRequest, SecurityPolicy, Verdict};

async fn client(texts: ErrorTexts) -> Client {
    let server = BayeuxServer::builder().error_texts(texts).max_subscriptions(1).build();
    Client::connected(&server).await
}

/// Each failure there is a text for, as a message that leads to it.
fn failures() -> [(&'static str, Value); 14] {
    let subscribe = |channel: Value| json!({ "channel": "/meta/subscribe", "subscription": channel });
    let unsubscribe = |channel: Value| json!({ "channel": "/meta/unsubscribe", "subscription": channel });
    [
        ("channel missing", json!({ "data": 1 })),
        ("channel invalid", json!({ "channel": "/a//b" })),
        ("publish to a pattern", json!({ "channel": "/a/*" })),
        ("id invalid", json!({ "channel": "/a", "id": {} })),
        ("session unknown", json!({ "channel": "/a", "clientId": "nobody" })),
        ("no client id", json!({ "channel": "/a", "clientId": null })),
        ("subscription missing", json!({ "channel": "/meta/subscribe" })),
        ("subscription invalid", subscribe(json!("/a/*/b"))),
        ("subscription not text", subscribe(json!(5))),
        ("meta pattern", subscribe(json!("/meta/*"))),
        ("meta channel", subscribe(json!("/meta/connect"))),
        ("too many", subscribe(json!(["/a", "/b"]))),
        ("unsubscribe meta", unsubscribe(json!("/meta/connect"))),
        ("unknown meta", json!({ "channel": "/meta/x" })),
    ]
}

async fn assert_texts(texts: ErrorTexts, expected: &[(&str, &str)]) {
    let client = client(texts).await;
    let mut wrong = Vec::new();
    for (case, message) in failures() {
        let reply = client.ask(message).await;
        assert_eq!(reply["successful"], false, "{case}");
        let error = reply["error"].as_str().unwrap().to_owned();
        if let Some((_, text)) = expected.iter().find(|(name, _)| *name == case)
            && *text != error
        {
            wrong.push(format!("{case}: got {error:?}, expected {text:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const COMETD: [(&str, &str); 14] = [
    ("channel missing", "400::channel_missing"),
    ("channel invalid", "405::channel_invalid"),
    ("publish to a pattern", "405::channel_invalid"),
    ("id invalid", "405::message_id_invalid"),
    ("session unknown", "402::session_unknown"),
    ("no client id", "402::session_unknown"),
    ("subscription missing", "403::subscription_missing"),
    ("subscription invalid", "403::subscription_invalid"),
    ("subscription not text", "403::subscription_invalid"),
    ("meta pattern", "403:denied_by_security_policy:create_denied"),
    ("meta channel", "403:denied_by_security_policy:subscribe_denied"),
    ("too many", "403::subscribe_failed"),
    ("unsubscribe meta", "403::unsubscribe_failed"),
    ("unknown meta", "403:denied_by_security_policy:channel_create_denied"),
];

#[tokio::test(start_paused = true)]
async fn by_default_they_are_those_of_cometd() {
    assert_texts(ErrorTexts::default(), &COMETD).await;
    assert_texts(ErrorTexts::cometd(), &COMETD).await;
}

#[tokio::test(start_paused = true)]
async fn they_may_be_those_of_faye() {
    let expected = [
        ("channel invalid", "405:/a//b:Invalid channel"),
        ("publish to a pattern", "405:/a/*:Invalid channel"),
        ("session unknown", "401:nobody:Unknown client"),
        ("subscription missing", "402:subscription:Missing required parameter"),
        ("subscription invalid", "405:/a/*/b:Invalid channel"),
        ("meta pattern", "403:/meta/*:Forbidden channel"),
        ("meta channel", "403:/meta/connect:Forbidden channel"),
        ("unknown meta", "403:/meta/x:Forbidden channel"),
    ];
    assert_texts(ErrorTexts::faye(), &expected).await;
}

#[tokio::test(start_paused = true)]
async fn faye_calls_a_missing_channel_an_invalid_one() {
    assert_texts(ErrorTexts::faye(), &[("channel missing", "405::Invalid channel")]).await;
}

#[tokio::test(start_paused = true)]
async fn salesforce_clients_get_the_texts_that_they_look_for() {
    let expected: Vec<_> = COMETD
        .into_iter()
        .map(|(case, text)| (case, text.replace("402::session_unknown", "403::Unknown client")))
        .collect();
    let expected: Vec<_> = expected.iter().map(|(case, text)| (*case, &**text)).collect();
    assert_texts(ErrorTexts::salesforce(), &expected).await;
}

/// The policy of the README.
struct Tokens;

impl SecurityPolicy for Tokens {
    async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
        match request.request().headers.get("authorization") {
            Some(token) if token == "OAuth s3cret" => Verdict::grant(),
            _ => Verdict::deny().with_ext("sfdc", &json!({ "failureReason": "401::Authentication invalid" })),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn salesforce_clients_that_are_not_let_in_learn_why() {
    let server = BayeuxServer::builder()
        .error_texts(ErrorTexts::salesforce())
        .security_policy(Tokens)
        .build();
    let reply = send_json(
        &server,
        json!([{ "channel": "/meta/handshake", "ext": { "replay": true } }]),
    )
    .await
    .only();
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "403::Handshake denied");
    assert_eq!(
        reply["ext"],
        json!({ "sfdc": { "failureReason": "401::Authentication invalid" } })
    );
    assert_eq!(reply["advice"]["reconnect"], "none");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_texts_an_unknown_session_is_advised_to_handshake() {
    for texts in [ErrorTexts::cometd(), ErrorTexts::faye(), ErrorTexts::salesforce()] {
        let client = client(texts).await;
        client.disconnect().await;
        let reply = client.connect().await.only();
        assert_eq!(reply["advice"]["reconnect"], "handshake");
        assert_eq!(reply["advice"]["interval"], 2_000, "it was made just now");
    }
}

#[tokio::test(start_paused = true)]
async fn single_texts_may_be_replaced_and_say_what_failed() {
    let texts = ErrorTexts::cometd()
        .with(BayeuxError::SessionUnknown, "499:{client_id}:who?")
        .with(BayeuxError::ChannelInvalid, "498:{channel},{reason}:what?")
        .with(BayeuxError::SubscribeDenied, String::from("497:{channel}:{reason}"));
    let expected = [
        ("session unknown", "499:nobody:who?"),
        ("no client id", "499::who?"),
        ("channel invalid", "498:/a//b,:what?"),
        ("meta channel", "497:/meta/connect:denied_by_security_policy"),
        ("subscription missing", "403::subscription_missing"),
    ];
    assert_texts(texts, &expected).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sends_is_never_taken_for_a_placeholder() {
    let client = client(ErrorTexts::faye()).await;
    for channel in ["/a/{client_id}//b", "/{reason}//b", "/{channel}//b"] {
        let reply = client.ask(json!({ "channel": channel })).await;
        assert_eq!(reply["error"], format!("405:{channel}:Invalid channel"));
    }
    let reply = client
        .ask(json!({ "channel": "/a", "clientId": "{channel}\"\\" }))
        .await;
    assert_eq!(reply["error"], "401:{channel}\"\\:Unknown client");
}

#[tokio::test(start_paused = true)]
async fn a_refused_handshake_has_a_text_too() {
    let texts = ErrorTexts::salesforce().with(BayeuxError::HandshakeDenied, "401::Authentication invalid");
    let server = BayeuxServer::builder().error_texts(texts).build();
    server.shutdown();
    let reply = send_json(&server, json!([{ "channel": "/meta/handshake" }]))
        .await
        .only();
    assert_eq!(reply["error"], "401::Authentication invalid");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_overflows_while_held_is_told_in_the_same_words() {
    let server = BayeuxServer::builder()
        .error_texts(ErrorTexts::faye())
        .max_queue_messages(1)
        .build();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    server.publish("/a", &1).unwrap();
    server.publish("/a", &2).unwrap();
    let reply = held.await.unwrap().only();
    assert_eq!(reply["error"], format!("401:{}:Unknown client", client.id));
}
