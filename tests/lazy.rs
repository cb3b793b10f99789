//! Lazy messages wait for others to leave with, or for their time.

mod common;

use std::time::Duration;

use common::{Client, pass};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, ChannelSettings, Publication, Reason};

const SECOND: Duration = Duration::from_secs(1);

fn lazy(channel: &str, data: i32) -> Publication {
    Publication::new(channel, &data).unwrap().lazy(true)
}

fn numbers(answer: &common::Answer) -> Vec<Value> {
    answer.events().into_iter().map(|(_, data)| data).collect()
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_waits_until_the_time_of_a_lazy_message_has_come() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    pass(SECOND).await;
    server.send(lazy("/a", 1)).unwrap();
    pass(SECOND).await;
    server.send(lazy("/a", 2)).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(numbers(&answer), [1, 2]);
    let info = answer.info.unwrap();
    assert_eq!(info.held, 6 * SECOND, "five from the first one on");
    assert_eq!(info.outcome, tower_bayeux::Outcome::Connected(Reason::Delivered));
}

#[tokio::test(start_paused = true)]
async fn it_leaves_in_its_place_with_the_next_message_that_is_not_lazy() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    server.send(lazy("/a", 1)).unwrap();
    pass(SECOND).await;
    server.publish("/a", &2).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(numbers(&answer), [1, 2]);
    assert_eq!(answer.info.unwrap().held, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_comes_later_is_held_for_the_rest_of_the_time() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.send(lazy("/a", 1)).unwrap();
    pass(2 * SECOND).await;
    let answer = client.connect().await;
    assert_eq!(numbers(&answer), [1]);
    assert_eq!(answer.info.unwrap().held, 3 * SECOND);

    server.send(lazy("/a", 2)).unwrap();
    pass(6 * SECOND).await;
    let answer = client.connect().await;
    assert_eq!(numbers(&answer), [2]);
    assert_eq!(answer.info.unwrap().held, Duration::ZERO, "its time was over");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_is_answered_for_another_reason_takes_it_along() {
    let server = BayeuxServer::builder().timeout(2 * SECOND).build();
    let client = Client::subscribed(&server, "/a").await;
    server.send(lazy("/a", 1)).unwrap();
    assert_eq!(numbers(&client.poll().await), [1], "one that is not held");

    server.send(lazy("/a", 2)).unwrap();
    let answer = client.connect().await;
    assert_eq!(answer.info.unwrap().held, 2 * SECOND, "one whose timeout is over");
    assert_eq!(numbers(&answer), [2]);

    server.send(lazy("/a", 3)).unwrap();
    let held = client.hold().await;
    client.session().disconnect();
    let messages = held.await.unwrap().messages();
    assert_eq!(messages[0]["data"], 3);
    assert_eq!(messages[1]["channel"], "/meta/disconnect");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_dropped_unsent_is_repeated_at_once() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.send(lazy("/a", 1)).unwrap();
    let mut poll = common::start(
        &server,
        client.request(json!([{ "channel": "/meta/connect", "advice": { "timeout": 0 } }])),
    );
    assert!(common::poll_once(&mut poll).is_ready());
    let answer = client.connect().await;
    assert_eq!(numbers(&answer), [1]);
    assert_eq!(answer.info.unwrap().held, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn one_session_may_be_sent_a_lazy_message_too() {
    let server = BayeuxServer::builder().max_lazy_timeout(SECOND).build();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    client.session().send(lazy("/a", 1)).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(numbers(&answer), [1]);
    assert_eq!(answer.info.unwrap().held, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_lazy_channel_makes_lazy_whatever_is_published_on_it() {
    let server = BayeuxServer::new();
    let settings = ChannelSettings::new().lazy(true).lazy_timeout(2 * SECOND);
    server.configure("/slow/**", settings).unwrap();
    let subscriber = Client::subscribed(&server, "/slow/a/b").await;
    let publisher = Client::connected(&server).await;

    let held = subscriber.hold().await;
    publisher.publish("/slow/a/b", json!(1)).await;
    let answer = held.await.unwrap();
    assert_eq!(
        (numbers(&answer), answer.info.unwrap().held),
        (vec![json!(1)], 2 * SECOND)
    );

    let held = subscriber.hold().await;
    server.publish("/slow/a/b", &2).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(
        (numbers(&answer), answer.info.unwrap().held),
        (vec![json!(2)], 2 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_lazy_parent_does_not() {
    let server = BayeuxServer::new();
    server.configure("/a", ChannelSettings::new().lazy(true)).unwrap();
    let client = Client::subscribed(&server, "/a/b").await;
    let held = client.hold().await;
    server.publish("/a/b", &1).unwrap();
    assert_eq!(held.await.unwrap().info.unwrap().held, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn of_several_lazy_settings_the_shortest_time_counts() {
    let server = BayeuxServer::new();
    let within = |timeout| ChannelSettings::new().lazy(true).lazy_timeout(timeout);
    server.configure("/a", within(4 * SECOND)).unwrap();
    server.configure("/*", within(3 * SECOND)).unwrap();
    server.configure("/**", ChannelSettings::new().lazy(true)).unwrap();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(client.connect().await.info.unwrap().held, 3 * SECOND);

    server.configure("/a", within(Duration::ZERO)).unwrap();
    server.publish("/a", &1).unwrap();
    assert_eq!(
        client.connect().await.info.unwrap().held,
        Duration::ZERO,
        "no time is not lazy"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lazy_message_with_less_time_shortens_the_wait_of_the_others() {
    let server = BayeuxServer::new();
    let settings = ChannelSettings::new().lazy(true).lazy_timeout(SECOND);
    server.configure("/soon", settings).unwrap();
    let client = Client::subscribed(&server, "/**").await;
    let held = client.hold().await;
    server.send(lazy("/late", 1)).unwrap();
    pass(SECOND).await;
    server.publish("/soon", &2).unwrap();
    let answer = held.await.unwrap();
    assert_eq!(
        (numbers(&answer), answer.info.unwrap().held),
        (vec![json!(1), json!(2)], 2 * SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_publication_may_carry_an_ext() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let publication = Publication::new("/a/", "x")
        .unwrap()
        .with_ext("k", &1)
        .with_ext("l", &[2]);
    assert_eq!(publication.channel(), "/a");
    server.send(publication.clone()).unwrap();
    client.session().send(publication).unwrap();
    let messages = client.poll().await.messages();
    let expected = json!({ "channel": "/a", "data": "x", "ext": { "k": 1, "l": [2] } });
    assert_eq!(messages[..2], [expected.clone(), expected]);
}
