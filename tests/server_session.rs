//! What the application does with one session.

mod common;

use std::{error::Error, sync::Arc, time::Duration};

use common::{Client, pass, poll_once};
use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::json;
use tower_bayeux::{BayeuxServer, ClientId, DeliverError, InvalidChannel, OverflowPolicy, Reason};

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("no such thing"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_to_this_session_alone_subscribed_or_not() {
    let server = BayeuxServer::new();
    let one = Client::connected(&server).await;
    let other = Client::subscribed(&server, "/a").await;
    one.session().deliver("/a", &json!({ "x": 1 })).unwrap();
    assert_eq!(one.poll().await.events(), [("/a".to_owned(), json!({ "x": 1 }))]);
    assert!(other.poll().await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_channel_reaches_the_client_it_is_delivered_to() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    client.session().deliver("/service/answer", "yes").unwrap();
    assert_eq!(
        client.poll().await.events(),
        [("/service/answer".to_owned(), json!("yes"))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_delivery_answers_the_held_connect_at_once() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    client.session().deliver("/a", &1).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(answer.info.unwrap().held, Duration::ZERO);
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn deliveries_and_publishes_keep_their_order() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let session = client.session();
    for number in 0..20 {
        if number % 3 == 0 {
            session.deliver("/a", &number).unwrap();
        } else {
            server.publish("/a", &number).unwrap();
        }
    }
    let numbers: Vec<_> = client.poll().await.events().into_iter().map(|(_, data)| data).collect();
    assert_eq!(numbers, (0..20).map(|number| json!(number)).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_delivery_needs_no_runtime() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    let session = client.session();
    std::thread::spawn(move || session.deliver("/a", &1).unwrap())
        .join()
        .unwrap();
    assert_eq!(held.await.unwrap().events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bad_channel_is_told_apart_by_its_rule() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    for (channel, rule) in [
        ("a", InvalidChannel::NoLeadingSlash),
        ("/", InvalidChannel::NoLeadingSlash),
        ("/a//b", InvalidChannel::EmptySegment),
        ("/ä", InvalidChannel::ForbiddenCharacter),
        ("/*/a", InvalidChannel::MisplacedWildcard),
        ("/a/**", InvalidChannel::NotAllowedHere),
        ("/meta/connect", InvalidChannel::NotAllowedHere),
    ] {
        let error = session.deliver(channel, &1).unwrap_err();
        assert!(
            matches!(&error, DeliverError::Channel { rule: broken, .. } if *broken == rule),
            "{channel}: {error:?}"
        );
    }
    assert!(client.poll().await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn data_that_cannot_be_written_is_an_error_with_its_cause() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let error = client.session().deliver("/a", &Unwritable).unwrap_err();
    assert!(matches!(error, DeliverError::Serialize(_)), "{error:?}");
    assert_eq!(error.source().unwrap().to_string(), "no such thing");
    assert!(client.poll().await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_takes_nothing_and_says_why_it_ended() {
    let server = BayeuxServer::new();
    let gone = |session: &tower_bayeux::ServerSession| match session.deliver("/a", &1) {
        Err(DeliverError::SessionGone(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let client = Client::connected(&server).await;
    let session = client.session();
    client.disconnect().await;
    assert_eq!(gone(&session), Reason::ClientDisconnect);
    let session = Client::connected(&server).await.session();
    session.disconnect();
    assert_eq!(gone(&session), Reason::ServerDisconnect);
    let session = Client::connected(&server).await.session();
    pass(Duration::from_secs(32)).await;
    assert_eq!(gone(&session), Reason::Expired);
    assert_eq!(
        session.deliver("/a", &1).unwrap_err().to_string(),
        "the session has ended (expired)"
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_an_error_that_says_what_became_of_the_session() {
    let with = |policy| BayeuxServer::builder().max_queue_messages(1).overflow(policy).build();
    let server = with(OverflowPolicy::DropNewest);
    let session = Client::connected(&server).await.session();
    session.deliver("/a", &1).unwrap();
    let error = session.deliver("/a", &2).unwrap_err();
    assert!(
        matches!(error, DeliverError::QueueFull(Reason::NewestDropped)),
        "{error:?}"
    );
    assert!(session.is_active());

    let server = with(OverflowPolicy::Disconnect);
    let session = Client::connected(&server).await.session();
    session.deliver("/a", &1).unwrap();
    let error = session.deliver("/a", &2).unwrap_err();
    assert!(
        matches!(error, DeliverError::QueueFull(Reason::QueueOverflow)),
        "{error:?}"
    );
    assert!(!session.is_active());
    assert_eq!(server.session_count(), 0);

    let server = with(OverflowPolicy::DropOldest);
    let client = Client::connected(&server).await;
    client.session().deliver("/a", &1).unwrap();
    client.session().deliver("/a", &2).unwrap();
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(2))]);
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_client_gets_what_was_queued_then_the_farewell() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    session.deliver("/a", &"last words").unwrap();
    session.disconnect();
    assert!(server.session(session.id()).is_none() && server.session_count() == 0);
    let messages = client.connect().await.messages();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[0], json!({ "channel": "/a", "data": "last words" }));
    assert_eq!(messages[1]["channel"], "/meta/disconnect");
    assert_eq!(messages[1]["successful"], true);
    assert_eq!(messages[2]["channel"], "/meta/connect");
    assert_eq!(messages[2]["advice"]["reconnect"], "none");
    let reply = client.connect().await.only();
    assert_eq!(reply["successful"], false, "that was the last one: {reply}");
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_answers_the_held_connect_at_once() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    client.session().disconnect();
    let answer = held.await.unwrap();
    assert_eq!(answer.info.unwrap().held, Duration::ZERO);
    assert_eq!(answer.messages()[0]["channel"], "/meta/disconnect");
    assert_eq!(answer.connect_reply()["advice"]["reconnect"], "none");
    assert_eq!(server.stats().connects_ended.count(Reason::ServerDisconnect), 1);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_whose_connection_breaks_can_be_fetched_again() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.start_held();
    client.session().disconnect();
    drop(held);
    let messages = client.connect().await.messages();
    assert_eq!(messages[0]["channel"], "/meta/disconnect", "{messages:?}");
    assert_eq!(messages[1]["advice"]["reconnect"], "none");
}

#[tokio::test(start_paused = true)]
async fn a_second_disconnect_does_nothing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    session.disconnect();
    session.disconnect();
    client.connect().await;
    session.disconnect();
    let stats = server.stats();
    assert_eq!(stats.sessions_removed.total(), 1);
    assert_eq!(stats.queued_messages, 0);
    assert_eq!(client.connect().await.only()["successful"], false);
}

#[tokio::test(start_paused = true)]
async fn attributes_are_one_per_type_and_shared_by_all_handles() {
    #[derive(Debug, PartialEq)]
    struct Name(&'static str);

    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    assert!(session.attribute::<Name>().is_none());
    assert!(session.insert_attribute(Name("ada")).is_none());
    assert!(session.insert_attribute(5_u32).is_none());
    assert_eq!(client.session().attribute::<Name>().as_deref(), Some(&Name("ada")));
    let replaced = client.session().insert_attribute(Name("grace"));
    assert_eq!(replaced.as_deref(), Some(&Name("ada")));
    assert_eq!(session.attribute::<Name>().as_deref(), Some(&Name("grace")));
    assert_eq!(session.attribute::<u32>().as_deref(), Some(&5));
    assert_eq!(session.remove_attribute::<Name>(), Some(Arc::new(Name("grace"))));
    assert!(session.remove_attribute::<Name>().is_none());
    assert_eq!(session.attribute::<u32>().as_deref(), Some(&5));
}

#[tokio::test(start_paused = true)]
async fn attributes_are_readable_after_the_end() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    session.insert_attribute("user");
    client.disconnect().await;
    assert_eq!(session.attribute::<&str>().as_deref(), Some(&"user"));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_active_until_it_ends() {
    let server = BayeuxServer::new();
    let client = Client::handshake(&server).await;
    let session = client.session();
    assert!(session.is_active());
    client.connect().await;
    assert!(session.is_active());
    client.disconnect().await;
    assert!(!session.is_active());
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_server() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let session = client.session();
    drop((server, client));
    assert!(!session.is_active());
    let delivered = session.deliver("/a", &1);
    assert!(
        matches!(delivered, Err(DeliverError::SessionGone(_))),
        "nobody can ever fetch it: {delivered:?}"
    );
    session.disconnect();
}

#[tokio::test(start_paused = true)]
async fn subscriptions_are_those_of_the_session() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let session = client.session();
    Client::subscribed(&server, "/other").await;
    client.subscribe("/b/*").await;
    client.subscribe("/c").await;
    client
        .send(json!([{ "channel": "/meta/unsubscribe", "subscription": "/c" }]))
        .await;
    let mut channels = session.subscriptions();
    channels.sort();
    assert_eq!(channels, ["/a", "/b/*"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_found_by_its_id_alone() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let id: ClientId = client.id.parse().unwrap();
    let session = server.session(&id).unwrap();
    assert_eq!(session.id(), &id);
    assert_eq!(session.id().to_string(), client.id);
    assert_eq!(session, client.session());
    assert_ne!(session, Client::connected(&server).await.session());
    let unknown: ClientId = "0000000000000000000000000000000000000001".parse().unwrap();
    assert!(server.session(&unknown).is_none());
    assert!(BayeuxServer::new().session(&id).is_none(), "another server");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_held_answers_the_connect_with_the_reason() {
    let server = BayeuxServer::builder().max_queue_messages(1).build();
    let client = Client::connected(&server).await;
    let mut held = client.start_held();
    let session = client.session();
    session.deliver("/a", &1).unwrap();
    session.deliver("/a", &2).unwrap_err();
    let std::task::Poll::Ready(response) = poll_once(&mut held) else {
        panic!("still held");
    };
    let reply = common::read(response).await.only();
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["advice"]["reconnect"], "handshake");
}
