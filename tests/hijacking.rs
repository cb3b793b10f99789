//! Who knows a `clientId` but has not its browser's cookie can neither use the session nor learn of it, whatever the message
//! and the transport; and nobody finds an id by guessing.

mod common;

use std::{collections::HashSet, time::Duration};

use common::{Answer, BASE, Client, pass, post, send};
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, BrowserBinding, ClientId, LocalSession, Transports};

const STRANGER: &str = "BAYEUX_BROWSER=ffffffffffffffffffffffffffffffffffffff00";

/// A client that has returned its cookie, hears `/secret`, and has a message waiting.
async fn victim(server: &BayeuxServer) -> Client {
    let answer = common::send_json(server, json!([{ "channel": "/meta/handshake" }])).await;
    let client = Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: answer.new_cookie(),
    };
    client.connect().await;
    client.subscribe("/secret").await;
    server.publish("/secret", &"for the victim alone").unwrap();
    client
}

async fn all_transports() -> (BayeuxServer, LocalSession) {
    let server = BayeuxServer::builder().transports(Transports::all()).build();
    let mut listener = server.local_session().handshake().await.unwrap();
    listener.subscribe("/**").await.unwrap();
    server.publish("/ready", &1).unwrap();
    listener.recv().await.unwrap();
    (server, listener)
}

/// Everything that a client can do with a session.
fn messages(id: &str) -> Vec<Value> {
    let message = |channel: &str, more: Value| {
        let mut message = json!({ "channel": channel, "clientId": id, "id": "1", "connectionType": "long-polling" });
        message
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        message
    };
    vec![
        message("/meta/connect", json!({})),
        message("/meta/connect", json!({ "advice": { "timeout": 0 } })),
        message("/meta/connect", json!({ "connectionType": "eventsource" })),
        message("/meta/connect", json!({ "ext": { "ack": 0 } })),
        message("/meta/subscribe", json!({ "subscription": "/more" })),
        message("/meta/unsubscribe", json!({ "subscription": "/secret" })),
        message("/meta/disconnect", json!({})),
        message("/meta/other", json!({})),
        message("/public", json!({ "data": "forged" })),
        message("/service/x", json!({ "data": "forged" })),
    ]
}

fn with_cookie(mut request: Request<Full<bytes::Bytes>>, cookie: Option<&str>) -> Request<Full<bytes::Bytes>> {
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    }
    request
}

fn jsonp(messages: &Value) -> Request<Full<bytes::Bytes>> {
    let query: String = form_urlencoded(&messages.to_string());
    Request::get(format!("{BASE}?jsonp=f&message={query}"))
        .body(Full::default())
        .unwrap()
}

fn form_urlencoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[track_caller]
fn assert_learns_nothing(answer: &Answer, what: &Value) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains("for the victim"), "{what}: {text}");
    assert!(text.contains("402::session_unknown"), "{what}: {text}");
    assert!(!text.contains("\"successful\":true"), "{what}: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_can_do_nothing_with_a_session_by_any_message_or_transport() {
    for cookie in [None, Some(STRANGER), Some("BAYEUX_BROWSER=x"), Some("BAYEUX_BROWSER=")] {
        let (server, mut listener) = all_transports().await;
        let victim = victim(&server).await;
        listener.recv().await.unwrap();
        for message in messages(&victim.id) {
            for batch in [json!([message]), json!([message, message])] {
                let answer = send(&server, with_cookie(post(batch.to_string()), cookie)).await;
                assert_learns_nothing(&answer, &batch);
                let answer = send(&server, with_cookie(jsonp(&batch), cookie)).await;
                assert_learns_nothing(&answer, &batch);
            }
        }
        let stream = Request::get(format!("{BASE}/{}", victim.id))
            .header(header::ACCEPT, "text/event-stream")
            .body(Full::default())
            .unwrap();
        let answer = send(&server, with_cookie(stream, cookie)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);

        assert_eq!(victim.session().subscriptions(), ["/secret"]);
        let events = victim.connect().await.events();
        assert_eq!(events, [("/secret".to_owned(), json!("for the victim alone"))]);
        server.publish("/end", &1).unwrap();
        assert_eq!(listener.recv().await.unwrap().channel(), Some("/end".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_neither_ends_a_held_connect_nor_prolongs_a_session() {
    let (server, _listener) = all_transports().await;
    let victim = victim(&server).await;
    victim.connect().await;
    let held = victim.hold().await;
    for message in messages(&victim.id) {
        send(&server, with_cookie(post(json!([message]).to_string()), Some(STRANGER))).await;
    }
    assert!(!held.is_finished());
    server.publish("/secret", &2).unwrap();
    assert_eq!(held.await.unwrap().events(), [("/secret".to_owned(), json!(2))]);
    for _ in 0..32 {
        pass(Duration::from_secs(1)).await;
        for message in messages(&victim.id) {
            send(&server, with_cookie(post(json!([message]).to_string()), Some(STRANGER))).await;
        }
    }
    assert!(server.session(&victim.client_id()).is_none());
}

/// A handshake that names a session is one like any other.
#[tokio::test(start_paused = true)]
async fn a_handshake_with_the_id_of_a_session_makes_another_one() {
    let server = BayeuxServer::new();
    let victim = victim(&server).await;
    let handshake = json!([{ "channel": "/meta/handshake", "clientId": victim.id }]);
    let answer = send(&server, with_cookie(post(handshake.to_string()), Some(STRANGER))).await;
    assert_ne!(answer.only()["clientId"], victim.id);
    assert_eq!(victim.connect().await.events().len(), 1);
}

/// An extension or a policy is not told whose session it would be.
#[tokio::test(start_paused = true)]
async fn where_the_cookie_is_required_a_session_can_not_be_used_before_its_first_return_either() {
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Required)
        .build();
    let client = Client::handshake(&server).await;
    for message in messages(&client.id) {
        let answer = send(&server, post(json!([message]).to_string())).await;
        assert_learns_nothing(&answer, &message);
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_that_differs_in_one_digit_is_unknown() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for at in 0..client.id.len() {
        let mut id = client.id.clone().into_bytes();
        id[at] = if id[at] == b'0' { b'1' } else { b'0' };
        let guess = Client {
            id: String::from_utf8(id).unwrap(),
            ..client.clone()
        };
        assert_eq!(guess.publish("/a", json!(1)).await["error"], "402::session_unknown");
    }
}

/// The last 24 digits of 40 are from the operating system: no two alike, and each bit as often set as not.
#[tokio::test(start_paused = true)]
async fn ids_can_not_be_guessed_from_others() {
    let server = BayeuxServer::new();
    let mut seen = HashSet::new();
    let mut set = [0_u32; 96];
    for _ in 0..2000 {
        let id = Client::handshake(&server).await.id;
        assert!(id.parse::<ClientId>().is_ok());
        let random = u128::from_str_radix(&id[16..], 16).unwrap();
        for (bit, count) in set.iter_mut().enumerate() {
            *count += u32::from(random >> bit & 1 == 1);
        }
        assert!(seen.insert(random));
    }
    // Ten standard deviations.
    for (bit, count) in set.into_iter().enumerate() {
        assert!((776..1224).contains(&count), "bit {bit}: {count} of 2000");
    }
}
