//! What is logged at level info and above holds no ids, no cookies and nothing that clients say.
#![cfg(all(feature = "tracing", feature = "websocket"))]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Client, pass, poll_once, post, send, send_json};
use http::header;
use serde_json::json;
use tower_bayeux::{
    Authorization, BayeuxServer, MessageRate, Operation, PolicyRequest, Transport, Transports, Trouble, call::Data,
};
use tracing::{Level, subscriber::DefaultGuard};

const SECRET: &str = "a secret of the client";

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Logs what this thread has to say.
    fn of_this_thread(level: Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Everything that goes wrong, and much that goes well; returns all that must stay secret.
async fn scenario(server: &BayeuxServer) -> Vec<String> {
    server
        .service("/service/panics", |Data(text): Data<String>| async move {
            assert!(text.is_empty(), "{text}");
        })
        .unwrap();
    let mut secrets = vec![SECRET.to_owned()];
    let answer = send_json(
        server,
        json!([{ "channel": "/meta/handshake", "ext": { "token": SECRET } }]),
    )
    .await;
    let cookie = answer.new_cookie().unwrap();
    let client = Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: Some(cookie.clone()),
    };
    secrets.push(cookie.rsplit_once('=').unwrap().1.to_owned());
    secrets.push(client.id.clone());
    client.connect().await;
    client.subscribe("/a-secret-of-the-client/*").await;
    secrets.push("/a-secret-of-the-client".to_owned());
    client.publish("/a-secret-of-the-client/1", json!(SECRET)).await;
    client.publish("/service/panics", json!(SECRET)).await;

    // Its answer is dropped after a newer one: what was in it is lost.
    let lost = common::start(server, with_cookie(&client, json!([{ "channel": "/meta/connect" }]))).await;
    server.publish("/a-secret-of-the-client/2", &SECRET).unwrap();
    client.connect().await;
    drop(lost);

    // Refused in every way.
    client.send_text(format!("[{SECRET}")).await;
    client.publish(SECRET, json!(SECRET)).await;
    let stranger = Client {
        cookie: Some(format!("BAYEUX_BROWSER={}", "f0".repeat(20))),
        ..client.clone()
    };
    secrets.push("f0".repeat(20));
    secrets.push("0e".repeat(20));
    for _ in 0..10 {
        stranger.publish("/a", json!(SECRET)).await;
    }
    pass(Duration::from_secs(61)).await;
    for _ in 0..200 {
        let connect = json!([{ "channel": "/meta/connect", "clientId": "0e".repeat(20), "ext": SECRET }]);
        send_json(server, connect).await;
    }
    // Every trouble.
    let client = Client::connected(server).await;
    secrets.push(client.id.clone());
    for _ in 0..8 {
        let mut held = client.start_held();
        pass(Duration::from_secs(15)).await;
        assert!(poll_once(&mut held).is_pending());
    }
    for _ in 0..80 {
        client.poll().await;
    }
    socket::request_without_upgrades(server).await;
    for _ in 0..3 {
        let slow = Client::connected(server).await;
        secrets.push(slow.id.clone());
        let session = slow.session();
        for _ in 0..10 {
            let _ = session.deliver("/a", SECRET);
        }
    }
    while send_json(server, json!([{ "channel": "/meta/handshake" }]))
        .await
        .only()["successful"]
        == true
    {}
    pass(Duration::from_secs(2)).await;
    secrets
}

fn with_cookie(client: &Client, messages: serde_json::Value) -> http::Request<http_body_util::Full<bytes::Bytes>> {
    let mut request = client.request(messages);
    let cookie = client.cookie.as_ref().unwrap().parse().unwrap();
    request.headers_mut().insert(header::COOKIE, cookie);
    request
}

fn server() -> BayeuxServer {
    BayeuxServer::builder()
        .max_queue_messages(8)
        .max_sessions(20)
        .refusal_rate(MessageRate::per_second(100).burst(100))
        .build()
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged_and_every_trouble_is_once_with_its_cure() {
    let (log, _guard) = Log::of_this_thread(Level::INFO);
    let server = server();
    let secrets = scenario(&server).await;
    let text = log.text();
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
    for trouble in Trouble::ALL {
        let warnings = text
            .lines()
            .filter(|line| line.contains(&format!("trouble={trouble} ")));
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.len(), 1, "{trouble}: {text}");
        assert!(warnings[0].contains("WARN tower_bayeux: ") && warnings[0].contains(trouble.cure()));
    }
    assert!(text.contains("after_ms=15000"), "{text}");
    assert!(text.contains("an answer was dropped unsent"), "{text}");
    assert!(text.contains("user code panicked"), "{text}");
}

/// The other side of the test above: it would find them.
#[tokio::test(start_paused = true)]
async fn at_level_debug_sessions_are_named() {
    let (log, _guard) = Log::of_this_thread(Level::DEBUG);
    let server = server();
    let answer = send(&server, post(json!([{ "channel": "/meta/handshake" }]).to_string())).await;
    let id = answer.only()["clientId"].as_str().unwrap().to_owned();
    assert!(log.text().contains(&id));
}

#[tokio::test(start_paused = true)]
async fn at_level_debug_refusals_say_what_was_refused_and_not_to_whom() {
    let (log, _guard) = Log::of_this_thread(Level::DEBUG);
    let server = server();
    let client = Client::connected(&server).await;
    server
        .authorize("/**", |_: Operation, _: &PolicyRequest<'_>| {
            Authorization::deny("closed")
        })
        .unwrap();
    client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/a" }))
        .await;
    client.publish("/a\nb", json!(SECRET)).await;
    client.send_text("[").await;
    let text = log.text();
    let refused: Vec<_> = text.lines().filter(|line| line.contains("refused")).collect();
    assert_eq!(refused.len(), 3, "{text}");
    for (line, said) in refused.iter().zip([
        r#"error=create_denied reason="closed" channel="/meta/subscribe""#,
        r#"error=channel_invalid reason="" channel="/a\nb""#,
        "400::message_malformed",
    ]) {
        assert!(line.contains(said), "{line}");
        assert!(!line.contains(&client.id) && !line.contains(SECRET), "{line}");
    }
}

#[test]
fn a_server_that_serves_no_transport_is_warned_of() {
    let (log, _guard) = Log::of_this_thread(Level::WARN);
    let only = |transport| {
        BayeuxServer::builder()
            .transports(Transports::none().with(transport))
            .build()
    };
    let _served = (BayeuxServer::new(), only(Transport::LongPolling));
    assert_eq!(log.text(), "");
    let _unreachable = BayeuxServer::builder().transports(Transports::none()).build();
    assert!(log.text().contains("no transport is served"), "{}", log.text());
}
