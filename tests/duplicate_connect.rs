//! A second `/meta/connect` of a session takes the place of the one that is held.

mod common;

use std::time::Duration;

use common::{Client, keys, pass};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_bayeux::{BayeuxServer, Outcome, Reason};

fn connect(id: &str) -> Value {
    json!([{ "channel": "/meta/connect", "id": id, "connectionType": "long-polling" }])
}

#[tokio::test(start_paused = true)]
async fn the_older_connect_is_answered_at_once_successfully_and_with_its_own_id() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let started = Instant::now();
    let older = client.hold().await;
    let newer = tokio::spawn({
        let client = client.clone();
        async move { client.send(connect("newer")).await }
    });
    let answer = older.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    let reply = answer.only();
    assert_eq!(keys(&reply), ["advice", "channel", "id", "successful"]);
    assert_eq!(reply["id"], "c");
    assert_eq!(reply["successful"], true);
    assert_eq!(answer.info.unwrap().outcome, Outcome::Connected(Reason::Superseded));
    assert_eq!(newer.await.unwrap().only()["id"], "newer");
    assert_eq!(started.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn the_older_connect_is_answered_though_both_wait_in_one_task() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let started = Instant::now();
    let answered = async |id: &str| {
        client.send(connect(id)).await;
        started.elapsed()
    };
    let (older, newer) = tokio::join!(answered("older"), answered("newer"));
    assert_eq!((older, newer), (Duration::ZERO, Duration::from_secs(30)));
}

#[tokio::test(start_paused = true)]
async fn the_older_connect_is_told_to_pause_so_that_two_tabs_do_not_chase_each_other() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let older = client.hold().await;
    client.poll().await;
    let advice = older.await.unwrap().only()["advice"].clone();
    assert_eq!(advice["reconnect"], "retry");
    assert!(advice["interval"].as_u64().unwrap() >= 1000, "{advice}");
}

#[tokio::test(start_paused = true)]
async fn messages_go_to_the_newer_connect_and_not_to_the_older() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let older = client.hold().await;
    let newer = client.hold_instead().await;
    server.publish("/a", &1).unwrap();
    assert_eq!(newer.await.unwrap().events(), [("/a".to_owned(), json!(1))]);
    assert_eq!(older.await.unwrap().events(), []);
}

#[tokio::test(start_paused = true)]
async fn the_newer_connect_wins_though_a_message_has_come_just_before_it() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let older = client.hold().await;
    // The older one is woken, and has not run yet.
    server.publish("/a", &1).unwrap();
    let newer = client.connect().await;
    assert_eq!(newer.events(), [("/a".to_owned(), json!(1))]);
    assert_eq!(older.await.unwrap().events(), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_doubled_however_often_connects_overtake_each_other() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut received = Vec::new();
    let mut held = client.hold().await;
    for n in 0..100 {
        server.publish("/a", &n).unwrap();
        let (newer, older) = if n % 2 == 0 {
            // Overtaken before it could run, and again by one that is not held.
            (client.connect().await, held.await.unwrap())
        } else {
            let older = held.await.unwrap();
            (client.poll().await, older)
        };
        received.extend(older.events());
        received.extend(newer.events());
        held = client.hold().await;
    }
    let numbers: Vec<_> = received.into_iter().map(|(_, data)| data).collect();
    assert_eq!(numbers, (0..100).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_newer_connect_that_is_not_held_takes_the_place_too() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let started = Instant::now();
    let older = client.hold().await;
    client.poll().await;
    older.await.unwrap();
    let older = client.hold().await;
    client
        .send(json!([{ "channel": "/meta/connect" }, { "channel": "/a", "data": 1 }]))
        .await;
    older.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_newer_connect_that_fails_leaves_the_older_one_held() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    for bad in [
        json!([{ "channel": "/meta/connect", "id": {} }]),
        json!([{ "channel": "/meta/connect", "advice": 5 }]),
    ] {
        assert_eq!(client.send(bad).await.only()["successful"], false);
    }
    let stranger = Client {
        cookie: Some(format!("BAYEUX_BROWSER={}", "0".repeat(40))),
        ..client.clone()
    };
    assert_eq!(stranger.connect().await.only()["successful"], false);
    assert_eq!(server.stats().held_connects, 1);
    server.publish("/a", &1).unwrap();
    assert_eq!(held.await.unwrap().events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_session_lives_on_with_the_newer_connect_only() {
    let server = BayeuxServer::builder()
        .timeout(Duration::from_secs(120))
        .max_interval(Duration::from_secs(5))
        .build();
    let client = Client::connected(&server).await;
    let older = client.hold().await;
    let newer = client.hold_instead().await;
    older.await.unwrap();
    assert_eq!(server.stats().held_connects, 1);
    pass(Duration::from_secs(60)).await;
    assert_eq!(server.session_count(), 1, "the older one's end armed no expiry");
    assert!(!newer.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_session_expires_when_the_newer_connect_was_the_last() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let client = Client::connected(&server).await;
    let older = client.hold().await;
    client.connect().await;
    older.await.unwrap();
    pass(Duration::from_secs(7)).await;
    assert_eq!(server.session_count(), 0);
    assert_eq!(server.stats().sessions_removed.count(Reason::Expired), 1);
}

#[tokio::test(start_paused = true)]
async fn the_session_expires_when_the_newer_connect_was_aborted() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let client = Client::connected(&server).await;
    let older = client.hold().await;
    let newer = client.hold_instead().await;
    older.await.unwrap();
    newer.abort();
    assert!(newer.await.unwrap_err().is_cancelled());
    assert_eq!(server.stats().held_connects, 0);
    pass(Duration::from_secs(7)).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_older_connect_takes_nothing_from_the_newer() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let older = client.hold().await;
    let newer = client.hold_instead().await;
    older.abort();
    server.publish("/a", &1).unwrap();
    assert_eq!(newer.await.unwrap().events().len(), 1);
}
