//! A message that a client sends again, because its reply was lost, is published once.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{Client, pass, poll_once, start};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, MutableMessage, PolicyRequest, SecurityPolicy, Verdict, call::Data, extension::Fate,
    listener::MessageContext,
};

async fn publish_on(client: &Client, channel: &str, id: Value, data: u32) {
    let reply = client
        .send(json!([{ "channel": channel, "id": id, "data": data }]))
        .await
        .only();
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["id"], id);
}

async fn publish(client: &Client, id: Value, data: u32) {
    publish_on(client, "/a", id, data).await;
}

async fn received(client: &Client) -> Vec<Value> {
    let events = client.poll().await.events();
    events.into_iter().map(|(_, data)| data).collect()
}

fn server(window: usize) -> BayeuxServer {
    BayeuxServer::builder().duplicate_window(window).build()
}

#[tokio::test(start_paused = true)]
async fn it_is_off_by_default() {
    let client = Client::subscribed(&BayeuxServer::new(), "/a").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("1"), 1).await;
    assert_eq!(received(&client).await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_id_is_answered_but_not_published_again() {
    let client = Client::subscribed(&server(10), "/a").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("2"), 1).await;
    publish(&client, json!("1"), 1).await;
    assert_eq!(received(&client).await, [1, 1]);
}

/// As after a reload of the page, whose client goes on with the session and begins to count anew.
#[tokio::test(start_paused = true)]
async fn another_message_with_an_old_id_is_published() {
    let client = Client::subscribed(&server(10), "/*").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("1"), 2).await;
    publish_on(&client, "/b", json!("1"), 1).await;
    publish(&client, json!("1"), 2).await;
    assert_eq!(received(&client).await, [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_number_and_a_string_are_different_ids() {
    let client = Client::subscribed(&server(10), "/a").await;
    publish(&client, json!("1"), 1).await;
    publish(&client, json!(1), 1).await;
    assert_eq!(received(&client).await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn messages_without_an_id_are_never_repeats() {
    let client = Client::subscribed(&server(10), "/a").await;
    for _ in 0..2 {
        client.send(json!([{ "channel": "/a", "data": 1 }])).await;
    }
    assert_eq!(received(&client).await, [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_are_remembered_and_each_session_has_its_own() {
    let server = server(2);
    let client = Client::subscribed(&server, "/a").await;
    for number in [1, 2, 3, 1, 3] {
        publish(&client, json!(number), number).await;
    }
    publish(&Client::connected(&server).await, json!(3), 3).await;
    assert_eq!(received(&client).await, [1, 2, 3, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_deleted_may_be_sent_again() {
    let server = server(10);
    let calls = AtomicUsize::new(0);
    let listener = move |_: &mut MutableMessage, _: &MessageContext<'_>| {
        if calls.fetch_add(1, SeqCst) == 0 {
            return Fate::Delete;
        }
        Fate::Pass
    };
    server.on_message("/a", listener).unwrap();
    let client = Client::subscribed(&server, "/a").await;
    let deleted = client.ask(json!({ "channel": "/a", "id": "1", "data": 1 })).await;
    assert_eq!(deleted["error"], "404::message_deleted");
    publish(&client, json!("1"), 1).await;
    publish(&client, json!("1"), 1).await;
    assert_eq!(received(&client).await, [1]);
}

struct NotAtFirst(AtomicUsize);

impl SecurityPolicy for NotAtFirst {
    async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
        if self.0.fetch_add(1, SeqCst) == 0 {
            return Verdict::deny();
        }
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_denied_may_be_sent_again() {
    let server = BayeuxServer::builder()
        .duplicate_window(10)
        .security_policy(NotAtFirst(AtomicUsize::new(0)))
        .build();
    let client = Client::subscribed(&server, "/a").await;
    let denied = client.ask(json!({ "channel": "/a", "id": "1", "data": 1 })).await;
    assert_eq!(denied["successful"], false);
    publish(&client, json!("1"), 1).await;
    assert_eq!(received(&client).await, [1]);
}

/// A service that takes a second, and how often it was called.
fn slow_service(channel: &str) -> (BayeuxServer, Arc<AtomicUsize>) {
    let server = server(10);
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let service = move || {
        let call = counted.fetch_add(1, SeqCst) + 1;
        async move {
            pass(Duration::from_secs(1)).await;
            Data(call)
        }
    };
    server.service(channel, service).unwrap();
    (server, calls)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_off_is_handled_again_and_its_message_not_published_again() {
    let (server, calls) = slow_service("/a");
    let client = Client::subscribed(&server, "/a").await;
    let mut call = start(
        &server,
        client.request(json!([{ "channel": "/a", "id": "1", "data": 0 }])),
    );
    assert!(poll_once(&mut call).is_pending());
    drop(call);
    assert_eq!(received(&client).await, [0], "it was on its way");
    publish(&client, json!("1"), 0).await;
    assert_eq!(calls.load(SeqCst), 2);
    assert_eq!(received(&client).await, [2], "the answer alone");
    publish(&client, json!("1"), 0).await;
    assert_eq!(calls.load(SeqCst), 2, "it has been answered");
    assert!(received(&client).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_being_handled_is_not_handled_twice() {
    let (server, calls) = slow_service("/service/a");
    let client = Client::connected(&server).await;
    let call = json!([{ "channel": "/service/a", "id": "1", "data": 0 }]);
    let mut first = start(&server, client.request(call.clone()));
    assert!(poll_once(&mut first).is_pending());
    assert_eq!(client.send(call).await.only()["successful"], true);
    first.await;
    assert_eq!(calls.load(SeqCst), 1);
    assert_eq!(received(&client).await, [1]);
}
