//! Sessions whose clients stay away end, and leave nothing behind.

mod common;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use common::{BASE, Client, pass, poll_once, send_json, start};
use http_body::Body;
use http_body_util::BodyExt;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_bayeux::{BayeuxServer, BayeuxService, Event, Reason};

const TIMEOUT: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_secs(2);
const MAX_INTERVAL: Duration = Duration::from_secs(10);
/// How long a session lives after its last connect.
const LIFE: Duration = Duration::from_secs(12);
/// How late the sweeper may be.
const SLACK: Duration = Duration::from_millis(1300);
const MOMENT: Duration = Duration::from_millis(2);

fn server() -> BayeuxServer {
    BayeuxServer::builder()
        .timeout(TIMEOUT)
        .interval(INTERVAL)
        .max_interval(MAX_INTERVAL)
        .build()
}

/// The only session lives for `life` from now, and not much longer, without anybody asking for it.
#[track_caller]
fn assert_lives_for(server: &BayeuxServer, life: Duration) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        pass(life - MOMENT).await;
        assert_eq!(server.session_count(), 1, "ended early, {caller}");
        pass(SLACK).await;
        assert_eq!(server.session_count(), 0, "still there, {caller}");
        assert_eq!(server.stats().sessions_removed.count(Reason::Expired), 1, "{caller}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_connected_expires() {
    let server = server();
    Client::handshake(&server).await;
    assert_lives_for(&server, LIFE).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_stays_away_after_a_connect_expires() {
    let server = server();
    let client = Client::connected(&server).await;
    pass(Duration::from_secs(5)).await;
    client.poll().await;
    assert_lives_for(&server, LIFE).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_goes_away_while_held_expires() {
    let server = server();
    let client = Client::connected(&server).await;
    let held = client.start_held();
    pass(Duration::from_secs(5)).await;
    drop(held);
    assert_eq!(server.stats().connects_ended.count(Reason::ClientGone), 1);
    assert_lives_for(&server, LIFE).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_is_gone_unnoticed_expires_after_the_hold() {
    let server = server();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    pass(TIMEOUT + MOMENT).await;
    // The answer goes into a dead socket.
    drop(held.await.unwrap());
    assert_lives_for(&server, LIFE - MOMENT).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_answer_is_thrown_away_expires() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    drop(client.start_connect().await);
    assert_eq!(server.stats().given_back_messages, 1);
    assert_lives_for(&server, LIFE).await;
    assert_eq!(server.stats().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_client_takes_long_to_fetch_its_answer_lives_until_then() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let large = "x".repeat(1 << 20);
    server.publish("/a", &large).unwrap();
    let mut body = client.start_connect().await.into_body();
    let size = body.size_hint().exact().unwrap();
    let mut fetched = Vec::new();
    while let Some(piece) = body.frame().await {
        let piece = piece.unwrap().into_data().unwrap();
        fetched.extend_from_slice(&piece);
        assert_eq!(body.size_hint().exact(), Some(size - fetched.len() as u64));
        pass(MAX_INTERVAL - MOMENT).await;
    }
    assert_eq!(server.session_count(), 1, "ended meanwhile");
    let messages: Value = serde_json::from_slice(&fetched).unwrap();
    assert_eq!(messages[0]["data"], large);
    // It has let go of the last piece just now.
    assert_lives_for(&server, MAX_INTERVAL).await;
}

#[tokio::test(start_paused = true)]
async fn so_does_one_whose_http_server_is_ahead_of_its_client() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &"x".repeat(300 * 1024)).unwrap();
    let (mut connection, peer) = tokio::io::duplex(4 * 1024);
    let service = TowerToHyperService::new(BayeuxService::new(BASE, server.clone()));
    let http = hyper::server::conn::http1::Builder::new();
    tokio::spawn(http.serve_connection(TokioIo::new(peer), service));
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id }]).to_string();
    let head = format!(
        "POST {BASE} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        connect.len()
    );
    connection.write_all((head + &connect).as_bytes()).await.unwrap();
    for _ in 0..4 {
        // hyper has taken all of it at once.
        let mut part = vec![0; 68 * 1024];
        connection.read_exact(&mut part).await.unwrap();
        pass(MAX_INTERVAL - MOMENT).await;
    }
    assert_eq!(server.session_count(), 1, "ended meanwhile");
    assert_lives_for(&server, MOMENT).await;
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_was_never_polled_does_not_keep_the_session() {
    let server = server();
    let client = Client::connected(&server).await;
    let unpolled = client.start_connect();
    assert_lives_for(&server, LIFE).await;
    drop(unpolled);
}

