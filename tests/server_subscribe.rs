//! The application subscribes: what is published, as a stream.

mod common;

use std::error::Error;

use common::Client;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, InvalidChannel, Message, Reason, Subscription};

#[track_caller]
fn now(subscription: &mut Subscription) -> Message {
    subscription
        .recv()
        .now_or_never()
        .expect("no message")
        .expect("the stream has ended")
}

fn channels(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.recv().now_or_never().flatten())
        .map(|message| message.channel().to_string())
        .collect()
}

#[derive(Debug, Deserialize, PartialEq)]
struct Quote {
    price: u32,
}

#[tokio::test(start_paused = true)]
async fn what_clients_publish_is_heard_with_its_sender() {
    let server = BayeuxServer::new();
    let mut stock = server.subscribe("/stock/*").unwrap();
    assert_eq!(stock.channel(), &"/stock/*");
    let client = Client::connected(&server).await;
    assert_eq!(
        client.publish("/stock/ACME", json!({ "price": 42 })).await["successful"],
        true
    );
    let message = now(&mut stock);
    assert_eq!(message.channel().to_string(), "/stock/ACME");
    assert_eq!(message.data::<Quote>().unwrap(), Quote { price: 42 });
    assert_eq!(message.raw_data(), r#"{"price":42}"#);
    assert_eq!(message.sender(), Some(&client.session()));
}

#[tokio::test(start_paused = true)]
async fn what_the_application_publishes_is_heard_without_a_sender() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    server.publish("/a", &[1, 2]).unwrap();
    let message = now(&mut all);
    assert_eq!(message.data::<Vec<u32>>().unwrap(), [1, 2]);
    assert!(message.sender().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_sender_can_be_answered() {
    let server = BayeuxServer::new();
    let mut questions = server.subscribe("/service/question").unwrap();
    let client = Client::connected(&server).await;
    client.publish("/service/question", json!("why?")).await;
    now(&mut questions)
        .sender()
        .unwrap()
        .deliver("/service/answer", "because")
        .unwrap();
    assert_eq!(
        client.poll().await.events(),
        [("/service/answer".to_owned(), json!("because"))]
    );
}

#[tokio::test(start_paused = true)]
async fn patterns_match_as_they_do_for_clients() {
    let server = BayeuxServer::new();
    let published = ["/a", "/a/b", "/a/b/c", "/ab", "/x/b"];
    for (pattern, heard) in [
        ("/a", &["/a"][..]),
        ("/a/*", &["/a/b"]),
        ("/a/**", &["/a/b", "/a/b/c"]),
        ("/*", &["/a", "/ab"]),
        ("/**", &published),
    ] {
        let mut subscription = server.subscribe(pattern).unwrap();
        for channel in published {
            server.publish(channel, &1).unwrap();
        }
        assert_eq!(channels(&mut subscription), heard, "{pattern}");
    }
}

#[tokio::test(start_paused = true)]
async fn service_channels_are_heard_here_and_nowhere_else() {
    let server = BayeuxServer::new();
    let mut service = server.subscribe("/service/**").unwrap();
    let mut exact = server.subscribe("/service/echo").unwrap();
    let listener = Client::subscribed(&server, "/**").await;
    let client = Client::connected(&server).await;
    client.publish("/service/echo", json!(1)).await;
    assert_eq!(channels(&mut service), ["/service/echo"]);
    assert_eq!(channels(&mut exact), ["/service/echo"]);
    assert!(listener.poll().await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_subscription_hears_for_itself() {
    let server = BayeuxServer::new();
    let mut one = server.subscribe("/a").unwrap();
    let mut same = server.subscribe("/a").unwrap();
    let mut wider = server.subscribe("/**").unwrap();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    for subscription in [&mut one, &mut same, &mut wider] {
        assert_eq!(channels(subscription), ["/a"]);
    }
    assert_eq!(client.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_to_one_session_is_no_publish() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    Client::connected(&server).await.session().deliver("/a", &1).unwrap();
    assert!(channels(&mut all).is_empty());
}

#[tokio::test(start_paused = true)]
async fn meta_messages_are_not_heard() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    Client::subscribed(&server, "/a").await.disconnect().await;
    assert!(channels(&mut all).is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_comes_after_is_heard() {
    let server = BayeuxServer::new();
    server.publish("/before", &1).unwrap();
    let mut all = server.subscribe("/**").unwrap();
    server.publish("/after", &1).unwrap();
    assert_eq!(channels(&mut all), ["/after"]);
}

#[tokio::test(start_paused = true)]
async fn data_of_another_type_is_an_error_with_its_cause() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    server.publish("/a", "text").unwrap();
    let message = now(&mut all);
    let error = message.data::<Quote>().unwrap_err();
    assert!(error.source().unwrap().is::<serde_json::Error>());
    assert_eq!(
        message.data::<String>().unwrap(),
        "text",
        "and can be read as what it is"
    );
}

#[tokio::test(start_paused = true)]
async fn missing_data_is_null() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    let client = Client::connected(&server).await;
    client.send(json!([{ "channel": "/a" }])).await;
    assert_eq!(now(&mut all).data::<Value>().unwrap(), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_reader_misses_is_counted() {
    let server = BayeuxServer::builder().subscription_capacity(2).build();
    let mut slow = server.subscribe("/a").unwrap();
    let other = server.subscribe("/a").unwrap();
    for number in 0..5 {
        server.publish("/a", &number).unwrap();
    }
    assert_eq!((slow.missed(), other.missed()), (3, 3));
    assert_eq!(server.stats().dropped_messages.count(Reason::SubscriptionFull), 6);
    assert_eq!(now(&mut slow).data::<u32>().unwrap(), 0);
    assert_eq!(now(&mut slow).data::<u32>().unwrap(), 1);
    server.publish("/a", &5).unwrap();
    assert_eq!(now(&mut slow).data::<u32>().unwrap(), 5);
    assert_eq!(slow.missed(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_unsubscribes() {
    let server = BayeuxServer::new();
    let one = server.subscribe("/a/*").unwrap();
    let mut other = server.subscribe("/a/*").unwrap();
    assert_eq!(server.channels(), ["/a/*"]);
    drop(one);
    server.publish("/a/b", &1).unwrap();
    assert_eq!(channels(&mut other), ["/a/b"]);
    drop(other);
    assert!(server.channels().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_outlives_the_sessions_that_subscribed_to_the_same() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut subscription = server.subscribe("/a").unwrap();
    client.disconnect().await;
    server.publish("/a", &1).unwrap();
    assert_eq!(channels(&mut subscription), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_server_once_all_is_read() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    server.publish("/a", &1).unwrap();
    drop(server);
    assert_eq!(now(&mut all).channel().to_string(), "/a");
    assert!(all.recv().now_or_never().unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_wakes_who_waits_for_it() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    let reader = tokio::spawn(async move { all.recv().await.map(|message| message.channel().to_string()) });
    tokio::task::yield_now().await;
    server.publish("/a", &1).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), "/a");
}

#[tokio::test(start_paused = true)]
async fn it_is_a_stream() {
    let server = BayeuxServer::new();
    let all = server.subscribe("/**").unwrap();
    for number in 0..3 {
        server.publish("/a", &number).unwrap();
    }
    drop(server);
    let numbers: Vec<u32> = all.map(|message| message.data::<u32>().unwrap()).collect().await;
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn a_bad_pattern_is_refused_with_the_rule_it_breaks() {
    let server = BayeuxServer::new();
    for (pattern, rule) in [
        ("", InvalidChannel::NoLeadingSlash),
        ("a", InvalidChannel::NoLeadingSlash),
        ("/a//b", InvalidChannel::EmptySegment),
        ("/*/a", InvalidChannel::MisplacedWildcard),
        ("/a\n", InvalidChannel::ForbiddenCharacter),
        ("/meta/connect", InvalidChannel::NotAllowedHere),
        ("/meta/*", InvalidChannel::NotAllowedHere),
    ] {
        let error = server.subscribe(pattern).unwrap_err();
        assert_eq!(error.rule(), rule, "{pattern}");
        assert!(error.source().is_none(), "it has said all");
        let said = match rule {
            InvalidChannel::NotAllowedHere => format!("{pattern:?}, a meta channel"),
            rule => format!("{pattern:?}: {rule}"),
        };
        assert_eq!(error.to_string(), format!("can't subscribe to {said}"));
    }
    assert!(server.channels().is_empty());
}

#[test]
fn it_needs_no_runtime() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    server.publish("/a", &1).unwrap();
    assert_eq!(channels(&mut all), ["/a"]);
}
