//! A security policy decides what clients may do.

mod common;

use std::time::Duration;

use common::{Client, pass, post, send, send_json};
use serde_json::{Value, json};
use tower_bayeux::{Advice, BayeuxServer, Event, PolicyRequest, Reconnect, SecurityPolicy, Verdict};

/// An attribute.
struct User(&'static str);

/// Does what the message's `data`, or the handshake's `ext`, tells it to.
struct Told;

impl SecurityPolicy for Told {
    async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
        let ext: Value = request.ext().unwrap_or_default();
        match ext["say"].as_str() {
            Some("no") => Verdict::deny(),
            Some("later") => Verdict::deny_because("busy")
                .with_ext("queue", &7)
                .with_advice(Advice::new(
                    Reconnect::Handshake,
                    Duration::from_secs(9),
                    Duration::ZERO,
                )),
            Some("user") => Verdict::grant().with_attribute(User("ada")).with_attribute(7_u32),
            Some("welcome") => Verdict::grant().with_ext("user", "ada"),
            _ => Verdict::grant(),
        }
    }

    async fn can_create(&self, request: PolicyRequest<'_>) -> Verdict {
        if request.channel().starts_with("/closed") {
            return Verdict::deny();
        }
        Verdict::grant()
    }

    async fn can_subscribe(&self, request: PolicyRequest<'_>) -> Verdict {
        let is_admin = request.request().headers.contains_key("x-admin");
        if request.channel().starts_with("/secret") && !is_admin {
            return Verdict::deny_because("not_for_you").with_ext("hint", "ask an admin");
        }
        Verdict::grant()
    }

    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        match request.data::<String>().as_deref() {
            Ok("wait") => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Verdict::grant()
            }
            Ok("panic") => panic!("in a policy"),
            Ok("spam") => Verdict::deny_because("spam"),
            _ => Verdict::grant(),
        }
    }
}

fn server() -> BayeuxServer {
    BayeuxServer::builder().security_policy(Told).build()
}

