//! Which channels a subscription to a pattern hears.

mod common;

use common::Client;
use serde_json::json;
use tower_bayeux::BayeuxServer;

/// Of `channels`, those that a subscriber of `pattern` gets a message from.
async fn heard<'a>(pattern: &str, channels: &[&'a str]) -> Vec<&'a str> {
    let server = BayeuxServer::new();
    let subscriber = Client::subscribed(&server, pattern).await;
    let publisher = Client::connected(&server).await;
    let mut heard = Vec::new();
    for &channel in channels {
        server.publish(channel, &1).unwrap();
        let from_server = subscriber.poll().await.events().len();
        publisher.publish(channel, json!(1)).await;
        let from_client = subscriber.poll().await.events().len();
        assert_eq!(from_server, from_client, "{pattern} {channel}");
        assert!(from_server <= 1, "{pattern} {channel}");
        if from_server == 1 {
            heard.push(channel);
        }
    }
    heard
}

const CHANNELS: [&str; 12] = [
    "/a", "/b", "/ab", "/a/b", "/a/c", "/a/bc", "/ab/c", "/a/b/c", "/a/b/c/d", "/b/a", "/b/a/b", "/aa/b/c",
];

#[tokio::test(start_paused = true)]
async fn a_name_hears_itself_alone() {
    assert_eq!(heard("/a", &CHANNELS).await, ["/a"]);
    assert_eq!(heard("/a/b", &CHANNELS).await, ["/a/b"]);
}

#[tokio::test(start_paused = true)]
async fn one_star_is_exactly_one_segment() {
    assert_eq!(heard("/*", &CHANNELS).await, ["/a", "/b", "/ab"]);
    assert_eq!(heard("/a/*", &CHANNELS).await, ["/a/b", "/a/c", "/a/bc"]);
    assert_eq!(heard("/a/b/*", &CHANNELS).await, ["/a/b/c"]);
}

#[tokio::test(start_paused = true)]
async fn two_stars_are_one_segment_or_more() {
    assert_eq!(heard("/**", &CHANNELS).await, CHANNELS);
    assert_eq!(
        heard("/a/**", &CHANNELS).await,
        ["/a/b", "/a/c", "/a/bc", "/a/b/c", "/a/b/c/d"]
    );
    assert_eq!(heard("/a/b/c/**", &CHANNELS).await, ["/a/b/c/d"]);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_does_not_hear_its_own_parent_nor_a_neighbour_with_the_same_beginning() {
    assert_eq!(heard("/a/*", &["/a", "/ab", "/ab/c", "/aa/b"]).await, [] as [&str; 0]);
    assert_eq!(
        heard("/a/**", &["/a", "/ab", "/ab/c", "/ab/c/d"]).await,
        [] as [&str; 0]
    );
}

#[tokio::test(start_paused = true)]
async fn letters_differ_by_case() {
    assert_eq!(heard("/A/*", &["/a/b", "/A/b"]).await, ["/A/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_to_a_session_once_however_many_of_its_patterns_match() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for pattern in ["/a/b/c", "/a/b/*", "/a/b/**", "/a/**", "/**", "/*"] {
        client.subscribe(pattern).await;
    }
    let other = Client::subscribed(&server, "/a/**").await;
    server.publish("/a/b/c", &1).unwrap();
    client.publish("/a/b/c", json!(2)).await;
    let expected = [("/a/b/c".to_owned(), json!(1)), ("/a/b/c".to_owned(), json!(2))];
    assert_eq!(client.poll().await.events(), expected);
    assert_eq!(other.poll().await.events(), expected);
}

#[tokio::test(start_paused = true)]
async fn equal_messages_are_not_taken_for_copies() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    client.subscribe("/*").await;
    for _ in 0..3 {
        server.publish("/a", &"same").unwrap();
    }
    assert_eq!(client.poll().await.events().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_pattern_given_up_leaves_the_others_hearing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let patterns = ["/a/b", "/a/*", "/a/**", "/**"];
    for pattern in patterns {
        client.subscribe(pattern).await;
    }
    for (index, pattern) in patterns.into_iter().enumerate() {
        server.publish("/a/b", &index).unwrap();
        assert_eq!(client.poll().await.events().len(), 1, "before {pattern} goes");
        client
            .ask(json!({ "channel": "/meta/unsubscribe", "subscription": pattern }))
            .await;
    }
    server.publish("/a/b", &"none").unwrap();
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn many_subscribers_of_many_patterns_each_hear_once() {
    let server = BayeuxServer::new();
    let patterns = ["/a/b", "/a/*", "/a/**", "/*", "/**", "/a/c"];
    let mut clients = Vec::new();
    for mask in 0..64_usize {
        let client = Client::connected(&server).await;
        let chosen: Vec<_> = (0..6)
            .filter(|bit| mask >> bit & 1 == 1)
            .map(|bit| patterns[bit])
            .collect();
        for pattern in &chosen {
            client.subscribe(pattern).await;
        }
        clients.push((client, chosen));
    }
    server.publish("/a/b", &1).unwrap();
    for (client, chosen) in clients {
        let matches = ["/a/b", "/a/*", "/a/**", "/**"];
        let expected = usize::from(chosen.iter().any(|pattern| matches.contains(pattern)));
        assert_eq!(client.poll().await.events().len(), expected, "{chosen:?}");
    }
}
