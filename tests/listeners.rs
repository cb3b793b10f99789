//! Message listeners and data filters: who sees what is published before it goes out, and may change or delete it.

mod common;

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
};

use common::{Client, post, send};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, InvalidChannel, MutableMessage, PublishError, Reason,
    call::Data,
    extension::Fate,
    listener::{DataFilter, MessageContext},
};

fn on(server: &BayeuxServer, pattern: &str, listener: impl Fn(&mut MutableMessage) -> Fate + Send + Sync + 'static) {
    let listener = move |message: &mut MutableMessage, _: &MessageContext<'_>| listener(message);
    server.on_message(pattern, listener).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_listener_makes_of_a_message_is_what_subscribers_get() {
    let server = BayeuxServer::new();
    on(&server, "/a", |message| {
        let data: Value = message.data().unwrap();
        message.set_data(&json!({ "was": data })).unwrap();
        message.set_field("more", &1).unwrap();
        message.set_field("channel", "/elsewhere").unwrap();
        Fate::Pass
    });
    let client = Client::subscribed(&server, "/a").await;
    let mut own = server.subscribe("/a").unwrap();
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    server.publish("/a", &2).unwrap();
    let messages = client.poll().await.messages();
    assert_eq!(messages[0], json!({ "channel": "/a", "data": { "was": 1 }, "more": 1 }));
    assert_eq!(messages[1]["data"], json!({ "was": 2 }));
    assert_eq!(own.recv().await.unwrap().data::<Value>().unwrap(), json!({ "was": 1 }));
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_delete_a_message_and_its_publisher_is_told() {
    let server = BayeuxServer::new();
    on(&server, "/a/*", |message| {
        if message.data::<u8>().is_ok() {
            Fate::Pass
        } else {
            Fate::Delete
        }
    });
    let client = Client::subscribed(&server, "/**").await;
    let reply = client.publish("/a/b", json!("text")).await;
    let deleted = json!({ "channel": "/a/b", "id": "p", "successful": false, "error": "404::message_deleted" });
    assert_eq!(reply, deleted);
    assert!(matches!(server.publish("/a/b", "text"), Err(PublishError::Deleted)));
    server.publish("/a/b", &1).unwrap();
    server.publish("/a", "text").unwrap();
    let events = client.poll().await.events();
    assert_eq!(
        events,
        [("/a/b".to_owned(), json!(1)), ("/a".to_owned(), json!("text"))]
    );
    assert_eq!(server.stats().dropped_messages.count(Reason::Deleted), 2);
}

#[tokio::test(start_paused = true)]
async fn all_that_match_are_asked_from_the_root_down_until_one_deletes() {
    let server = BayeuxServer::new();
    for pattern in ["/a/b", "/a/*", "/**", "/a/**", "/a/b", "/c"] {
        on(&server, pattern, move |message| {
            let mut asked: Vec<String> = message.data().unwrap();
            if asked.len() == 4 && asked[0] == "stop" {
                return Fate::Delete;
            }
            asked.push(pattern.to_owned());
            message.set_data(&asked).unwrap();
            Fate::Pass
        });
    }
    let client = Client::subscribed(&server, "/a/b").await;
    let none: [&str; 0] = [];
    server.publish("/a/b/", &none).unwrap();
    assert!(server.publish("/a/b", &["stop"]).is_err());
    let events = client.poll().await.events();
    assert_eq!(
        events,
        [("/a/b".to_owned(), json!(["/**", "/a/**", "/a/*", "/a/b", "/a/b"]))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_listener_knows_who_publishes_and_by_which_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = BayeuxServer::builder().unconnected_publish(true).build();
    let noting = Arc::clone(&seen);
    let listener = move |_: &mut MutableMessage, context: &MessageContext<'_>| {
        let sender = context.sender().map(|sender| sender.id().to_string());
        noting
            .lock()
            .unwrap()
            .push((context.channel().to_owned(), sender, context.request().is_some()));
        Fate::Pass
    };
    server.on_message("/**", listener).unwrap();
    let client = Client::connected(&server).await;
    client.publish("/a/", json!(1)).await;
    send(&server, post(json!([{ "channel": "/b", "data": 1 }]).to_string())).await;
    server.publish("/c", &1).unwrap();
    let expected = [
        ("/a".to_owned(), Some(client.id.clone()), true),
        ("/b".to_owned(), None, true),
        ("/c".to_owned(), None, false),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn listeners_come_before_services_and_hear_service_channels() {
    let server = BayeuxServer::new();
    on(&server, "/service/*", |message| match message.data::<u32>() {
        Ok(0) | Err(_) => Fate::Delete,
        Ok(number) => {
            message.set_data(&(number * 10)).unwrap();
            Fate::Pass
        }
    });
    server
        .service("/service/echo", |data: Data<u32>| async move { data })
        .unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(
        client.publish("/service/echo", json!(0)).await["error"],
        "404::message_deleted"
    );
    assert_eq!(client.publish("/service/echo", json!(7)).await["successful"], true);
    let messages = client.poll().await.messages();
    assert_eq!(
        messages[0],
        json!({ "channel": "/service/echo", "id": "p", "successful": true, "data": 70 })
    );
    assert_eq!(messages.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_policy_denies_is_not_shown() {
    let server = BayeuxServer::new();
    server.authorize("/**", tower_bayeux::Grant::NONE).unwrap();
    on(&server, "/**", |_| panic!("it was shown"));
    let client = Client::connected(&server).await;
    let reply = client.publish("/a", json!(1)).await;
    assert_eq!(reply["error"], "403:denied_by_not_granting:channel_create_denied");
}

#[tokio::test(start_paused = true)]
async fn a_publishers_ext_stays_behind_unless_a_listener_puts_one_there() {
    let server = BayeuxServer::new();
    on(&server, "/marked", |message| {
        assert!(!message.has_ext("secret"));
        message.set_ext("mark", &1).unwrap();
        Fate::Pass
    });
    let client = Client::subscribed(&server, "/marked").await;
    client
        .ask(json!({ "channel": "/marked", "data": 1, "ext": { "secret": 1 } }))
        .await;
    let event = json!({ "channel": "/marked", "data": 1, "ext": { "mark": 1 } });
    assert_eq!(client.poll().await.messages()[0], event);
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_deletes_the_message_and_nobody_else_notices() {
    let server = BayeuxServer::new();
    on(&server, "/a", |message| {
        assert_ne!(message.data::<u8>().unwrap(), 13, "on purpose");
        Fate::Pass
    });
    let client = Client::subscribed(&server, "/a").await;
    assert_eq!(client.publish("/a", json!(13)).await["error"], "404::message_deleted");
    server.publish("/a", &13).unwrap_err();
    server.publish("/a", &14).unwrap();
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(14))]);
}

#[tokio::test(start_paused = true)]
async fn one_may_publish_disconnect_and_add_listeners() {
    let server = BayeuxServer::new();
    let own = Mutex::new(Some(server.clone()));
    let listener = move |_: &mut MutableMessage, context: &MessageContext<'_>| {
        // Once, or each of its own publishes would call it again.
        let server = own.lock().unwrap().take();
        if let Some(server) = server {
            server.publish("/a", "again").unwrap();
            server
                .on_message("/x", |_: &mut MutableMessage, _: &MessageContext<'_>| Fate::Pass)
                .unwrap();
            let _ = (
                server.sessions(),
                server.stats(),
                server.channels(),
                server.subscribe("/a").unwrap(),
            );
            context.sender().unwrap().disconnect();
        }
        Fate::Pass
    };
    server.on_message("/a", listener).unwrap();
    let other = Client::subscribed(&server, "/a").await;
    let client = Client::connected(&server).await;
    assert_eq!(client.publish("/a", json!("first")).await["successful"], true);
    let events = other.poll().await.events();
    assert_eq!(
        events,
        [("/a".to_owned(), json!("again")), ("/a".to_owned(), json!("first"))]
    );
    assert!(server.session(&client.client_id()).is_none());
}

#[test]
fn bad_patterns_and_meta_channels_are_refused() {
    let server = BayeuxServer::new();
    let listener = |_: &mut MutableMessage, _: &MessageContext<'_>| Fate::Pass;
    assert_eq!(
        server.on_message("/a/*/b", listener),
        Err(InvalidChannel::MisplacedWildcard)
    );
    assert_eq!(
        server.on_message("/meta/*", listener),
        Err(InvalidChannel::NotAllowedHere)
    );
}

// Data filters

#[tokio::test(start_paused = true)]
async fn a_filter_sees_each_text_at_any_depth() {
    let server = BayeuxServer::new();
    let shout = DataFilter::new(|text: &str| Some(Cow::Owned(text.to_uppercase())));
    server.on_message("/a", shout).unwrap();
    let client = Client::subscribed(&server, "/a").await;
    client
        .publish("/a", json!({ "key": ["one", { "two": "three" }, 4, null, true] }))
        .await;
    let expected = json!({ "key": ["ONE", { "two": "THREE" }, 4, null, true] });
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), expected)]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_may_delete_the_message_because_of_one_text() {
    let server = BayeuxServer::new();
    let filter = DataFilter::new(|text: &str| (text != "bad").then_some(Cow::Borrowed(text)));
    server.on_message("/a", filter).unwrap();
    server.publish("/a", &json!({ "bad": [1, "good"] })).unwrap();
    assert!(matches!(
        server.publish("/a", &json!([["good"], ["bad"]])),
        Err(PublishError::Deleted)
    ));
}

#[tokio::test(start_paused = true)]
async fn data_that_a_filter_leaves_alone_goes_on_letter_by_letter() {
    let server = BayeuxServer::new();
    server.on_message("/a", DataFilter::no_markup()).unwrap();
    let client = Client::subscribed(&server, "/a").await;
    let data = r#"{"z":1.0e2,"a":"harmless"}"#;
    let message = format!(r#"[{{"channel":"/a","clientId":"{}","data":{data}}}]"#, client.id);
    client.send_text(message).await;
    let body = client.poll().await.body;
    assert!(
        body.starts_with(format!(r#"[{{"channel":"/a","data":{data}}},"#).as_bytes()),
        "{body:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn markup_is_made_harmless() {
    let server = BayeuxServer::new();
    server.on_message("/chat/**", DataFilter::no_markup()).unwrap();
    let client = Client::subscribed(&server, "/chat/room").await;
    client
        .publish("/chat/room", json!({ "text": "<b>Tom & 'Jerry'</b>" }))
        .await;
    let text = json!({ "text": "&lt;b&gt;Tom &amp; &#39;Jerry&#39;&lt;/b&gt;" });
    assert_eq!(client.poll().await.events(), [("/chat/room".to_owned(), text)]);
}