async fn handshake(server: &BayeuxServer, say: &str) -> Value {
    send_json(
        server,
        json!([{ "channel": "/meta/handshake", "id": "1", "ext": { "say": say } }]),
    )
    .await
    .only()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_denied_gets_no_session_and_is_told_to_stay_away() {
    let server = server();
    let answer = send_json(
        &server,
        json!([{ "channel": "/meta/handshake", "ext": { "say": "no" } }]),
    )
    .await;
    assert!(answer.new_cookie().is_none());
    let reply = answer.only();
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "403::handshake_denied");
    assert_eq!(reply["advice"]["reconnect"], "none");
    assert!(reply.get("clientId").is_none());
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_verdict_may_put_ext_and_advice_into_the_handshake_reply() {
    let server = server();
    let reply = handshake(&server, "later").await;
    assert_eq!(reply["ext"], json!({ "queue": 7 }));
    assert_eq!(
        reply["advice"],
        json!({ "reconnect": "handshake", "interval": 9000, "timeout": 0 })
    );
    let reply = handshake(&server, "welcome").await;
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["ext"], json!({ "user": "ada" }));
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert!(handshake(&server, "hello").await.get("ext").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_is_denied_is_not_made_and_none_of_its_array_is() {
    let server = server();
    let client = Client::connected(&server).await;
    let subscription = json!(["/open", "/secret/a"]);
    let reply = client
        .send(json!([{ "channel": "/meta/subscribe", "subscription": subscription }]))
        .await
        .only();
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "403:not_for_you:subscribe_denied");
    assert_eq!(reply["ext"], json!({ "hint": "ask an admin" }));
    assert_eq!(reply["subscription"], subscription);
    assert!(reply.get("advice").is_none());
    assert!(server.channels().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_policy_sees_the_http_request() {
    let server = server();
    let client = Client::connected(&server).await;
    let message = json!([{ "channel": "/meta/subscribe", "clientId": client.id, "subscription": "/secret/a" }]);
    let mut request = post(message.to_string());
    request.headers_mut().insert("x-admin", "yes".parse().unwrap());
    assert_eq!(send(&server, request).await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn only_the_first_on_a_channel_creates_it() {
    let server = server();
    let client = Client::connected(&server).await;
    let subscribe = json!([{ "channel": "/meta/subscribe", "subscription": "/closed" }]);
    let reply = client.send(subscribe.clone()).await.only();
    assert_eq!(reply["error"], "403:denied_by_security_policy:create_denied");
    let reply = client.publish("/closed", json!(1)).await;
    assert_eq!(reply["error"], "403:denied_by_security_policy:channel_create_denied");

    let _exists = server.subscribe("/closed").unwrap();
    assert_eq!(client.send(subscribe).await.only()["successful"], true);
    assert_eq!(client.publish("/closed", json!(1)).await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_is_denied_reaches_nobody_and_the_session_goes_on() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let reply = client.publish("/a", json!("spam")).await;
    assert_eq!(reply["error"], "403:spam:publish_denied");
    assert_eq!(client.publish("/a", json!("fine")).await["successful"], true);
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!("fine"))]);
}

#[tokio::test(start_paused = true)]
async fn service_channels_are_asked_about_too() {
    let server = server();
    let client = Client::connected(&server).await;
    assert_eq!(
        client.publish("/service/x", json!("spam")).await["error"],
        "403:spam:publish_denied"
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_takes_its_time_delays_its_own_request_only() {
    let server = server();
    let slow = Client::subscribed(&server, "/a").await;
    let publishing = tokio::spawn({
        let slow = slow.clone();
        async move { slow.publish("/a", json!("wait")).await }
    });
    pass(Duration::from_secs(1)).await;
    let other = Client::subscribed(&server, "/a").await;
    assert_eq!(other.publish("/a", json!("quick")).await["successful"], true);
    assert_eq!(slow.poll().await.events(), [("/a".to_owned(), json!("quick"))]);
    assert!(!publishing.is_finished());
    assert_eq!(publishing.await.unwrap()["successful"], true);
    assert_eq!(slow.poll().await.events(), [("/a".to_owned(), json!("wait"))]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_costs_its_own_request_only() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let publishing = tokio::spawn({
        let client = client.clone();
        async move { client.publish("/a", json!("panic")).await }
    });
    assert!(publishing.await.unwrap_err().is_panic());
    assert_eq!(client.publish("/a", json!("fine")).await["successful"], true);
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!("fine"))]);
}

/// Calls the server from within its own question.
struct Reentrant(std::sync::OnceLock<BayeuxServer>);

impl SecurityPolicy for &'static Reentrant {
    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        if let (Some(server), Some(session)) = (self.0.get(), request.session()) {
            server.publish("/audit", &request.channel()).unwrap();
            session.deliver("/audit", &"you").unwrap();
            if request.channel() == "/kick" {
                session.disconnect();
            }
            let _ = (server.sessions(), server.channels(), session.subscriptions());
        }
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_may_call_the_server_and_end_the_session_that_asks() {
    static POLICY: Reentrant = Reentrant(std::sync::OnceLock::new());
    let server = BayeuxServer::builder().security_policy(&POLICY).build();
    let _ = POLICY.0.set(server.clone());
    let mut events = server.events();
    let client = Client::subscribed(&server, "/audit").await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    let heard = [("/audit".to_owned(), json!("/a")), ("/audit".to_owned(), json!("you"))];
    assert_eq!(client.poll().await.events(), heard);
    client.publish("/kick", json!(1)).await;
    assert_eq!(client.poll().await.connect_reply()["advice"]["reconnect"], "none");
    let mut last = None;
    while let Some(Some(event)) = futures_util::FutureExt::now_or_never(events.recv()) {
        last = Some(event);
    }
    assert!(matches!(last, Some(Event::SessionRemoved { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_verdict_may_attach_attributes_before_anybody_hears_of_the_session() {
    let server = BayeuxServer::builder().security_policy(Told).build();
    let mut events = server.events();
    send_json(
        &server,
        json!([{ "channel": "/meta/handshake", "ext": { "say": "user" } }]),
    )
    .await;
    let Some(Event::SessionAdded { session, .. }) = events.recv().await else {
        panic!("no session");
    };
    assert_eq!(session.attribute::<User>().unwrap().0, "ada");
    assert_eq!(session.attribute::<u32>().as_deref(), Some(&7));
}
