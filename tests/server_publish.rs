//! The application publishes.

mod common;

use std::{collections::HashMap, error::Error, time::Duration};

use common::Client;
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, ChannelName, DeliverError, InvalidChannel, LocalError, MutableMessage, PublishError, Reason,
};

#[tokio::test(start_paused = true)]
async fn a_bad_channel_is_told_apart_by_its_rule() {
    let server = BayeuxServer::new();
    let mut all = server.subscribe("/**").unwrap();
    let too_long = format!("/{}", "a".repeat(ChannelName::MAX_LEN));
    for (channel, rule) in [
        ("", InvalidChannel::NoLeadingSlash),
        ("/", InvalidChannel::NoLeadingSlash),
        ("a/b", InvalidChannel::NoLeadingSlash),
        ("/a//b", InvalidChannel::EmptySegment),
        ("//", InvalidChannel::EmptySegment),
        ("/a\"b", InvalidChannel::ForbiddenCharacter),
        ("/a/\u{1F600}", InvalidChannel::ForbiddenCharacter),
        ("/a*", InvalidChannel::MisplacedWildcard),
        ("/*/a", InvalidChannel::MisplacedWildcard),
        (&too_long, InvalidChannel::TooLong),
        ("/a/*", InvalidChannel::NotAllowedHere),
        ("/**", InvalidChannel::NotAllowedHere),
        ("/meta/connect", InvalidChannel::NotAllowedHere),
        ("/meta/x", InvalidChannel::NotAllowedHere),
    ] {
        let error = server.publish(channel, &1).unwrap_err();
        let PublishError::Channel {
            channel: given,
            rule: broken,
        } = error
        else {
            panic!("{channel}: {error:?}");
        };
        assert_eq!((&*given, broken), (channel, rule));
    }
    assert_eq!(server.stats().published_messages, 0);
    drop(server);
    assert!(all.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn data_that_cannot_be_written_reaches_nobody() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let keyed_by_pairs = HashMap::from([((1, 2), 3)]);
    let error = server.publish("/a", &keyed_by_pairs).unwrap_err();
    assert!(matches!(error, PublishError::Serialize(_)), "{error:?}");
    assert!(error.source().unwrap().is::<serde_json::Error>());
    assert!(
        !error.to_string().contains(&error.source().unwrap().to_string()),
        "the cause is told once"
    );
    assert!(client.poll().await.events().is_empty());
    assert_eq!(server.stats().published_messages, 0);
}

#[test]
fn an_error_says_which_channel_it_is_about_and_what_is_wrong_with_it() {
    let server = BayeuxServer::new();
    let long = format!("/{}", "x".repeat(5000));
    let quoted = format!("\"/{}\"…", "x".repeat(63));
    for (channel, said) in [
        (
            "stock/ACME",
            r#""stock/ACME": a channel name starts with a slash and has at least one segment"#,
        ),
        (
            "",
            "\"\": a channel name starts with a slash and has at least one segment",
        ),
        ("/stock/*", r#""/stock/*", a pattern"#),
        ("/meta/x", r#""/meta/x", a meta channel"#),
        (
            "/stock/é",
            r#""/stock/é": a channel name has a character outside the channel alphabet"#,
        ),
        (
            "/a\nb",
            r#""/a\nb": a channel name has a character outside the channel alphabet"#,
        ),
        (&long, &format!("{quoted}: a channel name is longer than 1024 bytes")),
    ] {
        let error = server.publish(channel, &1).unwrap_err();
        assert_eq!(error.to_string(), format!("can't publish on {said}"));
        assert!(error.source().is_none(), "it has said all");
        let error = DeliverError::from(error);
        assert_eq!(error.to_string(), format!("can't deliver on {said}"));
        assert!(error.source().is_none(), "it has said all");
    }
}

#[test]
fn an_error_and_its_causes_say_everything_once() {
    let unwritable = HashMap::from([((1, 2), 3)]);
    let server = BayeuxServer::new();
    let publish = || server.publish("/a", &unwritable).unwrap_err();
    let mut message = MutableMessage::new("/a");
    let write = message.set_data(&unwritable).unwrap_err();
    let read = message.field::<u8>("channel").unwrap_err();
    let again = message.set_data(&unwritable).unwrap_err();
    let errors: [(&str, Box<dyn Error>); 5] = [
        ("the data can't be written as JSON", Box::new(publish())),
        (
            "the data can't be written as JSON",
            Box::new(DeliverError::from(publish())),
        ),
        ("the data can't be written as JSON", Box::new(write)),
        ("the data can't be written as JSON", Box::new(LocalError::from(again))),
        ("the message's data does not fit", Box::new(read)),
    ];
    for (said, error) in errors {
        assert_eq!(error.to_string(), said);
        let cause = error.source().unwrap();
        assert!(cause.is::<serde_json::Error>(), "{cause:?}");
        assert!(cause.source().is_none());
    }
}

#[test]
fn errors_cross_threads() {
    fn assert_error<T: Error + Send + Sync + 'static>() {}
    assert_error::<PublishError>();
    assert_error::<tower_bayeux::DeliverError>();
    assert_error::<tower_bayeux::SubscribeError>();
    assert_error::<tower_bayeux::DataError>();
}

#[test]
fn publishing_needs_no_runtime() {
    let server = BayeuxServer::new();
    server.publish("/a", &1).unwrap();
    assert_eq!(server.stats().published_messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_publish_from_a_plain_thread_answers_a_held_connect() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let publisher = server.clone();
    std::thread::spawn(move || publisher.publish("/a", &"hello").unwrap())
        .join()
        .unwrap();
    let answer = held.await.unwrap();
    assert_eq!(answer.events(), [("/a".to_owned(), json!("hello"))]);
    assert_eq!(answer.info.unwrap().held, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn channels_are_given_in_any_form_and_data_unsized_too() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let name: ChannelName = "/a".parse().unwrap();
    server.publish("/a", "str").unwrap();
    server.publish(String::from("/a"), &String::from("String")).unwrap();
    server.publish(&name, &[1, 2][..]).unwrap();
    server.publish(name, &Value::Null).unwrap();
    server.publish("/a/", &()).unwrap();
    let data: Vec<_> = client.poll().await.events().into_iter().collect();
    let expected = [json!("str"), json!("String"), json!([1, 2]), Value::Null, Value::Null];
    assert_eq!(data, expected.map(|data| ("/a".to_owned(), data)));
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_nobody_hears_succeeds() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/other").await;
    server.publish("/a/b/c", &1).unwrap();
    assert!(client.poll().await.events().is_empty());
    assert_eq!(server.channel_count(), 1, "publishing makes no channel");
}

#[tokio::test(start_paused = true)]
async fn a_session_gets_one_copy_however_many_of_its_patterns_match() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for pattern in ["/a/b/c", "/a/b/*", "/a/b/**", "/a/**", "/**"] {
        client.subscribe(pattern).await;
    }
    server.publish("/a/b/c", &1).unwrap();
    assert_eq!(client.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn service_channels_reach_no_client() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    client.subscribe("/service/x").await;
    server.publish("/service/x", &1).unwrap();
    assert!(client.poll().await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_publishers_messages_arrive_in_order() {
    let server = BayeuxServer::new();
    let reader = Client::subscribed(&server, "/**").await;
    let writer = Client::connected(&server).await;
    let mut expected = Vec::new();
    for round in 0..10 {
        server.publish("/a", &json!([round, 0])).unwrap();
        let batch: Vec<_> = (1..5)
            .map(|number| json!({ "channel": "/a", "data": [round, number] }))
            .collect();
        writer.send(Value::Array(batch)).await;
        expected.extend((0..5).map(|number| ("/a".to_owned(), json!([round, number]))));
    }
    assert_eq!(reader.poll().await.events(), expected);
}

/// Threads publish, clients poll: everything arrives once, and in each publisher's order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_publish_at_once_and_each_ones_order_is_kept() {
    const THREADS: u64 = 8;
    const EACH: u64 = 300;

    let server = BayeuxServer::builder().max_queue_messages(usize::MAX).build();
    let mut readers = Vec::new();
    for index in 0..4 {
        let client = Client::subscribed(&server, "/load/**").await;
        if index % 2 == 0 {
            client.subscribe("/load/*").await;
        }
        readers.push(tokio::spawn(async move {
            let mut got = Vec::new();
            while got.len() < usize::try_from(THREADS * EACH).unwrap() {
                got.extend(client.connect().await.events());
            }
            got
        }));
    }
    let publishers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let server = server.clone();
            std::thread::spawn(move || {
                for number in 0..EACH {
                    server.publish("/load/x", &[thread, number]).unwrap();
                }
            })
        })
        .collect();
    for reader in readers {
        let got = tokio::time::timeout(Duration::from_secs(60), reader)
            .await
            .expect("messages are missing")
            .unwrap();
        let mut next = [0; 8];
        for (_, data) in got {
            let thread = usize::try_from(data[0].as_u64().unwrap()).unwrap();
            assert_eq!(data[1], next[thread], "publisher {thread}");
            next[thread] += 1;
        }
        assert_eq!(next, [EACH; 8]);
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
    let stats = server.stats();
    assert_eq!(stats.published_messages, THREADS * EACH);
    assert_eq!(stats.delivered_messages, 4 * THREADS * EACH);
    assert_eq!(stats.queued_messages, 0);
    assert_eq!(stats.sessions_removed.count(Reason::QueueOverflow), 0);
}

/// Clients come, subscribe and leave while others publish: nothing panics, deadlocks or is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_come_and_go_while_threads_publish() {
    let server = BayeuxServer::builder().max_queue_messages(16).build();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let (server, stop) = (server.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    server.publish("/churn/x", &1).unwrap();
                    std::thread::yield_now();
                }
            })
        })
        .collect();
    let clients: Vec<_> = (0..8)
        .map(|index| {
            let server = server.clone();
            tokio::spawn(async move {
                for round in 0..40 {
                    let client = Client::connected(&server).await;
                    let subscribe =
                        json!([{ "channel": "/meta/subscribe", "subscription": ["/churn/*", "/churn/x", "/**"] }]);
                    client.send(subscribe).await;
                    match (index + round) % 4 {
                        0 => drop(client.connect().await),
                        1 => drop(client.start_connect()),
                        2 => {
                            if let Some(session) = server.session(&client.client_id()) {
                                session.disconnect();
                            }
                        }
                        _ => drop(
                            client
                                .send(json!([{ "channel": "/meta/unsubscribe", "subscription": "/**" }]))
                                .await,
                        ),
                    }
                    client.send(json!([{ "channel": "/meta/disconnect" }])).await;
                    // Fetches a farewell, if there is one.
                    client.poll().await;
                }
            })
        })
        .collect();
    for client in clients {
        tokio::time::timeout(Duration::from_secs(60), client)
            .await
            .expect("deadlock")
            .unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for publisher in publishers {
        publisher.join().unwrap();
    }
    let stats = server.stats();
    assert_eq!((stats.sessions, stats.held_connects), (0, 0), "{stats:?}");
    assert_eq!((stats.queued_messages, stats.queued_bytes), (0, 0), "{stats:?}");
    assert_eq!(stats.sessions_added, stats.sessions_removed.total());
    assert!(server.channels().is_empty());
}
