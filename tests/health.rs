//! What the server sees to be wrong by itself.

mod common;

use std::time::Duration;

use common::{Client, pass, poll_once, post, send, send_json};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, Health, OverflowPolicy, Trouble};

#[track_caller]
fn assert_degraded(server: &BayeuxServer, trouble: Trouble) {
    assert_eq!(server.health(), Health::Degraded(vec![trouble]));
    assert!(server.stats().troubles.count(trouble) > 0);
}

#[test]
fn a_new_server_is_ready_and_one_that_shuts_down_is_draining() {
    let server = BayeuxServer::new();
    assert_eq!(server.health(), Health::Ready);
    server.shutdown();
    assert_eq!(server.health(), Health::Draining);
}

#[test]
fn every_trouble_has_a_name_and_a_cure() {
    for trouble in Trouble::ALL {
        assert!(
            trouble
                .as_str()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        );
        assert_eq!(trouble.to_string(), trouble.as_str());
        assert!(trouble.cure().len() > 20);
    }
}

/// As a proxy does that ends requests after 15 s.
#[tokio::test(start_paused = true)]
async fn holds_that_are_cut_after_the_same_time_are_noticed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for round in 0..8 {
        assert_eq!(server.health(), Health::Ready, "round {round}");
        let mut held = client.start_held();
        pass(Duration::from_secs(15)).await;
        assert!(poll_once(&mut held).is_pending());
        drop(held);
    }
    assert_degraded(&server, Trouble::HoldsCut);
    pass(Duration::from_secs(61)).await;
    assert_eq!(server.health(), Health::Ready);
}

#[tokio::test(start_paused = true)]
async fn clients_that_leave_when_they_like_are_no_trouble() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let mut random = common::Random(7);
    for _ in 0..200 {
        let held = client.start_held();
        pass(Duration::from_millis(1000 + random.below(28_000))).await;
        drop(held);
    }
    assert_eq!(server.health(), Health::Ready);
}

/// A request as browsers make it.
async fn from_browser(server: &BayeuxServer, message: Value, cookie: Option<&str>) -> common::Answer {
    let mut request = post(json!([message]).to_string());
    let headers = request.headers_mut();
    headers.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
    if let Some(cookie) = cookie {
        headers.insert(header::COOKIE, cookie.parse().unwrap());
    }
    send(server, request).await
}

async fn browser_connects(server: &BayeuxServer, keeps_cookies: bool) {
    let answer = from_browser(server, json!({ "channel": "/meta/handshake" }), None).await;
    let cookie = answer.new_cookie().filter(|_| keeps_cookies);
    let connect = json!({ "channel": "/meta/connect", "clientId": answer.only()["clientId"] });
    let reply = from_browser(server, connect, cookie.as_deref()).await.only();
    assert_eq!(reply["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn browsers_that_do_not_return_the_cookie_are_noticed() {
    let server = BayeuxServer::new();
    for _ in 0..20 {
        browser_connects(&server, true).await;
        Client::connected(&server).await;
    }
    assert_eq!(server.stats().troubles.count(Trouble::CookiesLost), 0);
    for _ in 0..10 {
        assert_eq!(server.health(), Health::Ready);
        browser_connects(&server, false).await;
    }
    assert_degraded(&server, Trouble::CookiesLost);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_another_server_are_noticed_but_not_right_after_a_restart() {
    let server = BayeuxServer::new();
    let connect = json!([{ "channel": "/meta/connect", "clientId": "00".repeat(20) }]);
    let garbage = json!([{ "channel": "/meta/connect", "clientId": "x" }]);
    for _ in 0..200 {
        send_json(&server, connect.clone()).await;
    }
    assert_eq!(server.health(), Health::Ready);
    pass(Duration::from_secs(61)).await;
    for _ in 0..200 {
        send_json(&server, garbage.clone()).await;
    }
    assert_eq!(server.health(), Health::Ready);
    for _ in 0..100 {
        send_json(&server, connect.clone()).await;
    }
    assert_degraded(&server, Trouble::UnknownSessions);
    assert_eq!(server.stats().troubles.count(Trouble::UnknownSessions), 100);
}

#[tokio::test(start_paused = true)]
async fn connects_that_come_before_the_interval_is_over_are_noticed() {
    let server = BayeuxServer::builder().interval(Duration::from_secs(2)).build();
    let heeds = Client::connected(&server).await;
    for _ in 0..30 {
        pass(Duration::from_secs(2)).await;
        heeds.poll().await;
        // Other messages are welcome at any time.
        heeds.publish("/a", json!(1)).await;
    }
    assert_eq!(server.stats().troubles.count(Trouble::ConnectsTooClose), 0);
    let hurries = Client::connected(&server).await;
    for _ in 0..20 {
        assert_eq!(server.health(), Health::Ready);
        pass(Duration::from_millis(500)).await;
        hurries.poll().await;
    }
    assert_degraded(&server, Trouble::ConnectsTooClose);
}

#[tokio::test(start_paused = true)]
async fn clients_that_poll_too_often_are_noticed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for _ in 0..70 {
        client.poll().await;
    }
    assert_degraded(&server, Trouble::ConnectsTooClose);
}

#[tokio::test(start_paused = true)]
async fn queues_that_overflow_are_noticed() {
    for policy in [
        OverflowPolicy::Disconnect,
        OverflowPolicy::DropOldest,
        OverflowPolicy::DropNewest,
    ] {
        let server = BayeuxServer::builder().max_queue_messages(1).overflow(policy).build();
        for _ in 0..3 {
            assert_eq!(server.health(), Health::Ready);
            let client = Client::connected(&server).await;
            client.session().deliver("/a", &1).unwrap();
            let _ = client.session().deliver("/a", &2);
        }
        assert_degraded(&server, Trouble::SlowConsumers);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_full_says_so() {
    let server = BayeuxServer::builder().max_sessions(1).build();
    Client::handshake(&server).await;
    assert_eq!(server.health(), Health::Ready);
    send_json(&server, json!([{ "channel": "/meta/handshake" }])).await;
    assert_degraded(&server, Trouble::SessionsFull);
}
