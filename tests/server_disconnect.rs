//! `ServerSession::disconnect`: the application ends a session, and its client is told so.

mod common;

use std::time::Duration;

use common::{Answer, Client, advice, pass};
use serde_json::json;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, DeliverError, Event, Reason};

#[track_caller]
fn assert_farewell(answer: &Answer, events: usize) {
    let messages = answer.messages();
    assert_eq!(messages.len(), events + 2, "{messages:?}");
    for (index, event) in messages[..events].iter().enumerate() {
        assert_eq!(event["data"], index);
    }
    assert_eq!(
        messages[events],
        json!({ "channel": "/meta/disconnect", "successful": true })
    );
    let reply = &messages[events + 1];
    assert_eq!(reply["channel"], "/meta/connect");
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["advice"], advice("none", 0, 30_000));
}

#[track_caller]
fn assert_unknown(answer: &Answer) {
    let reply = answer.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"], advice("handshake", 2_000, 30_000));
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_is_answered_at_once_with_the_farewell() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let started = Instant::now();
    let held = client.hold().await;
    client.session().disconnect();
    assert_farewell(&held.await.unwrap(), 0);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_unknown(&client.connect().await);
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_goes_out_before_the_farewell() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    for n in 0..3 {
        server.publish("/a", &n).unwrap();
    }
    client.session().disconnect();
    assert_farewell(&held.await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn where_no_connect_is_held_the_next_one_fetches_queue_and_farewell() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for n in 0..3 {
        server.publish("/a", &n).unwrap();
    }
    client.session().disconnect();
    let started = Instant::now();
    assert_farewell(&client.connect().await, 3);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_unknown(&client.connect().await);
    assert_eq!(server.stats().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_connected_fetches_the_farewell_too() {
    let server = BayeuxServer::new();
    let client = Client::handshake(&server).await;
    client.session().disconnect();
    assert_farewell(&client.connect().await, 0);
    assert_unknown(&client.connect().await);
}

#[tokio::test(start_paused = true)]
async fn a_connect_in_a_batch_fetches_it_and_the_others_fail() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    client.session().disconnect();
    let batch = json!([{ "channel": "/meta/connect" }, { "channel": "/a", "id": "p", "data": 1 }]);
    let messages = client.send(batch).await.messages();
    assert_eq!(
        messages[0],
        json!({ "channel": "/meta/disconnect", "successful": true })
    );
    assert_eq!(messages[1]["error"], "402::session_unknown");
    assert_eq!(messages[2]["advice"]["reconnect"], "none");
}

#[tokio::test(start_paused = true)]
async fn nothing_but_a_connect_is_accepted_of_a_session_that_was_ended() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    client.session().disconnect();
    for message in [
        json!({ "channel": "/meta/subscribe", "subscription": "/b" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }),
        json!({ "channel": "/a", "data": 1 }),
        json!({ "channel": "/meta/disconnect" }),
    ] {
        assert_eq!(
            client.ask(message.clone()).await["error"],
            "402::session_unknown",
            "{message}"
        );
    }
    assert_farewell(&client.connect().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_session_is_gone_for_the_application_at_once() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let session = client.session();
    session.disconnect();
    assert!(!session.is_active());
    assert!(server.session(&client.client_id()).is_none());
    assert!(server.sessions().is_empty());
    assert_eq!(server.session_count(), 0);
    assert_eq!(server.channel_count(), 0);
    let refused = session.deliver("/a", &1).unwrap_err();
    assert!(
        matches!(refused, DeliverError::SessionGone(Reason::ServerDisconnect)),
        "{refused:?}"
    );
    server.publish("/a", &1).unwrap();
    assert_farewell(&client.connect().await, 0);
}

#[tokio::test(start_paused = true)]
async fn ending_a_session_twice_ends_it_once() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let mut events = server.events();
    let session = client.session();
    session.disconnect();
    session.disconnect();
    client.disconnect().await;
    assert_farewell(&client.connect().await, 0);
    session.disconnect();
    server.emit("last");
    let Some(Event::SessionRemoved {
        session,
        reason,
        request,
        ..
    }) = events.recv().await
    else {
        panic!("no removal");
    };
    assert_eq!(session.id().to_string(), client.id);
    assert_eq!(reason, Reason::ServerDisconnect);
    assert!(request.is_none());
    assert!(matches!(events.recv().await, Some(Event::Custom(_))));
    assert_eq!(server.stats().sessions_removed.count(Reason::ServerDisconnect), 1);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_that_nobody_comes_for_is_swept_away() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    client.session().disconnect();
    assert_eq!(server.stats().queued_messages, 2, "the event and the farewell");
    pass(Duration::from_secs(7)).await;
    let stats = server.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    assert_eq!(stats.sessions_removed.total(), 1, "it was removed before");
    assert_unknown(&client.connect().await);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_is_swept_away_though_the_client_keeps_sending_other_messages() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let client = Client::connected(&server).await;
    client.session().disconnect();
    for _ in 0..10 {
        assert_eq!(client.publish("/a", json!(1)).await["successful"], false);
        pass(Duration::from_secs(2)).await;
    }
    assert_eq!(server.stats().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_is_swept_away_though_the_held_connect_was_dropped_before_it_could_go() {
    let server = BayeuxServer::builder().max_interval(Duration::from_secs(5)).build();
    let client = Client::connected(&server).await;
    let held = client.start_held();
    client.session().disconnect();
    drop(held);
    pass(Duration::from_secs(7)).await;
    assert_eq!(server.stats().queued_messages, 0);
    assert_unknown(&client.connect().await);
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_that_was_dropped_leaves_the_farewell_to_the_next() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.start_held();
    client.session().disconnect();
    drop(held);
    assert_farewell(&client.connect().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_client_may_come_again_with_a_new_session() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    client.session().disconnect();
    client.connect().await;
    let again = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(again.poll().await.events().len(), 1);
}

/// The connection breaks between the answer and its sending: the client asks again, and must still be told to go.
#[tokio::test(start_paused = true)]
async fn a_farewell_whose_answer_was_never_sent_can_be_fetched_again() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &0).unwrap();
    client.session().disconnect();
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id }]).to_string();
    for _ in 0..3 {
        let service = BayeuxService::new(common::BASE, server.clone());
        let unsent = service.oneshot(common::post(connect.clone())).await.unwrap();
        drop(unsent);
    }
    assert_farewell(&client.connect().await, 1);
    assert_eq!(client.connect().await.only()["error"], "402::session_unknown");
    let stats = server.stats();
    assert_eq!(
        (stats.lost_messages, stats.queued_messages, stats.queued_bytes),
        (0, 0, 0)
    );
}

/// An answer that was on its way before must not be taken for the farewell.
#[tokio::test(start_paused = true)]
async fn an_answer_made_before_the_end_leaves_the_farewell_to_be_fetched() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &0).unwrap();
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id }]).to_string();
    let service = BayeuxService::new(common::BASE, server.clone());
    let before = service.oneshot(common::post(connect)).await.unwrap();
    client.session().disconnect();
    assert_eq!(common::read(before).await.events().len(), 1);
    assert_farewell(&client.connect().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_that_is_dropped_after_its_session_was_swept_away_is_queued_nowhere() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    client.session().disconnect();
    let answer = client.start_connect().await;
    tokio::time::sleep(Duration::from_secs(32)).await;
    drop(answer);
    let stats = server.stats();
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0));
    assert_eq!(stats.lost_messages, 2);
    assert_unknown(&client.connect().await);
}
