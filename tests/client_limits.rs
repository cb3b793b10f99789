//! One client, or one address, can't have it all.

mod common;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{Answer, Client, pass, post, send};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxBuilder, BayeuxServer, MessageRate, PolicyRequest, Publication, Reason, SecurityPolicy, Verdict,
};

const COOKIE: &str = "BAYEUX_BROWSER=00000000000000000000000000000000000000ff";

/// A server that trusts the header of its proxy.
fn behind_a_proxy() -> BayeuxBuilder {
    BayeuxServer::builder().client_address(|request| {
        let address = request.headers.get("x-forwarded-for")?;
        address.to_str().ok()?.parse::<IpAddr>().ok()
    })
}

async fn handshake(server: &BayeuxServer, name: header::HeaderName, value: &str) -> Value {
    let mut request = post(json!([{ "channel": "/meta/handshake", "id": "1" }]).to_string());
    request.headers_mut().insert(name, value.parse().unwrap());
    send(server, request).await.only()
}

async fn handshake_from(server: &BayeuxServer, address: &str) -> Value {
    handshake(server, header::HeaderName::from_static("x-forwarded-for"), address).await
}

#[track_caller]
fn assert_sent_away(reply: &Value) {
    assert_eq!(reply["successful"], false, "{reply}");
    assert_eq!(reply["error"], "403::handshake_denied");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert!(reply["advice"]["interval"].as_u64().unwrap() >= 2000);
    assert_eq!(reply["id"], "1");
}

fn limited(server: &BayeuxServer, reason: Reason) -> u64 {
    server.stats().limited.count(reason)
}