#[tokio::test(start_paused = true)]
async fn a_superseded_connect_leaves_expiry_to_the_newer_one() {
    let server = server();
    let client = Client::connected(&server).await;
    let mut older = client.start_held();
    let newer = client.start_held();
    assert!(poll_once(&mut older).is_ready());
    drop(older);
    pass(LIFE + SLACK).await;
    assert_eq!(server.session_count(), 1, "the newer connect is still held");
    drop(newer);
    assert_lives_for(&server, LIFE).await;
}

#[tokio::test(start_paused = true)]
async fn a_superseded_connect_that_is_dropped_leaves_expiry_to_the_newer_one() {
    let server = server();
    let client = Client::connected(&server).await;
    let older = client.start_held();
    let newer = client.start_held();
    drop(older);
    pass(LIFE + SLACK).await;
    assert_eq!(server.session_count(), 1, "the newer connect is still held");
    drop(newer);
    assert_lives_for(&server, LIFE).await;
}

#[tokio::test(start_paused = true)]
async fn a_held_session_never_expires() {
    let server = BayeuxServer::builder()
        .timeout(Duration::from_secs(600))
        .max_interval(Duration::from_secs(1))
        .build();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    pass(Duration::from_secs(599)).await;
    assert_eq!(server.session_count(), 1);
    assert_eq!(held.await.unwrap().connect_reply()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn any_message_is_a_sign_of_life() {
    let messages = [
        json!({ "channel": "/a", "data": 1 }),
        json!({ "channel": "/meta/subscribe", "subscription": "/a" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }),
        json!({ "channel": "/meta/connect", "advice": { "timeout": 0 } }),
        // Even those that fail.
        json!({ "channel": "/meta/subscribe", "subscription": "/meta/x" }),
        json!({ "channel": "/a/*", "data": 1 }),
    ];
    for message in messages {
        let server = server();
        let client = Client::connected(&server).await;
        for _ in 0..10 {
            pass(MAX_INTERVAL - MOMENT).await;
            client.send(json!([message])).await;
            assert_eq!(server.session_count(), 1, "{message}");
        }
        pass(LIFE + SLACK).await;
        assert_eq!(server.session_count(), 0, "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_never_shortens_a_life() {
    let server = server();
    let client = Client::connected(&server).await;
    // `interval` is granted once per connect, so this alone would end before the connect's own deadline.
    client.publish("/a", json!(1)).await;
    assert_lives_for(&server, LIFE).await;
}

#[tokio::test(start_paused = true)]
async fn a_stranger_without_the_cookie_keeps_no_session_alive() {
    let server = server();
    let answer = send_json(&server, json!([{ "channel": "/meta/handshake", "version": "1.0" }])).await;
    let mut client = Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: answer.new_cookie(),
    };
    assert!(client.cookie.is_some());
    client.connect().await;
    client.cookie = None;
    pass(MAX_INTERVAL).await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], false);
    pass(INTERVAL + SLACK).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_announce_a_longer_pause_but_not_an_endless_one() {
    let connect =
        |interval: u64| json!([{ "channel": "/meta/connect", "advice": { "timeout": 0, "interval": interval } }]);
    let longer = server();
    Client::connected(&longer).await.send(connect(5_000)).await;
    assert_lives_for(&longer, Duration::from_secs(5) + MAX_INTERVAL).await;
    let endless = server();
    Client::connected(&endless).await.send(connect(u64::MAX)).await;
    pass(MAX_INTERVAL * 2 + SLACK).await;
    assert_eq!(endless.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_refused_however_late_the_sweeper_is() {
    let server = server();
    let client = Client::connected(&server).await;
    // Time passes without anybody being woken for it.
    tokio::time::advance(LIFE).await;
    assert!(server.session(&client.client_id()).is_none());
    let reply = client.poll().await.only();
    assert_eq!(reply["successful"], false);
    assert!(reply["error"].as_str().unwrap().starts_with("402:"), "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_announced_once() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut events = server.events();
    tokio::time::advance(LIFE).await;
    for _ in 0..3 {
        let _ = server.session(&client.client_id());
        client.poll().await;
        pass(Duration::from_secs(2)).await;
    }
    assert!(matches!(
        events.recv().await,
        Some(Event::Unsubscribed { request: None, .. })
    ));
    let removed = events.recv().await;
    assert!(
        matches!(
            removed,
            Some(Event::SessionRemoved {
                reason: Reason::Expired,
                request: None,
                ..
            })
        ),
        "{removed:?}"
    );
    drop((client, server));
    assert!(events.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn one_task_serves_all_sessions_and_ends_with_the_last_handle() {
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let server = server();
    let another_handle = server.clone();
    assert_eq!(tasks(), 0, "nothing runs before the first session");
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Client::connected(&server).await);
    }
    let held: Vec<_> = clients.iter().map(Client::start_held).collect();
    assert_eq!(tasks(), 1, "a task per server, not per session or connect");
    drop((held, clients, server));
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 1, "a handle is left");
    drop(another_handle);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_handle_of_a_session_keeps_no_server_alive() {
    let server = server();
    let client = Client::connected(&server).await;
    let session = client.session();
    drop((client, server));
    tokio::task::yield_now().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert!(!session.is_active());
}

#[test]
fn sessions_expire_on_a_new_runtime_when_the_old_one_has_ended() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let server = server();
    runtime().block_on(Client::connected(&server));
    assert_eq!(server.session_count(), 1);
    runtime().block_on(async {
        Client::connected(&server).await;
        assert_eq!(server.session_count(), 2);
        pass(LIFE + SLACK).await;
    });
    assert_eq!(server.session_count(), 0);
}

#[test]
fn sessions_expire_on_a_new_runtime_though_the_old_one_is_kept_and_does_not_run() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    let server = server();
    let old = runtime();
    old.block_on(Client::connected(&server));
    runtime().block_on(async {
        pass(LIFE).await;
        Client::connected(&server).await;
        assert_eq!(server.session_count(), 2);
        pass(LIFE + SLACK).await;
        assert_eq!(server.session_count(), 0);
    });
    // Whoever swept there has nothing to do any more.
    old.block_on(pass(LIFE));
    assert_eq!(old.metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_panics_when_it_is_dropped_keeps_no_other_session_from_expiring() {
    struct Bad<const NUMBER: u8>;

    impl<const NUMBER: u8> Drop for Bad<NUMBER> {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    let server = server();
    for _ in 0..10 {
        let session = Client::connected(&server).await.session();
        session.insert_attribute(Bad::<1>);
        session.insert_attribute(Bad::<2>);
    }
    let other = Client::connected(&server).await;
    pass(LIFE / 2).await;
    other.publish("/a", json!(1)).await;
    pass(LIFE / 2 + SLACK).await;
    assert_eq!(server.session_count(), 1);
    pass(LIFE / 2).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_ended_is_forgotten_though_nobody_fetches_the_farewell() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let attribute = attach(&client);
    server.publish("/a", &1).unwrap();
    client.session().disconnect();
    assert!(attribute.upgrade().is_some(), "the farewell can still be fetched");
    pass(LIFE + SLACK).await;
    assert!(attribute.upgrade().is_none());
    let stats = server.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_server_ended_is_not_kept_by_messages_that_are_refused() {
    let server = server();
    let client = Client::connected(&server).await;
    let attribute = attach(&client);
    client.session().disconnect();
    for _ in 0..10 {
        pass(MAX_INTERVAL / 2).await;
        assert_eq!(client.publish("/a", json!(1)).await["successful"], false);
    }
    pass(SLACK).await;
    assert!(
        attribute.upgrade().is_none(),
        "a client that never connects keeps its ended session in memory"
    );
}

#[tokio::test(start_paused = true)]
async fn every_way_to_end_frees_what_the_application_attached() {
    let server = server();
    let by_client = Client::connected(&server).await;
    let by_server = Client::connected(&server).await;
    let by_time = Client::connected(&server).await;
    let attributes = [&by_client, &by_server, &by_time].map(attach);
    by_client.disconnect().await;
    by_server.session().disconnect();
    by_server.connect().await;
    pass(LIFE + SLACK).await;
    for attribute in attributes {
        assert!(attribute.upgrade().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_sessions_leave_nothing_behind() {
    const SESSIONS: usize = 10_000;
    let server = server();
    let mut attributes = Vec::new();
    let mut held = Vec::new();
    for index in 0..SESSIONS {
        let client = Client::handshake(&server).await;
        attributes.push(attach(&client));
        if index % 3 > 0 {
            client.connect().await;
            client.subscribe("/all/**").await;
        }
        if index % 3 == 1 {
            client.subscribe(&format!("/own/{index}")).await;
        }
        if index % 30 == 2 {
            let mut connect = client.start_connect();
            assert!(poll_once(&mut connect).is_pending());
            held.push(connect);
        }
    }
    server.publish("/all/x", &"queued").unwrap();
    assert_eq!(server.session_count(), SESSIONS);
    assert_eq!(server.channel_count(), 1 + SESSIONS / 3);
    drop(held);
    pass(LIFE + SLACK).await;

    let stats = server.stats();
    assert_eq!(stats.sessions_removed.count(Reason::Expired), SESSIONS as u64);
    assert_eq!((stats.sessions, stats.held_connects), (0, 0));
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    assert!(server.channels().is_empty() && server.sessions().is_empty());
    let alive = attributes
        .iter()
        .filter(|attribute| attribute.upgrade().is_some())
        .count();
    assert_eq!(alive, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_while_its_body_comes_in_changes_nothing() {
    let server = server();
    let client = Client::connected(&server).await;
    let request = client.request(json!([{ "channel": "/meta/connect" }]));
    drop(start(&server, request));
    assert_lives_for(&server, LIFE).await;
    assert_eq!(server.stats().connects_ended.total(), 1, "the first connect alone");
}

/// Attaches a value to the session and returns a look at it that does not keep it.
fn attach(client: &Client) -> Weak<u64> {
    let value = Arc::new(7_u64);
    let weak = Arc::downgrade(&value);
    client.session().insert_attribute(value);
    weak
}

/// Thousands of them, so that the table gives each place to many in turn.
#[tokio::test(start_paused = true)]
async fn whoever_goes_the_others_are_found_and_expire_in_their_time() {
    let server = server();
    let mut random = common::Random(11);
    let mut clients = Vec::new();
    for _ in 0..6 {
        for _ in 0..700 {
            clients.push(Client::handshake(&server).await);
        }
        for _ in 0..500 {
            let gone = usize::try_from(random.below(clients.len() as u64)).unwrap();
            clients.swap_remove(gone).disconnect().await;
        }
    }
    assert_eq!(server.session_count(), clients.len());
    let (staying, leaving) = clients.split_at(300);
    for client in &clients {
        assert_eq!(*client.session().id(), client.client_id());
    }
    pass(LIFE - Duration::from_secs(1)).await;
    for client in staying {
        client.connect().await;
    }
    pass(Duration::from_secs(1) + SLACK).await;
    assert_eq!(server.session_count(), staying.len());
    for client in leaving {
        assert!(server.session(&client.client_id()).is_none());
    }
    for client in staying {
        assert_eq!(*client.session().id(), client.client_id());
    }
    pass(LIFE + SLACK).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_with_a_short_life_of_its_own_expires_in_time_wherever_it_stands() {
    let server = server();
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(Client::handshake(&server).await);
    }
    let (short, others) = clients.split_at(100);
    for client in short {
        client.session().set_max_interval(Some(Duration::from_secs(1)));
        client.connect().await;
    }
    // The last ones take the places of those that go.
    for client in others.iter().take(450) {
        client.disconnect().await;
    }
    pass(INTERVAL + Duration::from_secs(1) + SLACK).await;
    assert_eq!(server.session_count(), 450);
    assert!(short.iter().all(|client| server.session(&client.client_id()).is_none()));
}
