//! Events: who came, what they subscribed to, who left and why.

mod common;

use std::time::Duration;

use common::{Client, pass, post, send};
use futures_util::{FutureExt, StreamExt};
use http::{HeaderValue, Method};
use serde_json::{Value, json};
use tower_bayeux::{BayeuxServer, Event, EventStream, Reason};

/// The next event, which has happened already.
#[track_caller]
fn now(events: &mut EventStream) -> Event {
    events
        .recv()
        .now_or_never()
        .expect("no event")
        .expect("the stream has ended")
}

#[track_caller]
fn assert_none(events: &mut EventStream) {
    if let Some(event) = events.recv().now_or_never() {
        panic!("{event:?}");
    }
}

/// An event in one line.
fn line(event: &Event) -> String {
    let list =
        |channels: &[tower_bayeux::ChannelName]| channels.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let by = |request: bool| if request { "with request" } else { "without request" };
    match event {
        Event::SessionAdded { .. } => "added".into(),
        Event::Subscribed { channels, .. } => format!("subscribed {}", list(channels)),
        Event::Unsubscribed { channels, request, .. } => {
            format!("unsubscribed {} {}", list(channels), by(request.is_some()))
        }
        Event::SessionRemoved { reason, request, .. } => format!("removed {reason} {}", by(request.is_some())),
        Event::Custom(_) => "custom".into(),
        Event::Missed(count) => format!("missed {count}"),
        other => format!("{other:?}"),
    }
}

fn lines(events: &mut EventStream) -> Vec<String> {
    std::iter::from_fn(|| events.recv().now_or_never().flatten())
        .map(|event| line(&event))
        .collect()
}

#[derive(Clone, Debug, PartialEq)]
struct User(&'static str);

#[tokio::test(start_paused = true)]
async fn a_new_session_is_announced_with_its_request() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    let mut request = post(r#"[{"channel":"/meta/handshake","version":"1.0"}]"#);
    request
        .headers_mut()
        .insert("x-tenant", HeaderValue::from_static("acme"));
    request.extensions_mut().insert(User("ada"));
    let answer = send(&server, request).await;
    let Event::SessionAdded { session, request, .. } = now(&mut events) else {
        panic!("another event");
    };
    assert_eq!(session.id().to_string(), answer.only()["clientId"].as_str().unwrap());
    assert!(session.is_active());
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.uri.path(), common::BASE);
    assert_eq!(request.headers["x-tenant"], "acme");
    assert_eq!(request.extensions.get(), Some(&User("ada")));
    assert_none(&mut events);
}

