//! `/meta/unsubscribe`: afterwards the session does not have the subscription, whether or not it had it.

mod common;

use common::{Client, keys};
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

fn unsubscribe(subscription: impl Into<Value>) -> Value {
    json!({ "channel": "/meta/unsubscribe", "id": "u", "subscription": subscription.into() })
}

async fn subscribed(server: &BayeuxServer, subscription: Value) -> Client {
    let client = Client::connected(server).await;
    let message = json!({ "channel": "/meta/subscribe", "subscription": subscription });
    assert_eq!(client.ask(message).await["successful"], true);
    client
}

fn channels(server: &BayeuxServer) -> Vec<String> {
    let mut names: Vec<_> = server.channels().iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn the_reply_has_the_fields_of_a_reply_and_the_subscription_as_it_came() {
    let client = subscribed(&BayeuxServer::new(), json!(["/a", "/b", "/c", "/d"])).await;
    for subscription in [json!("/a"), json!(["/b"]), json!(["/c", "/d"]), json!("/slash/")] {
        let reply = client.ask(unsubscribe(subscription.clone())).await;
        assert_eq!(keys(&reply), ["channel", "id", "subscription", "successful"]);
        assert_eq!(reply["channel"], "/meta/unsubscribe");
        assert_eq!(reply["id"], "u");
        assert_eq!(reply["successful"], true);
        assert_eq!(reply["subscription"], subscription);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_on_a_channel_that_was_given_up() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!(["/a", "/b"])).await;
    let other = subscribed(&server, json!("/a")).await;
    client.ask(unsubscribe("/a")).await;
    server.publish("/a", &1).unwrap();
    server.publish("/b", &2).unwrap();
    assert_eq!(client.poll().await.events(), [("/b".to_owned(), json!(2))]);
    assert_eq!(other.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_before_is_still_delivered() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!("/a")).await;
    server.publish("/a", &1).unwrap();
    client.ask(unsubscribe("/a")).await;
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn every_channel_of_an_array_is_given_up() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!(["/a", "/b", "/c/*", "/d/**"])).await;
    client.ask(unsubscribe(json!(["/d/**", "/a", "/c/*"]))).await;
    assert_eq!(channels(&server), ["/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_pattern_gives_up_the_pattern_and_not_what_it_matches() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!(["/a/b", "/a/*", "/a/**"])).await;
    client.ask(unsubscribe("/a/**")).await;
    assert_eq!(channels(&server), ["/a/*", "/a/b"]);
    client.ask(unsubscribe("/a/*")).await;
    server.publish("/a/b", &1).unwrap();
    server.publish("/a/c", &2).unwrap();
    assert_eq!(client.poll().await.events(), [("/a/b".to_owned(), json!(1))]);
    client.ask(unsubscribe("/**")).await;
    assert_eq!(channels(&server), ["/a/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_channel_still_covered_by_a_pattern_goes_on_to_be_delivered() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!(["/a/b", "/a/*"])).await;
    client.ask(unsubscribe("/a/b")).await;
    server.publish("/a/b", &1).unwrap();
    assert_eq!(client.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn giving_up_what_one_does_not_have_succeeds() {
    let server = BayeuxServer::new();
    let _other = subscribed(&server, json!("/others")).await;
    let client = subscribed(&server, json!("/a")).await;
    for subscription in [
        json!("/others"),
        json!("/nobodys"),
        json!("/nobodys/*"),
        json!(["/a", "/nobodys"]),
        json!("/a"),
        json!(["/a", "/a"]),
    ] {
        let reply = client.ask(unsubscribe(subscription.clone())).await;
        assert_eq!(reply["successful"], true, "{subscription}");
    }
    assert_eq!(channels(&server), ["/others"]);
}

#[tokio::test(start_paused = true)]
async fn a_trailing_slash_makes_no_difference() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!(["/a", "/b/"])).await;
    client.ask(unsubscribe(json!(["/a/", "/b"]))).await;
    assert_eq!(server.channel_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_array_with_a_channel_that_can_not_be_given_up_changes_nothing() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!(["/a", "/b"])).await;
    for bad in [json!("/meta/connect"), json!("/a/*/b"), json!(""), json!(5)] {
        for subscription in [json!([bad, "/a"]), json!(["/a", bad]), json!(["/a", bad, "/b"])] {
            let reply = client.ask(unsubscribe(subscription.clone())).await;
            assert_eq!(reply["successful"], false, "{subscription}");
            assert_eq!(reply["subscription"], subscription);
        }
    }
    assert_eq!(channels(&server), ["/a", "/b"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_channel_is_accepted_without_effect() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for service in [
        json!("/service/x"),
        json!("/service/**"),
        json!(["/service/x", "/service/y"]),
    ] {
        let reply = client.ask(unsubscribe(service.clone())).await;
        assert_eq!(reply["successful"], true, "{service}");
        assert_eq!(reply["subscription"], service);
    }
}

#[tokio::test(start_paused = true)]
async fn meta_channels_are_refused_in_the_words_of_cometd() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for channel in ["/meta/connect", "/meta/handshake", "/meta/*", "/meta/**", "/meta/x"] {
        let reply = client.ask(unsubscribe(channel)).await;
        assert_eq!(keys(&reply), ["channel", "error", "id", "subscription", "successful"]);
        assert_eq!(reply["successful"], false, "{channel}");
        assert_eq!(reply["error"], "403::unsubscribe_failed", "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_empty_subscription_is_told_so() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for message in [
        json!({ "channel": "/meta/unsubscribe" }),
        unsubscribe(json!(null)),
        unsubscribe(json!([])),
    ] {
        let reply = client.ask(message.clone()).await;
        assert_eq!(reply["successful"], false, "{message}");
        assert_eq!(reply["error"], "403::subscription_missing", "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_a_wrong_type_or_name_is_invalid() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!("/a")).await;
    for bad in [
        json!(5),
        json!(true),
        json!({}),
        json!([5]),
        json!([["/a"]]),
        json!("a"),
        json!("/a//b"),
        json!("/a*"),
    ] {
        let reply = client.ask(unsubscribe(bad.clone())).await;
        assert_eq!(reply["successful"], false, "{bad}");
        assert_eq!(reply["error"], "403::subscription_invalid", "{bad}");
        assert_eq!(reply["subscription"], bad);
    }
    assert_eq!(channels(&server), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_given_up_makes_room_for_another() {
    let server = BayeuxServer::builder().max_subscriptions(1).build();
    let client = subscribed(&server, json!("/a")).await;
    client.ask(unsubscribe("/a")).await;
    client.subscribe("/b").await;
    assert_eq!(channels(&server), ["/b"]);
}

#[tokio::test(start_paused = true)]
async fn subscribing_again_afterwards_works() {
    let server = BayeuxServer::new();
    let client = subscribed(&server, json!("/a")).await;
    for n in 0..10 {
        client.ask(unsubscribe("/a")).await;
        client.subscribe("/a").await;
        server.publish("/a", &n).unwrap();
        assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(n))]);
    }
}