/// Counts how often it is asked.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl SecurityPolicy for Counting {
    async fn can_handshake(&self, _: PolicyRequest<'_>) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        Verdict::grant()
    }

    async fn can_subscribe(&self, _: PolicyRequest<'_>) -> Verdict {
        self.0.fetch_add(1, Ordering::Relaxed);
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_has_so_many_sessions_and_one_more_when_one_ends() {
    let asked = Counting::default();
    let server = behind_a_proxy()
        .max_sessions_per_address(2)
        .security_policy(asked.clone())
        .build();
    let first = handshake_from(&server, "10.0.0.1").await;
    handshake_from(&server, "10.0.0.1").await;
    assert_sent_away(&handshake_from(&server, "10.0.0.1").await);
    assert_eq!(asked.0.load(Ordering::Relaxed), 2, "the policy was asked in vain");
    assert_eq!(limited(&server, Reason::AddressFull), 1);
    assert_eq!(handshake_from(&server, "10.0.0.2").await["successful"], true);

    let id = first["clientId"].as_str().unwrap().parse().unwrap();
    server.session(&id).unwrap().disconnect();
    assert_eq!(handshake_from(&server, "10.0.0.1").await["successful"], true);
    assert_sent_away(&handshake_from(&server, "10.0.0.1").await);
    // All of them expire.
    pass(Duration::from_secs(32)).await;
    assert_eq!(handshake_from(&server, "10.0.0.1").await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn an_ipv6_client_counts_by_its_network() {
    let server = behind_a_proxy().max_sessions_per_address(1).build();
    assert_eq!(handshake_from(&server, "2001:db8::1").await["successful"], true);
    assert_sent_away(&handshake_from(&server, "2001:db8::ffff:2").await);
    assert_eq!(handshake_from(&server, "2001:db8:0:1::1").await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_the_policy_denies_gives_its_place_back() {
    struct Denies;
    impl SecurityPolicy for Denies {
        async fn can_handshake(&self, _: PolicyRequest<'_>) -> Verdict {
            Verdict::deny()
        }
    }
    let server = behind_a_proxy()
        .max_sessions_per_address(1)
        .security_policy(Denies)
        .build();
    for _ in 0..5 {
        let reply = handshake_from(&server, "10.0.0.1").await;
        assert_eq!(reply["advice"]["reconnect"], "none", "{reply}");
    }
    assert_eq!(limited(&server, Reason::AddressFull), 0);
}

#[tokio::test(start_paused = true)]
async fn handshakes_of_an_address_are_limited_in_time() {
    let server = behind_a_proxy()
        .handshake_rate(MessageRate::per_second(2).burst(3))
        .build();
    for _ in 0..3 {
        assert_eq!(handshake_from(&server, "10.0.0.1").await["successful"], true);
    }
    assert_sent_away(&handshake_from(&server, "10.0.0.1").await);
    assert_eq!(limited(&server, Reason::HandshakeRate), 1);
    assert_eq!(server.session_count(), 3);
    assert_eq!(handshake_from(&server, "10.0.0.2").await["successful"], true);
    pass(Duration::from_millis(500)).await;
    assert_eq!(handshake_from(&server, "10.0.0.1").await["successful"], true);
    assert_sent_away(&handshake_from(&server, "10.0.0.1").await);
}

#[tokio::test(start_paused = true)]
async fn without_an_address_there_is_no_limit_per_address() {
    let unset = BayeuxServer::builder().max_sessions_per_address(0).build();
    let not_found = behind_a_proxy().max_sessions_per_address(0).build();
    for server in [unset, not_found] {
        for _ in 0..5 {
            Client::handshake(&server).await;
        }
        assert_eq!(server.session_count(), 5);
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_has_so_many_sessions_if_that_is_limited() {
    let server = BayeuxServer::builder().max_sessions_per_browser(2).build();
    for _ in 0..2 {
        assert_eq!(handshake(&server, header::COOKIE, COOKIE).await["successful"], true);
    }
    assert_sent_away(&handshake(&server, header::COOKIE, COOKIE).await);
    assert_eq!(limited(&server, Reason::BrowserFull), 1);
    // Another browser, and a client without a cookie.
    let other = COOKIE.replace("ff", "fe");
    assert_eq!(handshake(&server, header::COOKIE, &other).await["successful"], true);
    Client::handshake(&server).await;
    pass(Duration::from_secs(32)).await;
    assert_eq!(handshake(&server, header::COOKIE, COOKIE).await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_limit_of_held_connects_a_client_polls_and_loses_nothing() {
    let server = BayeuxServer::builder().max_held_connects(1).build();
    let holder = Client::subscribed(&server, "/a").await;
    let client = Client::subscribed(&server, "/a").await;
    let held = holder.hold().await;
    let reply = client.connect().await.only();
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["advice"]["reconnect"], "retry");
    let interval = reply["advice"]["interval"].as_u64().unwrap();
    assert!((2000..4000).contains(&interval), "{interval}");
    assert_eq!(limited(&server, Reason::HeldFull), 1);
    // The one that is held may be replaced by its own session's next.
    let replaced = holder.hold_instead().await;
    held.await.unwrap();
    server.publish("/a", &1).unwrap();
    assert_eq!(replaced.await.unwrap().events().len(), 1);
    assert_eq!(client.connect().await.events().len(), 1);
    client.hold().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_connect_a_lazy_message_has_ended_takes_its_place_in_line_again() {
    let server = BayeuxServer::builder().max_held_connects(1).build();
    let lazy = Client::subscribed(&server, "/a").await;
    let other = Client::connected(&server).await;
    let held = lazy.hold().await;
    server.send(Publication::new("/a", &1).unwrap().lazy(true)).unwrap();
    assert_eq!(held.await.unwrap().events().len(), 1);
    let _held = other.hold().await;
    assert_eq!(lazy.connect().await.only()["successful"], true);
    assert_eq!(limited(&server, Reason::HeldFull), 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_channels_than_configured_and_those_that_exist_stay_open_to_all() {
    let asked = Counting::default();
    let server = BayeuxServer::builder()
        .max_channels(2)
        .security_policy(asked.clone())
        .build();
    let client = Client::connected(&server).await;
    client.subscribe("/a").await;
    client.subscribe("/b/*").await;
    let before = asked.0.load(Ordering::Relaxed);
    let subscribe = |channels: Value| json!({ "channel": "/meta/subscribe", "subscription": channels });
    for channels in [json!("/c"), json!(["/a", "/c"])] {
        let reply = client.ask(subscribe(channels)).await;
        assert_eq!(reply["error"], "403::subscribe_failed");
    }
    assert_eq!(asked.0.load(Ordering::Relaxed), before, "the policy was asked in vain");
    assert_eq!(limited(&server, Reason::ChannelsFull), 2);
    let other = Client::connected(&server).await;
    other.subscribe("/a").await;
    assert_eq!(server.channel_count(), 2);
    let unsubscribe = json!({ "channel": "/meta/unsubscribe", "subscription": "/b/*" });
    assert_eq!(client.ask(unsubscribe).await["successful"], true);
    client.subscribe("/c").await;
    // The application is not limited.
    let _subscription = server.subscribe("/d").unwrap();
    assert_eq!(server.channel_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_enough_subscriptions_is_refused_before_the_policy_is_asked() {
    let asked = Counting::default();
    let server = BayeuxServer::builder()
        .max_subscriptions(2)
        .security_policy(asked.clone())
        .build();
    let client = Client::connected(&server).await;
    client.subscribe("/a").await;
    client.subscribe("/b").await;
    let before = asked.0.load(Ordering::Relaxed);
    let reply = client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": "/c" }))
        .await;
    assert_eq!(reply["error"], "403::subscribe_failed");
    assert_eq!(asked.0.load(Ordering::Relaxed), before);
    assert_eq!(limited(&server, Reason::SubscriptionsFull), 1);
    // What it has, it may subscribe to again.
    client.subscribe("/b").await;
}

#[tokio::test(start_paused = true)]
async fn an_array_of_more_channels_than_may_be_subscribed_is_refused_before_the_policy_is_asked() {
    let asked = Counting::default();
    let server = BayeuxServer::builder()
        .max_subscriptions(10)
        .security_policy(asked.clone())
        .build();
    let client = Client::connected(&server).await;
    client.subscribe("/0").await;
    let before = asked.0.load(Ordering::Relaxed);
    let names: Vec<String> = (0..11).map(|number| format!("/{number}")).collect();
    let reply = client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": names }))
        .await;
    assert_eq!(reply["error"], "403::subscribe_failed");
    assert_eq!(asked.0.load(Ordering::Relaxed), before);
    let reply = client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": names[..10] }))
        .await;
    assert_eq!(reply["successful"], true, "one of the ten it has already");
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_asked_once_about_a_channel_however_often_an_array_names_it() {
    let asked = Counting::default();
    let server = BayeuxServer::builder().security_policy(asked.clone()).build();
    let client = Client::connected(&server).await;
    let before = asked.0.load(Ordering::Relaxed);
    let names = ["/a", "/b", "/a/"].repeat(10_000);
    let reply = client
        .ask(json!({ "channel": "/meta/subscribe", "subscription": names }))
        .await;
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["subscription"], json!(names), "as it came");
    assert_eq!(asked.0.load(Ordering::Relaxed) - before, 2);
    let channels: Vec<String> = client
        .session()
        .subscriptions()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        channels.len() == 2 && channels.contains(&"/a".to_owned()),
        "{channels:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_names_of_channels_are_limited_in_length_and_depth() {
    let server = BayeuxServer::builder()
        .max_channel_bytes(20)
        .max_channel_segments(3)
        .build();
    let client = Client::connected(&server).await;
    client.subscribe("/a/b/**").await;
    assert_eq!(client.publish("/a/b/c", json!(1)).await["successful"], true);
    let mut refused = 0;
    for name in [
        "/a/b/c/d",
        &format!("/{}", "x".repeat(20)),
        &format!("/{}", "x".repeat(2000)),
    ] {
        let reply = client.publish(name, json!(1)).await;
        assert_eq!(reply["error"], "405::channel_invalid", "{name}");
        let reply = client
            .ask(json!({ "channel": "/meta/subscribe", "subscription": [name] }))
            .await;
        assert_eq!(reply["error"], "403::subscription_invalid", "{name}");
        refused += 2;
        assert_eq!(limited(&server, Reason::ChannelNameTooLong), refused, "{name}");
    }
    assert_eq!(client.publish("no/slash", json!(1)).await["successful"], false);
    assert_eq!(limited(&server, Reason::ChannelNameTooLong), refused);
}

#[tokio::test(start_paused = true)]
async fn the_protocols_own_channels_are_as_long_as_they_are() {
    let server = BayeuxServer::builder()
        .max_channel_bytes(5)
        .max_channel_segments(1)
        .build();
    let client = Client::connected(&server).await;
    client.subscribe("/a").await;
    let unsubscribe = json!({ "channel": "/meta/unsubscribe", "subscription": "/a" });
    assert_eq!(client.ask(unsubscribe).await["successful"], true);
    assert_eq!(client.disconnect().await["successful"], true);
    assert_eq!(limited(&server, Reason::ChannelNameTooLong), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_request_as_a_whole_is_counted_by_its_limit() {
    let server = BayeuxServer::builder()
        .max_body_bytes(1000)
        .max_batch(2)
        .max_depth(10)
        .build();
    let client = Client::connected(&server).await;
    let refused = |answer: Answer, status: StatusCode, error: &str| {
        assert_eq!(answer.status, status);
        assert_eq!(answer.only()["error"], error);
    };
    let deep = format!("[{{\"channel\":\"/a\",\"data\":{}{}}}]", "[".repeat(9), "]".repeat(9));
    refused(
        client.send_text(deep).await,
        StatusCode::BAD_REQUEST,
        "400::message_too_deep",
    );
    refused(
        client.send_text("[{},{},{}]").await,
        StatusCode::PAYLOAD_TOO_LARGE,
        "413::batch_too_large",
    );
    refused(
        client.send_text("x".repeat(1001)).await,
        StatusCode::PAYLOAD_TOO_LARGE,
        "413::body_too_large",
    );
    let fits = format!("[{{\"channel\":\"/a\",\"data\":{}{}}}]", "[".repeat(8), "]".repeat(8));
    assert_eq!(client.send_text(fits).await.status, StatusCode::OK);
    for reason in [Reason::JsonTooDeep, Reason::BatchTooLarge, Reason::BodyTooLarge] {
        assert_eq!(limited(&server, reason), 1, "{reason}");
    }
    assert_eq!(server.stats().limited.total(), 3);
}
