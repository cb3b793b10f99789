//! Rules that hang on channels decide what clients may do there.

mod common;

use common::Client;
use serde_json::{Value, json};
use tower_bayeux::{Authorization, BayeuxServer, ChannelName, Grant, InvalidChannel, Operation, PolicyRequest};

async fn subscribe(client: &Client, channel: &str) -> Value {
    client
        .send(json!([{ "channel": "/meta/subscribe", "subscription": channel }]))
        .await
        .only()
}

fn denying(reason: &'static str) -> impl Fn(Operation, &PolicyRequest<'_>) -> Authorization {
    move |_, _| Authorization::deny(reason)
}

#[tokio::test(start_paused = true)]
async fn a_channel_without_rules_is_free() {
    let server = BayeuxServer::new();
    server.authorize("/ruled/**", Grant::NONE).unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(subscribe(&client, "/free").await["successful"], true);
    assert_eq!(client.publish("/free", json!(1)).await["successful"], true);
    assert_eq!(client.publish("/ruled", json!(1)).await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn where_there_are_rules_one_must_grant() {
    let server = BayeuxServer::new();
    server.authorize("/room/*", Grant::CREATE | Grant::SUBSCRIBE).unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(subscribe(&client, "/room/a").await["successful"], true);
    let reply = client.publish("/room/a", json!(1)).await;
    assert_eq!(reply["error"], "403:denied_by_not_granting:publish_denied");

    server.authorize("/**", Grant::PUBLISH).unwrap();
    assert_eq!(client.publish("/room/a", json!(1)).await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_removed_is_not_asked_any_more() {
    let server = BayeuxServer::new();
    server.authorize("/room/*", Grant::CREATE | Grant::SUBSCRIBE).unwrap();
    let closed = server.authorize("/room/*", denying("closed")).unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(subscribe(&client, "/room/a").await["error"], "403:closed:create_denied");
    assert!(server.remove_authorizer(closed));
    assert_eq!(subscribe(&client, "/room/a").await["successful"], true);
    let reply = client.publish("/room/a", json!(1)).await;
    assert_eq!(
        reply["error"], "403:denied_by_not_granting:publish_denied",
        "the other one stays"
    );
    assert!(!server.remove_authorizer(closed));
}

#[tokio::test(start_paused = true)]
async fn creating_is_granted_apart() {
    let server = BayeuxServer::new();
    server.authorize("/room/*", Grant::SUBSCRIBE | Grant::PUBLISH).unwrap();
    let client = Client::connected(&server).await;
    let reply = subscribe(&client, "/room/a").await;
    assert_eq!(reply["error"], "403:denied_by_not_granting:create_denied");
    let reply = client.publish("/room/a", json!(1)).await;
    assert_eq!(reply["error"], "403:denied_by_not_granting:channel_create_denied");
    let _exists = server.subscribe("/room/a").unwrap();
    assert_eq!(subscribe(&client, "/room/a").await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn one_that_denies_outweighs_all_that_grant() {
    let server = BayeuxServer::new();
    server.authorize("/**", Grant::ALL).unwrap();
    server.authorize("/room/*", denying("no rooms today")).unwrap();
    server.authorize("/room/a", Grant::ALL).unwrap();
    let client = Client::connected(&server).await;
    let reply = client.publish("/room/a", json!(1)).await;
    assert_eq!(reply["error"], "403:no rooms today:channel_create_denied");
    assert_eq!(client.publish("/other", json!(1)).await["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn a_rule_sees_the_operation_the_session_and_the_message() {
    let server = BayeuxServer::new();
    server
        .authorize("/owned/**", |operation: Operation, request: &PolicyRequest<'_>| {
            let owner = request.session().map(|session| session.id().to_string());
            let owns = owner.is_some_and(|owner| request.channel() == format!("/owned/{owner}"));
            match operation {
                Operation::Publish if request.raw_data() == "13" => Authorization::deny("unlucky"),
                _ if owns => Authorization::Grant,
                _ => Authorization::Ignore,
            }
        })
        .unwrap();
    let client = Client::connected(&server).await;
    let own = format!("/owned/{}", client.id);
    assert_eq!(client.publish(&own, json!(1)).await["successful"], true);
    assert_eq!(
        client.publish(&own, json!(13)).await["error"],
        "403:unlucky:publish_denied"
    );
    assert_eq!(client.publish("/owned/x", json!(1)).await["successful"], false);
}

#[tokio::test(start_paused = true)]
async fn patterns_are_asked_about_as_channels_of_their_own() {
    let server = BayeuxServer::new();
    server.authorize("/room/**", Grant::NONE).unwrap();
    let client = Client::connected(&server).await;
    for closed in ["/room/a", "/room/*", "/room/**", "/room/a/**"] {
        assert_eq!(subscribe(&client, closed).await["successful"], false, "{closed}");
    }
    assert_eq!(
        subscribe(&client, "/**").await["successful"],
        true,
        "needs a rule of its own"
    );
}

/// What is published on `/room/7` comes by whatever pattern the client could subscribe to.
#[tokio::test(start_paused = true)]
async fn a_rule_on_a_channel_is_not_asked_about_the_patterns_that_reach_it() {
    for pattern in ["/room/*", "/room/**", "/**"] {
        let server = BayeuxServer::new();
        server.authorize("/room/7", Grant::NONE).unwrap();
        let client = Client::connected(&server).await;
        assert_eq!(subscribe(&client, "/room/7").await["successful"], false);
        assert_eq!(client.publish("/room/7", json!(1)).await["successful"], false);
        assert_eq!(subscribe(&client, pattern).await["successful"], true, "{pattern}");
        server.publish("/room/7", &1).unwrap();
        assert_eq!(client.poll().await.events(), [("/room/7".to_owned(), json!(1))]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_a_covering_pattern_closes_what_it_matches_and_the_patterns_below_it() {
    for (rule, open) in [("/room/*", &["/**"][..]), ("/room/**", &["/**"]), ("/**", &[])] {
        let server = BayeuxServer::new();
        server.authorize(rule, Grant::NONE).unwrap();
        let client = Client::connected(&server).await;
        for channel in ["/room/7", "/room/*", "/room/**", "/**"] {
            let expected = open.contains(&channel);
            let reply = subscribe(&client, channel).await;
            assert_eq!(reply["successful"], expected, "{rule} on {channel}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rule_on_everything_may_close_one_channel_by_whatever_it_is_reached() {
    let server = BayeuxServer::new();
    let closed = |_: Operation, request: &PolicyRequest<'_>| {
        let asked = ChannelName::parse(request.channel());
        if asked.is_ok_and(|asked| asked.matches("/room/7")) {
            return Authorization::deny("closed");
        }
        Authorization::Grant
    };
    server.authorize("/**", closed).unwrap();
    let client = Client::connected(&server).await;
    for reaching in ["/room/7", "/room/*", "/room/**", "/**"] {
        assert_eq!(subscribe(&client, reaching).await["successful"], false, "{reaching}");
    }
    for other in ["/room/8", "/room/7/*", "/room/7/a", "/*", "/lobby"] {
        assert_eq!(subscribe(&client, other).await["successful"], true, "{other}");
    }
    assert_eq!(client.publish("/room/7", json!(1)).await["successful"], false);
    assert_eq!(client.publish("/room/8", json!(1)).await["successful"], true);
    server.publish("/room/7", &7).unwrap();
    assert_eq!(client.poll().await.events(), [("/room/8".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn the_application_is_not_asked() {
    let server = BayeuxServer::new();
    server.authorize("/**", Grant::NONE).unwrap();
    let mut subscription = server.subscribe("/a").unwrap();
    server.publish("/a", &1).unwrap();
    assert_eq!(subscription.recv().await.unwrap().data::<u8>().unwrap(), 1);
}

#[test]
fn a_rule_needs_a_valid_pattern() {
    let refused = BayeuxServer::new().authorize("/a/*/b", Grant::ALL);
    assert_eq!(refused, Err(InvalidChannel::MisplacedWildcard));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_would_never_be_asked_is_refused() {
    let server = BayeuxServer::new();
    for pattern in ["/meta/**", "/meta/*", "/meta/handshake"] {
        let refused = server.authorize(pattern, Grant::NONE);
        assert_eq!(refused, Err(InvalidChannel::NotAllowedHere), "{pattern}");
    }
    // These reach more than that, or nothing of it.
    for pattern in ["/**", "/*", "/meta", "/metal/*"] {
        assert!(server.authorize(pattern, Grant::ALL).is_ok(), "{pattern}");
    }
    Client::subscribed(&server, "/a").await;
}
