//! The `BAYEUX_BROWSER` cookie ties a session to the browser that made it.

mod common;

use std::time::Duration;

use common::{Answer, Client, advice, pass, post, send};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, BrowserBinding, BrowserCookie, cookie::SameSite};

const BROWSER: &str = "00000000000000000000000000000000000000ff";
const STRANGER: &str = "ffffffffffffffffffffffffffffffffffffff00";

/// A request with these `Cookie` headers.
async fn send_with(server: &BayeuxServer, cookies: &[&str], messages: Value) -> Answer {
    let mut request = post(messages.to_string());
    for cookie in cookies {
        let value = HeaderValue::from_bytes(cookie.as_bytes()).unwrap();
        request.headers_mut().append(header::COOKIE, value);
    }
    send(server, request).await
}

async fn handshake(server: &BayeuxServer, cookies: &[&str]) -> (Answer, Client) {
    let answer = send_with(server, cookies, json!([{ "channel": "/meta/handshake" }])).await;
    let reply = answer.only();
    assert_eq!(reply["successful"], true, "{reply}");
    let client = Client {
        server: server.clone(),
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: None,
    };
    (answer, client)
}

/// Whether a client is served that sends these cookies.
async fn is_served(client: &Client, cookies: &[&str]) -> bool {
    let publish = json!([{ "channel": "/x", "clientId": client.id, "data": 1 }]);
    let reply = send_with(&client.server, cookies, publish).await.only();
    if reply["successful"] == false {
        assert_eq!(reply["error"], "402::session_unknown");
    }
    reply["successful"] == true
}

fn own(value: &str) -> String {
    format!("BAYEUX_BROWSER={value}")
}

#[tokio::test(start_paused = true)]
async fn a_handshake_sets_the_cookie_with_forty_hex_digits_for_all_paths_and_no_scripts() {
    let (answer, client) = handshake(&BayeuxServer::new(), &[]).await;
    assert_eq!(answer.headers.get_all(header::SET_COOKIE).iter().count(), 1);
    let header = answer.headers[header::SET_COOKIE].to_str().unwrap();
    let mut parts: Vec<_> = header.split("; ").collect();
    let value = parts.remove(0).strip_prefix("BAYEUX_BROWSER=").unwrap();
    assert_eq!(value.len(), 40);
    assert!(
        value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
        "{value}"
    );
    assert_ne!(value, client.id, "the one is not to be told from the other");
    parts.sort_unstable();
    assert_eq!(parts, ["HttpOnly", "Path=/"]);
}

#[tokio::test(start_paused = true)]
async fn each_browser_gets_a_cookie_of_its_own() {
    let server = BayeuxServer::new();
    let (one, _) = handshake(&server, &[]).await;
    let (two, _) = handshake(&server, &[]).await;
    assert_ne!(one.new_cookie(), two.new_cookie());
}

