//! Times of single sessions, set by the application.

mod common;

use std::time::Duration;

use common::{Client, advice, pass, send_json};
use serde_json::json;
use tower_bayeux::{BayeuxServer, Event, Reason};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_session_is_held_for_its_own_timeout_and_others_for_the_servers() {
    let server = BayeuxServer::new();
    let one = Client::connected(&server).await;
    one.session().set_timeout(Some(2 * SECOND));
    let answer = one.connect().await;
    assert_eq!(answer.info.unwrap().held, 2 * SECOND);
    assert_eq!(answer.connect_reply()["advice"], advice("retry", 0, 2_000));

    one.session().set_timeout(Some(40 * SECOND));
    assert_eq!(one.connect().await.info.unwrap().held, 40 * SECOND);
    one.session().set_timeout(None);
    assert_eq!(one.connect().await.info.unwrap().held, 30 * SECOND);
    let other = Client::connected(&server).await;
    assert_eq!(other.connect().await.info.unwrap().held, 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn an_own_interval_is_told_from_the_next_reply_on_also_by_a_connect_that_is_held_already() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    client.session().set_interval(Some(3 * SECOND));
    client.session().deliver("/a", &1).unwrap();
    let reply = held.await.unwrap().connect_reply();
    assert_eq!(reply["advice"], advice("retry", 3_000, 30_000));
    let reply = client
        .ask(json!({ "channel": "/meta/connect", "advice": { "timeout": 0, "interval": 100 } }))
        .await;
    assert_eq!(reply["advice"]["interval"], 100, "a client's own choice goes first");
}

#[tokio::test(start_paused = true)]
async fn a_session_expires_by_its_own_times() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    client.session().set_max_interval(Some(2 * SECOND));
    client.session().set_interval(Some(SECOND));
    client.poll().await;
    pass(Duration::from_millis(2_900)).await;
    assert_eq!(server.session_count(), 1);
    pass(Duration::from_millis(1_200)).await;
    assert_eq!(server.session_count(), 0);
    assert_eq!(server.stats().sessions_removed.count(Reason::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn a_longer_life_begins_at_once() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    client.session().set_max_interval(Some(90 * SECOND));
    pass(80 * SECOND).await;
    assert_eq!(client.poll().await.connect_reply()["successful"], true);
    pass(91 * SECOND).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_set_can_be_read() {
    let server = BayeuxServer::new();
    let session = Client::handshake(&server).await.session();
    assert_eq!(
        (session.timeout(), session.interval(), session.max_interval()),
        (None, None, None)
    );
    session.set_timeout(Some(SECOND));
    session.set_interval(Some(2 * SECOND));
    session.set_max_interval(Some(3 * SECOND));
    let times = (session.timeout(), session.interval(), session.max_interval());
    assert_eq!(times, (Some(SECOND), Some(2 * SECOND), Some(3 * SECOND)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_events_may_set_them_before_the_first_connect() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Event::SessionAdded { session, .. } = event {
                session.set_timeout(Some(5 * SECOND));
            }
        }
    });
    let handshake = send_json(&server, json!([{ "channel": "/meta/handshake" }]))
        .await
        .only();
    let client = Client {
        server,
        id: handshake["clientId"].as_str().unwrap().to_owned(),
        cookie: None,
    };
    tokio::task::yield_now().await;
    assert_eq!(client.connect().await.connect_reply()["advice"]["timeout"], 5_000);
    assert_eq!(client.connect().await.info.unwrap().held, 5 * SECOND);
}
