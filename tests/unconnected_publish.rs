//! Backends that POST a message once and never handshake.

mod common;

use common::{Client, post, send, send_json};
use http::header;
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, PolicyRequest, SecurityPolicy, Verdict};

struct WithToken;

impl SecurityPolicy for WithToken {
    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        let token = request.request().headers.get(header::AUTHORIZATION);
        if request.session().is_none() && token.is_none_or(|token| token != "Bearer backend") {
            return Verdict::deny_because("no_token");
        }
        Verdict::grant()
    }
}

async fn publish(server: &BayeuxServer, fields: Value) -> Value {
    send_json(server, json!([fields])).await.only()
}

#[tokio::test(start_paused = true)]
async fn it_is_off_by_default() {
    let reply = publish(&BayeuxServer::new(), json!({ "channel": "/a", "data": 1 })).await;
    assert_eq!(reply["error"], "402::session_unknown");
}

#[tokio::test(start_paused = true)]
async fn turned_on_a_message_without_client_id_is_published() {
    let server = BayeuxServer::builder().unconnected_publish(true).build();
    let client = Client::subscribed(&server, "/a").await;
    let mut heard = server.subscribe("/a").unwrap();
    let reply = publish(&server, json!({ "channel": "/a", "data": 1, "id": 7 })).await;
    assert_eq!(reply, json!({ "channel": "/a", "id": 7, "successful": true }));
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(1))]);
    assert!(heard.recv().await.unwrap().sender().is_none());
    assert_eq!(server.session_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_id_that_is_given_must_be_right() {
    let server = BayeuxServer::builder().unconnected_publish(true).build();
    for client_id in [json!("nobody"), json!(5), json!({})] {
        let reply = publish(&server, json!({ "channel": "/a", "data": 1, "clientId": client_id })).await;
        assert_eq!(reply["error"], "402::session_unknown");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_else_works_without_a_session() {
    let server = BayeuxServer::builder().unconnected_publish(true).build();
    for channel in [
        "/meta/connect",
        "/meta/subscribe",
        "/meta/unsubscribe",
        "/meta/disconnect",
        "/meta/x",
    ] {
        let reply = publish(&server, json!({ "channel": channel, "subscription": "/a" })).await;
        assert_eq!(reply["error"], "402::session_unknown", "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_decides() {
    let server = BayeuxServer::builder()
        .unconnected_publish(true)
        .security_policy(WithToken)
        .build();
    let message = json!([{ "channel": "/a", "data": 1 }]).to_string();
    let reply = send(&server, post(message.clone())).await.only();
    assert_eq!(reply["error"], "403:no_token:publish_denied");
    let mut request = post(message);
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, "Bearer backend".parse().unwrap());
    assert_eq!(send(&server, request).await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn a_form_as_curl_sends_it_will_do() {
    let server = BayeuxServer::builder().unconnected_publish(true).build();
    let client = Client::subscribed(&server, "/a").await;
    let form = "message=%7B%22channel%22%3A%22%2Fa%22%2C%22data%22%3A%22hi%22%7D";
    assert_eq!(send(&server, post(form)).await.only()["successful"], true);
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!("hi"))]);
}