#[tokio::test(start_paused = true)]
async fn requests_are_visible_in_every_event_that_one_caused() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let mut events = server.events();
    for message in [
        json!({ "channel": "/meta/subscribe", "subscription": "/a" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }),
        json!({ "channel": "/meta/disconnect" }),
    ] {
        let mut request = client.request(json!([message]));
        request.extensions_mut().insert(User("grace"));
        send(&server, request).await;
        let request = match now(&mut events) {
            Event::Subscribed { request, .. } => request,
            Event::Unsubscribed { request, .. } | Event::SessionRemoved { request, .. } => request.unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(request.extensions.get(), Some(&User("grace")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_is_told_in_order() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    let client = Client::subscribed(&server, "/a").await;
    client.subscribe("/b/*").await;
    client
        .send(json!([{ "channel": "/meta/unsubscribe", "subscription": "/a" }]))
        .await;
    client.publish("/b/c", json!(1)).await;
    client.disconnect().await;
    assert_eq!(
        lines(&mut events),
        [
            "added",
            "subscribed /a",
            "subscribed /b/*",
            "unsubscribed /a with request",
            "unsubscribed /b/* with request",
            "removed client_disconnect with request",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn only_new_subscriptions_are_announced_in_the_order_listed() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/b").await;
    let mut events = server.events();
    client
        .send(json!([{ "channel": "/meta/subscribe", "subscription": ["/c", "/b", "/a/**", "/a/x"] }]))
        .await;
    assert_eq!(lines(&mut events), ["subscribed /c /a/** /a/x"]);
    client
        .send(json!([{ "channel": "/meta/subscribe", "subscription": ["/b", "/c"] }]))
        .await;
    assert_none(&mut events);
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_is_no_event() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut events = server.events();
    for message in [
        json!({ "channel": "/meta/subscribe", "subscription": ["/b", "/meta/x"] }),
        json!({ "channel": "/meta/subscribe", "subscription": ["/b", "no"] }),
        json!({ "channel": "/meta/subscribe", "subscription": "/service/x" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/b" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/service/x" }),
        json!({ "channel": "/meta/disconnect", "clientId": "0000000000000000000000000000000000000000" }),
        json!({ "channel": "/a", "data": 1 }),
        json!({ "channel": "/meta/connect", "advice": { "timeout": 0 } }),
    ] {
        client.send(json!([message])).await;
        assert_none(&mut events);
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_was_subscribed_is_unsubscribed() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut events = server.events();
    client
        .send(json!([{ "channel": "/meta/unsubscribe", "subscription": ["/b", "/a"] }]))
        .await;
    assert_eq!(lines(&mut events), ["unsubscribed /a with request"]);
}

#[tokio::test(start_paused = true)]
async fn the_removal_says_why_and_the_subscriptions_are_still_visible() {
    let server = BayeuxServer::builder().max_queue_messages(1).build();
    let mut events = server.events();
    let mut check = async |reason: Reason, how: &dyn Fn(Client) -> futures_util::future::BoxFuture<'static, ()>| {
        let client = Client::subscribed(&server, "/a").await;
        client.subscribe("/b/*").await;
        lines(&mut events);
        how(client).await;
        let Event::Unsubscribed {
            mut channels, session, ..
        } = now(&mut events)
        else {
            panic!("another event, {reason}");
        };
        channels.sort();
        assert_eq!(channels, ["/a", "/b/*"], "{reason}");
        assert!(!session.is_active(), "{reason}");
        let Event::SessionRemoved {
            session,
            reason: told,
            request,
            ..
        } = now(&mut events)
        else {
            panic!("another event, {reason}");
        };
        assert_eq!(told, reason);
        assert_eq!(request.is_some(), reason == Reason::ClientDisconnect);
        let mut channels = session.subscriptions();
        channels.sort();
        assert_eq!(channels, ["/a", "/b/*"], "{reason}");
        assert!(!session.is_active(), "{reason}");
        assert_none(&mut events);
        assert!(server.channels().is_empty(), "{reason}");
    };
    check(Reason::ClientDisconnect, &|client| {
        async move {
            client.disconnect().await;
        }
        .boxed()
    })
    .await;
    check(Reason::ServerDisconnect, &|client| {
        async move {
            client.session().disconnect();
            client.session_is_gone();
        }
        .boxed()
    })
    .await;
    check(Reason::Expired, &|_| pass(Duration::from_secs(32)).boxed()).await;
    check(Reason::QueueOverflow, &|client| {
        async move {
            client.server.publish("/a", &1).unwrap();
            client.server.publish("/a", &2).unwrap();
        }
        .boxed()
    })
    .await;
}

impl Client {
    #[track_caller]
    fn session_is_gone(&self) {
        assert!(self.server.session(&self.client_id()).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_without_subscriptions_is_removed_without_an_unsubscribed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let mut events = server.events();
    client.disconnect().await;
    assert_eq!(lines(&mut events), ["removed client_disconnect with request"]);
}

#[tokio::test(start_paused = true)]
async fn each_stream_sees_everything_from_its_making_on() {
    let server = BayeuxServer::new();
    let mut first = server.events();
    let client = Client::connected(&server).await;
    let mut second = server.events();
    let dropped = server.events();
    client.subscribe("/a").await;
    drop(dropped);
    client.disconnect().await;
    let rest = [
        "subscribed /a",
        "unsubscribed /a with request",
        "removed client_disconnect with request",
    ];
    assert_eq!(lines(&mut second), rest);
    assert_eq!(lines(&mut first), [&["added"][..], &rest].concat());
}

#[tokio::test(start_paused = true)]
async fn an_event_wakes_who_waits_for_it() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    let reader = tokio::spawn(async move { events.recv().await.map(|event| line(&event)) });
    tokio::task::yield_now().await;
    Client::handshake(&server).await;
    assert_eq!(reader.await.unwrap().as_deref(), Some("added"));
}

#[derive(Debug, PartialEq)]
struct Reloaded(u32);

#[tokio::test(start_paused = true)]
async fn the_application_sends_events_of_its_own() {
    let server = BayeuxServer::new();
    let mut first = server.events();
    let mut second = server.events();
    server.emit(Reloaded(3));
    server.emit(String::from("text"));
    for events in [&mut first, &mut second] {
        let Event::Custom(event) = now(events) else {
            panic!("another event")
        };
        assert_eq!(event.downcast_ref(), Some(&Reloaded(3)));
        assert!(event.downcast_ref::<String>().is_none());
        let Event::Custom(event) = now(events) else {
            panic!("another event")
        };
        assert_eq!(event.downcast_ref::<String>().unwrap(), "text");
    }
}

#[test]
fn events_need_no_runtime_to_be_sent() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    server.emit(Reloaded(1));
    assert_eq!(lines(&mut events), ["custom"]);
}

/// Numbers that were emitted, and what was missed between them.
fn numbers(events: &mut EventStream) -> Vec<Value> {
    std::iter::from_fn(|| events.recv().now_or_never().flatten())
        .map(|event| match event {
            Event::Custom(event) => json!(event.downcast_ref::<u64>()),
            Event::Missed(count) => json!([count]),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_slow_reader_is_told_what_it_missed_in_its_place() {
    let server = BayeuxServer::builder().events_capacity(3).build();
    let mut events = server.events();
    for number in 1..=5_u64 {
        server.emit(number);
    }
    assert_eq!(server.stats().dropped_messages.count(Reason::EventsFull), 2);
    assert_eq!(numbers(&mut events), [json!(1), json!(2), json!(3)]);
    server.emit(6_u64);
    server.emit(7_u64);
    assert_eq!(numbers(&mut events), [json!([2]), json!(6), json!(7)]);
    server.emit(8_u64);
    assert_eq!(numbers(&mut events), [json!(8)], "nothing is told twice");
}

#[test]
fn whatever_the_capacity_everything_is_seen_or_counted_as_missed() {
    for capacity in [0, 1, 2, 3, 10] {
        let server = BayeuxServer::builder().events_capacity(capacity).build();
        let mut events = server.events();
        let mut random = common::Random(capacity as u64);
        let (mut sent, mut position) = (0_u64, 0_u64);
        let mut seen = 0;
        let mut check = |position: &mut u64, number: Value| match number {
            Value::Array(missed) => *position += missed[0].as_u64().unwrap(),
            number => {
                *position += 1;
                seen += 1;
                assert_eq!(number, *position, "capacity {capacity}");
            }
        };
        for _ in 0..300 {
            for _ in 0..random.below(4) {
                sent += 1;
                server.emit(sent);
            }
            if random.below(3) > 0
                && let Some(Some(Event::Custom(event))) = events.recv().now_or_never().map(|event| {
                    event.filter(|event| match event {
                        Event::Missed(missed) => {
                            check(&mut position, json!([missed]));
                            false
                        }
                        _ => true,
                    })
                })
            {
                check(&mut position, json!(event.downcast_ref::<u64>()));
            }
        }
        for number in numbers(&mut events) {
            check(&mut position, number);
        }
        sent += 1;
        server.emit(sent);
        for number in numbers(&mut events) {
            check(&mut position, number);
        }
        assert_eq!(
            position, sent,
            "capacity {capacity}: an event that fits is seen once the stream is read empty"
        );
        assert!(
            seen > 20,
            "capacity {capacity}: only {seen} of {sent} events were ever seen"
        );
    }
}

#[test]
fn a_slow_reader_costs_the_others_nothing() {
    let server = BayeuxServer::builder().events_capacity(4).build();
    let mut slow = server.events();
    let mut fast = server.events();
    for number in 1..=100_u64 {
        server.emit(number);
        assert_eq!(numbers(&mut fast), [json!(number)]);
    }
    assert_eq!(numbers(&mut slow).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_stream_ends_with_the_server_once_all_is_read() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    let client = Client::connected(&server).await;
    let session = client.session();
    let layer = tower_bayeux::BayeuxLayer::new("/cometd", server.clone());
    drop((client, server));
    assert_eq!(line(&now(&mut events)), "added");
    assert_none(&mut events);
    drop(layer);
    assert!(
        events.recv().now_or_never().unwrap().is_none(),
        "the last handle is gone"
    );
    assert!(!session.is_active());
}

#[tokio::test(start_paused = true)]
async fn an_event_stream_is_a_stream() {
    let server = BayeuxServer::new();
    let events = server.events();
    Client::subscribed(&server, "/a").await.disconnect().await;
    drop(server);
    let all: Vec<_> = events.map(|event| line(&event)).collect().await;
    assert_eq!(all.len(), 4, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_given_up_wait_loses_no_event() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    assert!(events.recv().now_or_never().is_none());
    server.emit(1_u64);
    drop(events.recv());
    assert_eq!(numbers(&mut events), [json!(1)]);
}

/// A session that is subscribed and ended at the same moment, from two threads: its removal is still the last that is
/// heard of it, and whatever it was subscribed to is unsubscribed before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_removal_is_the_last_event_of_a_session() {
    let server = BayeuxServer::builder().events_capacity(1_000_000).build();
    let mut events = server.events();
    let start = std::sync::Arc::new(std::sync::Barrier::new(2));
    let (sessions, to_end) = std::sync::mpsc::channel::<tower_bayeux::ServerSession>();
    let ender = std::thread::spawn({
        let start = start.clone();
        move || {
            for (index, session) in to_end.into_iter().enumerate() {
                start.wait();
                for _ in 0..index % 256 * 16 {
                    std::hint::spin_loop();
                }
                session.disconnect();
            }
        }
    });
    for _ in 0..3000 {
        let client = Client::connected(&server).await;
        sessions.send(client.session()).unwrap();
        let subscribe = json!([{ "channel": "/meta/subscribe", "subscription": "/a" }]);
        let mut request = common::start(&server, client.request(subscribe));
        tokio::task::block_in_place(|| start.wait());
        assert!(common::poll_once(&mut request).is_ready());
    }
    drop(sessions);
    ender.join().unwrap();
    let mut subscribed = std::collections::HashSet::new();
    let mut removed = std::collections::HashSet::new();
    while let Some(Some(event)) = events.recv().now_or_never() {
        match event {
            Event::Subscribed { session, .. } => {
                assert!(!removed.contains(session.id()), "subscribed after its removal");
                subscribed.insert(*session.id());
            }
            Event::Unsubscribed { session, .. } => {
                assert!(subscribed.remove(session.id()), "unsubscribed before it was subscribed");
            }
            Event::SessionRemoved { session, .. } => {
                removed.insert(*session.id());
            }
            _ => {}
        }
    }
    assert_eq!(removed.len(), 3000);
    assert!(subscribed.is_empty(), "{} are still subscribed", subscribed.len());
}

#[test]
fn what_is_missed_at_the_very_end_is_told_too() {
    let server = BayeuxServer::builder().events_capacity(2).build();
    let mut events = server.events();
    for number in 1..=5_u64 {
        server.emit(number);
    }
    drop(server);
    assert_eq!(numbers(&mut events), [json!(1), json!(2), json!([3])]);
    assert!(events.recv().now_or_never().unwrap().is_none());
}
