//! `/meta/subscribe`: all of the channels, or none.

mod common;

use common::{Client, advice, keys, send_json};
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

fn subscribe(subscription: impl Into<Value>) -> Value {
    json!({ "channel": "/meta/subscribe", "id": "s", "subscription": subscription.into() })
}

fn subscribers(server: &BayeuxServer, channel: &str) -> usize {
    server.subscriber_count(channel)
}

fn channels(server: &BayeuxServer) -> Vec<String> {
    let mut names: Vec<_> = server.channels().iter().map(ToString::to_string).collect();
    names.sort();
    names
}

#[tokio::test(start_paused = true)]
async fn the_reply_has_the_fields_of_a_reply_and_the_subscription_as_it_came() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for subscription in [
        json!("/a/b"),
        json!(["/a/b"]),
        json!(["/x", "/y/*"]),
        json!("/slash/"),
        json!(["/z/"]),
    ] {
        let reply = client.ask(subscribe(subscription.clone())).await;
        assert_eq!(keys(&reply), ["channel", "id", "subscription", "successful"]);
        assert_eq!(reply["channel"], "/meta/subscribe");
        assert_eq!(reply["id"], "s");
        assert_eq!(reply["successful"], true);
        assert_eq!(reply["subscription"], subscription);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_gets_what_is_published_from_then_on() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server.publish("/a", &"before").unwrap();
    client.subscribe("/a").await;
    server.publish("/a", &"after").unwrap();
    server.publish("/b", &"elsewhere").unwrap();
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!("after"))]);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_subscribe_before_its_first_connect() {
    let server = BayeuxServer::new();
    let client = Client::handshake(&server).await;
    client.subscribe("/a").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(client.connect().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn every_channel_of_an_array_is_subscribed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    client.ask(subscribe(json!(["/a", "/b/c", "/d/*", "/e/**"]))).await;
    assert_eq!(channels(&server), ["/a", "/b/c", "/d/*", "/e/**"]);
    for channel in ["/a", "/b/c", "/d/1", "/e/1/2"] {
        server.publish(channel, &1).unwrap();
    }
    assert_eq!(client.poll().await.events().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn wildcards_may_be_subscribed_also_at_the_root() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for pattern in ["/*", "/**", "/a/*", "/a/**", "/a/b/c/d/**"] {
        client.subscribe(pattern).await;
        assert_eq!(subscribers(&server, pattern), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn subscribing_again_succeeds_and_changes_nothing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for subscription in [
        json!("/a"),
        json!("/a"),
        json!(["/a", "/a"]),
        json!("/a/"),
        json!(["/a/", "/a"]),
    ] {
        assert_eq!(client.ask(subscribe(subscription)).await["successful"], true);
    }
    assert_eq!(subscribers(&server, "/a"), 1);
    server.publish("/a", &1).unwrap();
    assert_eq!(client.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_array_with_a_channel_that_can_not_be_had_subscribes_none() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for bad in [
        json!("/meta/connect"),
        json!("/a/*/b"),
        json!("x"),
        json!(""),
        json!(5),
        json!(null),
    ] {
        for subscription in [
            json!([bad, "/a", "/b"]),
            json!(["/a", bad, "/b"]),
            json!(["/a", "/b", bad]),
        ] {
            let reply = client.ask(subscribe(subscription.clone())).await;
            assert_eq!(reply["successful"], false, "{subscription}");
            assert_eq!(reply["subscription"], subscription);
        }
    }
    assert_eq!(channels(&server), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_service_channel_is_accepted_without_effect() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for service in ["/service/x", "/service/*", "/service/**", "/service/x/y"] {
        let reply = client.ask(subscribe(service)).await;
        assert_eq!(reply["successful"], true, "{service}");
        assert_eq!(reply["subscription"], service);
    }
    assert_eq!(server.channel_count(), 0);
    client.publish("/service/x", json!(1)).await;
    server.publish("/service/x", &2).unwrap();
    assert_eq!(client.poll().await.events(), []);

    client.ask(subscribe(json!(["/service/x", "/a"]))).await;
    assert_eq!(channels(&server), ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn meta_channels_are_refused_in_the_words_of_cometd() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let exist = [
        "/meta/handshake",
        "/meta/connect",
        "/meta/subscribe",
        "/meta/unsubscribe",
        "/meta/disconnect",
    ];
    let do_not = ["/meta/*", "/meta/**", "/meta/x", "/meta/connect/x", "/meta/connect/*"];
    let denied = "403:denied_by_security_policy:subscribe_denied";
    let not_created = "403:denied_by_security_policy:create_denied";
    let cases = exist
        .map(|name| (name, denied))
        .into_iter()
        .chain(do_not.map(|name| (name, not_created)));
    for (channel, error) in cases {
        let reply = client.ask(subscribe(channel)).await;
        assert_eq!(keys(&reply), ["channel", "error", "id", "subscription", "successful"]);
        assert_eq!(reply["error"], error, "{channel}");
        assert_eq!(reply["successful"], false, "{channel}");
        assert_eq!(reply["subscription"], channel);
    }
    assert_eq!(server.channel_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_wildcards_of_everything_do_not_include_meta_messages() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    let other = Client::subscribed(&server, "/meta2/x").await;
    other.disconnect().await;
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_empty_subscription_is_told_so() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let missing = "403::subscription_missing";
    for (message, echo) in [
        (json!({ "channel": "/meta/subscribe" }), None),
        (subscribe(json!(null)), None),
        (subscribe(json!([])), Some(json!([]))),
    ] {
        let reply = client.ask(message.clone()).await;
        assert_eq!(reply["successful"], false, "{message}");
        assert_eq!(reply["error"], missing, "{message}");
        assert_eq!(reply.get("subscription").cloned(), echo, "{message}");
        assert!(reply.get("advice").is_none(), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_subscription_of_a_wrong_type_or_name_is_invalid() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for bad in [
        json!(5),
        json!(true),
        json!({ "channel": "/a" }),
        json!([5]),
        json!(["/a", 5]),
        json!([["/a"]]),
        json!(""),
        json!("/"),
        json!("//"),
        json!("a"),
        json!("/a//b"),
        json!("/a//"),
        json!("/*/a"),
        json!("/**/a"),
        json!("/a*"),
        json!("/a/***"),
        json!("/a\u{e4}"),
        json!("/a\nb"),
        json!("/a\"b"),
        json!("/a,/b"),
        json!(format!("/{}", "a".repeat(10_000))),
    ] {
        let reply = client.ask(subscribe(bad.clone())).await;
        assert_eq!(reply["successful"], false, "{bad}");
        assert_eq!(reply["error"], "403::subscription_invalid", "{bad}");
        assert_eq!(reply["subscription"], bad);
    }
    assert_eq!(server.channel_count(), 0);
    assert_eq!(client.poll().await.only()["advice"], advice("retry", 0, 30_000));
}

#[tokio::test(start_paused = true)]
async fn the_whole_alphabet_of_cometd_and_salesforce_may_be_subscribed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for channel in ["/a-zA-Z0-9", "/ !#$()+-.@_{}~", "/topic/Contact__e?x=1&y=2", "/a.b/c d"] {
        client.subscribe(channel).await;
        server.publish(channel, &1).unwrap();
        assert_eq!(client.poll().await.events(), [(channel.to_owned(), json!(1))]);
    }
}

#[tokio::test(start_paused = true)]
async fn replay_ids_of_salesforce_clients_are_ignored() {
    let server = BayeuxServer::new();
    server
        .publish("/event/Order__e", &json!({ "event": { "replayId": 1 } }))
        .unwrap();
    let hello = json!([{ "channel": "/meta/handshake", "version": "1.0", "ext": { "replay": true } }]);
    let reply = send_json(&server, hello).await.only();
    assert_eq!(reply["successful"], true);
    assert_eq!(reply.get("ext"), None);

    for position in [json!(-2), json!("-2"), json!(1), json!(null)] {
        let client = Client::connected(&server).await;
        let mut message = subscribe("/event/Order__e");
        message["ext"] = json!({ "replay": { "/event/Order__e": position } });
        let reply = client.ask(message).await;
        assert_eq!(reply["successful"], true, "{position}");
        assert_eq!(reply.get("ext"), None, "{position}");
        server.publish("/event/Order__e", &2).unwrap();
        assert_eq!(client.poll().await.events(), [("/event/Order__e".to_owned(), json!(2))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_has_as_many_subscriptions_as_it_may_and_no_more() {
    let server = BayeuxServer::builder().max_subscriptions(3).build();
    let client = Client::connected(&server).await;
    let ok = async |subscription: Value| client.ask(subscribe(subscription)).await["successful"].clone();
    assert_eq!(ok(json!(["/a", "/b", "/c", "/d"])).await, false);
    assert_eq!(server.channel_count(), 0, "all or nothing");
    assert_eq!(ok(json!(["/a", "/b"])).await, true);
    assert_eq!(ok(json!(["/b", "/c", "/d"])).await, false);
    assert_eq!(
        ok(json!(["/a", "/b", "/c", "/service/x", "/c"])).await,
        true,
        "known ones and services are free"
    );
    let reply = client.ask(subscribe("/d")).await;
    assert_eq!(reply["error"], "403::subscribe_failed");
    assert_eq!(ok(json!("/a")).await, true);
    assert_eq!(channels(&server), ["/a", "/b", "/c"]);

    let other = Client::connected(&server).await;
    assert_eq!(
        other.ask(subscribe("/d")).await["successful"],
        true,
        "the limit is each session's own"
    );
}

#[tokio::test(start_paused = true)]
async fn subscribe_publish_and_connect_work_in_one_request() {
    let client = Client::connected(&BayeuxServer::new()).await;
    let batch = json!([
        subscribe("/a"),
        { "channel": "/a", "data": 1 },
        { "channel": "/meta/connect" },
    ]);
    assert_eq!(client.send(batch).await.events(), [("/a".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_hears_of_a_channel_subscribed_meanwhile() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let held = client.hold().await;
    client.subscribe("/a").await;
    assert!(!held.is_finished());
    server.publish("/a", &1).unwrap();
    assert_eq!(held.await.unwrap().events().len(), 1);
}