#[tokio::test(start_paused = true)]
async fn the_attributes_are_those_that_were_configured() {
    let cookie = BrowserCookie::new()
        .name("MY")
        .path("/cometd")
        .domain("example.org")
        .max_age(Duration::from_secs(3600))
        .secure(true)
        .same_site(SameSite::None)
        .partitioned(true)
        .http_only(false);
    let server = BayeuxServer::builder().browser_cookie(cookie).build();
    let (answer, client) = handshake(&server, &[]).await;
    let header = answer.headers[header::SET_COOKIE].to_str().unwrap();
    let mut parts: Vec<_> = header.split("; ").collect();
    assert!(parts.remove(0).starts_with("MY="));
    parts.sort_unstable();
    let expected = [
        "Domain=example.org",
        "Max-Age=3600",
        "Partitioned",
        "Path=/cometd",
        "SameSite=None",
        "Secure",
    ];
    assert_eq!(parts, expected);

    let value = answer.new_cookie().unwrap();
    assert!(is_served(&client, &[&value]).await);
    assert!(
        is_served(&client, &[&value, &own(STRANGER)]).await,
        "another name is another cookie"
    );
    assert!(
        !is_served(&client, &[&value.replace("MY=", "my=")]).await,
        "names differ by case"
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_handshake_sets_a_cookie() {
    let server = BayeuxServer::new();
    let (_, client) = handshake(&server, &[]).await;
    for messages in [
        json!([{ "channel": "/meta/connect" }]),
        json!([{ "channel": "/meta/subscribe", "subscription": "/a" }]),
        json!([{ "channel": "/a" }, { "channel": "/meta/connect" }]),
        json!([{ "channel": "/meta/connect", "clientId": "gone" }]),
        json!([]),
    ] {
        let answer = client.send(messages.clone()).await;
        assert!(!answer.headers.contains_key(header::SET_COOKIE), "{messages}");
    }
    let refused = send(&server, post("no bayeux")).await;
    assert!(!refused.headers.contains_key(header::SET_COOKIE));
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_brings_a_cookie_keeps_it() {
    let server = BayeuxServer::new();
    let (answer, client) = handshake(&server, &[&own(BROWSER)]).await;
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert!(is_served(&client, &[&own(BROWSER)]).await);
    assert!(!is_served(&client, &[&own(STRANGER)]).await);
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_brought_its_cookie_to_the_handshake_must_bring_it_always() {
    let (_, client) = handshake(&BayeuxServer::new(), &[&own(BROWSER)]).await;
    assert!(!is_served(&client, &[]).await);
}

#[tokio::test(start_paused = true)]
async fn a_cookie_that_is_not_ours_is_replaced_at_the_handshake() {
    let server = BayeuxServer::new();
    for bad in [
        "",
        "x",
        "1ux7yyvi8cxwzt3vo",
        &"g".repeat(40),
        &BROWSER[1..],
        &format!("{BROWSER}0"),
        &"\u{e4}".repeat(20),
    ] {
        let (answer, client) = handshake(&server, &[&own(bad)]).await;
        let new = answer.new_cookie().expect("a new cookie");
        assert!(is_served(&client, &[&new]).await, "{bad}");
        assert!(!is_served(&client, &[&own(STRANGER)]).await, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_sessions_may_belong_to_one_browser() {
    let server = BayeuxServer::new();
    let (answer, one) = handshake(&server, &[]).await;
    let cookie = answer.new_cookie().unwrap();
    let (answer, two) = handshake(&server, &[&cookie]).await;
    assert_eq!(answer.new_cookie(), None);
    assert_ne!(one.id, two.id);
    assert!(is_served(&one, &[&cookie]).await);
    assert!(is_served(&two, &[&cookie]).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_no_cookies_is_served_by_its_client_id() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    assert_eq!(client.poll().await.events().len(), 1);
    assert_eq!(client.disconnect().await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn once_the_cookie_was_returned_a_request_without_it_is_refused() {
    let server = BayeuxServer::new();
    let (answer, client) = handshake(&server, &[]).await;
    let cookie = answer.new_cookie().unwrap();
    assert!(is_served(&client, &[]).await);
    assert!(is_served(&client, &[&cookie]).await);
    assert!(!is_served(&client, &[]).await);
    assert!(!is_served(&client, &["other=1"]).await);
    assert!(is_served(&client, &[&cookie]).await, "the owner is not shut out");
}

#[tokio::test(start_paused = true)]
async fn a_different_cookie_is_refused_from_the_beginning() {
    let (answer, client) = handshake(&BayeuxServer::new(), &[]).await;
    for bad in [own(STRANGER), own("x"), own(""), own("\u{e4}x")] {
        // What is no text at all can't be told from no cookie.
        if bad.is_ascii() {
            assert!(!is_served(&client, &[&bad]).await, "{bad}");
        }
    }
    assert!(is_served(&client, &[&answer.new_cookie().unwrap()]).await);
}

#[tokio::test(start_paused = true)]
async fn a_refused_attempt_binds_nothing() {
    let (_, client) = handshake(&BayeuxServer::new(), &[]).await;
    assert!(!is_served(&client, &[&own(STRANGER)]).await);
    assert!(is_served(&client, &[]).await);
}

#[tokio::test(start_paused = true)]
async fn one_that_knows_the_client_id_but_not_the_cookie_can_do_nothing_with_it() {
    let server = BayeuxServer::new();
    let (answer, mut owner) = handshake(&server, &[]).await;
    owner.cookie = answer.new_cookie();
    owner.connect().await;
    owner.subscribe("/a").await;
    let mut hijacker = owner.clone();
    for cookie in [None, Some(own(STRANGER)), Some(own("x"))] {
        hijacker.cookie = cookie;
        let held = owner.hold().await;
        let reply = hijacker.connect().await.only();
        assert_eq!(reply["error"], "402::session_unknown");
        assert_eq!(reply["advice"], advice("handshake", 2000, 30_000));
        for message in [
            json!({ "channel": "/meta/subscribe", "subscription": "/b" }),
            json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }),
            json!({ "channel": "/a", "data": "forged" }),
            json!({ "channel": "/meta/disconnect" }),
        ] {
            let reply = hijacker.ask(message.clone()).await;
            assert_eq!(reply["error"], "402::session_unknown", "{message}");
            assert!(reply.get("advice").is_none(), "{message}");
        }
        assert!(!held.is_finished());
        server.publish("/a", &"for the owner").unwrap();
        assert_eq!(
            held.await.unwrap().events(),
            [("/a".to_owned(), json!("for the owner"))]
        );
    }
    assert_eq!(server.channel_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stranger_does_not_keep_a_session_alive() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(10)).build();
    let (_, client) = handshake(&server, &[&own(BROWSER)]).await;
    for _ in 0..6 {
        pass(Duration::from_secs(2)).await;
        assert!(!is_served(&client, &[&own(STRANGER)]).await);
    }
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_cookie_is_found_wherever_it_stands_in_the_headers() {
    let server = BayeuxServer::new();
    let (_, client) = handshake(&server, &[&own(BROWSER)]).await;
    let cookie = own(BROWSER);
    for cookies in [
        &[&*cookie][..],
        &[&format!("a=1; {cookie}; b=2")],
        &[&format!("a=1;{cookie};b=2")],
        &[&format!("  {cookie}  ")],
        &[&format!(";;{cookie};")],
        &["", &cookie],
        &["a=1", &cookie, "b=2"],
        &[&format!("novalue; {cookie}")],
        &[&format!("=; {cookie}")],
        &[&format!("a=\"x; {cookie}")],
        &["a=\u{e4}", &cookie],
        &[&format!("BAYEUX_BROWSER=\"{BROWSER}\"")],
    ] {
        assert!(is_served(&client, cookies).await, "{cookies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_cookies_of_the_name_it_is_enough_that_one_is_right() {
    let server = BayeuxServer::new();
    let (_, client) = handshake(&server, &[&own(BROWSER)]).await;
    let (right, wrong, odd) = (own(BROWSER), own(STRANGER), own("x"));
    for cookies in [
        &[&*format!("{wrong}; {right}")][..],
        &[&format!("{right}; {wrong}")],
        &[&format!("{odd}; {right}")],
        &[&wrong, &right],
        &[&right, &odd],
    ] {
        assert!(is_served(&client, cookies).await, "{cookies:?}");
    }
    assert!(!is_served(&client, &[&format!("{wrong}; {odd}")]).await);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_with_several_cookies_binds_to_one_that_the_browser_sends() {
    let server = BayeuxServer::new();
    let (answer, client) = handshake(&server, &[&format!("{}; {}", own("x"), own(BROWSER))]).await;
    assert!(!answer.headers.contains_key(header::SET_COOKIE));
    assert!(is_served(&client, &[&own(BROWSER)]).await);
}

#[tokio::test(start_paused = true)]
async fn cookies_of_others_are_ignored() {
    let server = BayeuxServer::new();
    let (answer, client) = handshake(&server, &["JSESSIONID=1; BAYEUX_BROWSER2=x; XBAYEUX_BROWSER=y"]).await;
    assert!(answer.new_cookie().is_some());
    assert!(is_served(&client, &["JSESSIONID=2; BAYEUX_BROWSER2=x"]).await);
    assert!(is_served(&client, &[""]).await);
    assert!(is_served(&client, &[";"]).await);
}

/// Browsers send all cookies in one header, and scripts may put any text into theirs.
#[tokio::test(start_paused = true)]
async fn a_cookie_of_others_that_is_no_ascii_does_not_hide_ours() {
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Required)
        .build();
    let cookie = own(BROWSER);
    let (_, client) = handshake(&server, &[&cookie]).await;
    for cookies in [format!("name=J\u{f6}rg; {cookie}"), format!("{cookie}; name=J\u{f6}rg")] {
        assert!(is_served(&client, &[&cookies]).await, "{cookies:?}");
        let (answer, _) = handshake(&server, &[&cookies]).await;
        assert!(!answer.headers.contains_key(header::SET_COOKIE), "{cookies:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_cookie_is_required_there_is_no_service_without_it() {
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Required)
        .build();
    let (answer, mut client) = handshake(&server, &[]).await;
    let reply = client.connect().await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    let interval = reply["advice"]["interval"].as_u64().unwrap();
    assert!(
        interval >= 1000,
        "a client without a cookie jar would handshake in a storm: {interval}"
    );
    assert!(!is_served(&client, &[]).await);
    assert!(!is_served(&client, &[&own(STRANGER)]).await);
    let cookie = answer.new_cookie().unwrap();
    assert!(is_served(&client, &[&cookie]).await);
    assert!(!is_served(&client, &[]).await);
    client.cookie = Some(cookie);
    assert_eq!(client.connect().await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn where_it_is_switched_off_no_cookie_is_set_or_looked_at() {
    let server = BayeuxServer::builder().browser_binding(BrowserBinding::Off).build();
    for brought in [&[][..], &[&*own(BROWSER)], &[&*own("x")]] {
        let (answer, client) = handshake(&server, brought).await;
        assert!(!answer.headers.contains_key(header::SET_COOKIE));
        for cookies in [&[][..], &[&*own(BROWSER)], &[&*own(STRANGER)], &[&*own("x")]] {
            assert!(is_served(&client, cookies).await, "{brought:?} {cookies:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_batch_the_cookie_is_checked_for_each_session() {
    let server = BayeuxServer::new();
    let (_, one) = handshake(&server, &[&own(BROWSER)]).await;
    let (_, two) = handshake(&server, &[&own(STRANGER)]).await;
    let batch = json!([
        { "channel": "/a", "clientId": one.id },
        { "channel": "/a", "clientId": two.id },
    ]);
    let replies = send_with(&server, &[&own(BROWSER)], batch).await.messages();
    assert_eq!(replies[0]["successful"], true);
    assert_eq!(replies[1]["error"], "402::session_unknown");
}

/// Such a client would handshake, fail and handshake again for ever.
#[tokio::test(start_paused = true)]
async fn a_client_whose_cookies_never_fit_is_told_to_take_its_time() {
    let server = BayeuxServer::new();
    // Always the same foreign cookie, and `Set-Cookie` ignored.
    let foreign = "BAYEUX_BROWSER=somebody-else";
    let (_, client) = handshake(&server, &[foreign]).await;
    let refused = Client {
        cookie: Some(foreign.to_owned()),
        ..client
    }
    .connect()
    .await;
    assert_eq!(refused.only()["advice"], advice("handshake", 2000, 30_000));
    // The cookie at handshake only, as when its path covers nothing else.
    let (_, client) = handshake(&server, &[&own(BROWSER)]).await;
    assert_eq!(
        client.connect().await.only()["advice"],
        advice("handshake", 2000, 30_000)
    );
}
