//! User code may call the server from wherever the server calls it, and may panic there.

mod common;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use common::{Client, finishes, pass, post, send, start};
use serde::{Serialize, Serializer};
use serde_json::json;
use tower_bayeux::{BayeuxServer, Event, Reason};

/// A server in a runtime of its own, on a thread that a deadlock may keep.
fn with_server<F: Future<Output = ()>>(what: &'static str, body: impl FnOnce(BayeuxServer) -> F + Send + 'static) {
    finishes(what, move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(body(BayeuxServer::new()));
    });
}

/// Calls everything that takes a lock.
fn call_everything(server: &BayeuxServer) {
    drop(server.subscribe("/re/**").unwrap());
    drop(server.subscribe("/a").unwrap());
    drop(server.events());
    server.emit("again");
    server.publish("/nobody", &1).unwrap();
    let _ = (server.channels(), server.channel_count(), server.stats());
    let _ = server.subscriber_count("/a");
    for session in server.sessions() {
        let _ = (session.subscriptions(), session.is_active(), session.attribute::<u8>());
        session.insert_attribute(1_u8);
        session.deliver("/delivered", &1).unwrap();
    }
}

// Events

#[tokio::test(start_paused = true)]
async fn a_reader_of_events_may_end_the_session_it_hears_of() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let Event::SessionAdded { session, .. } = event {
                session.disconnect();
            }
        }
    });
    let client = Client::handshake(&server).await;
    tokio::task::yield_now().await;
    let messages = client.connect().await.messages();
    assert_eq!(messages[0]["channel"], "/meta/disconnect", "{messages:?}");
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_events_may_publish_deliver_and_unsubscribe() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    let publisher = server.clone();
    tokio::spawn(async move {
        let mut own = Some(publisher.subscribe("/**").unwrap());
        while let Some(event) = events.recv().await {
            match event {
                Event::Subscribed { session, channels, .. } => {
                    session.deliver("/welcome", &channels).unwrap();
                    publisher.publish("/joined", &session.id()).unwrap();
                }
                Event::SessionRemoved { session, .. } => {
                    own.take();
                    publisher.publish("/left", session.id()).unwrap();
                }
                _ => {}
            }
        }
    });
    let watcher = Client::subscribed(&server, "/joined").await;
    watcher.subscribe("/left").await;
    tokio::task::yield_now().await;
    watcher.poll().await;
    let client = Client::subscribed(&server, "/x").await;
    tokio::task::yield_now().await;
    assert_eq!(client.poll().await.events(), [("/welcome".to_owned(), json!(["/x"]))]);
    client.disconnect().await;
    tokio::task::yield_now().await;
    let heard = watcher.poll().await.events();
    assert_eq!(
        heard,
        [
            ("/joined".to_owned(), json!(client.id)),
            ("/left".to_owned(), json!(client.id))
        ]
    );
}

// Data

/// Data that calls the server while it is written.
struct Calling(BayeuxServer);

impl Serialize for Calling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        call_everything(&self.0);
        self.0.publish("/a", "inner").unwrap();
        serializer.serialize_str("outer")
    }
}

#[test]
fn data_may_publish_while_it_is_written() {
    with_server("Serialize calls the server", async |server| {
        let client = Client::subscribed(&server, "/a").await;
        server.publish("/a", &Calling(server.clone())).unwrap();
        client.session().deliver("/a", &Calling(server.clone())).unwrap();
        let data: Vec<_> = client.poll().await.events();
        let on_a: Vec<_> = data
            .iter()
            .filter(|(channel, _)| channel == "/a")
            .map(|(_, data)| data)
            .collect();
        assert_eq!(on_a, ["inner", "outer", "inner", "outer"]);
    });
}

struct Panicking;

impl Serialize for Panicking {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("in user code");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_data_costs_its_own_call_only() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let session = client.session();
    let held = client.hold().await;
    assert!(catch_unwind(AssertUnwindSafe(|| server.publish("/a", &Panicking))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| session.deliver("/a", &Panicking))).is_err());
    assert_eq!(server.stats().held_connects, 1);
    server.publish("/a", "works").unwrap();
    assert_eq!(held.await.unwrap().events(), [("/a".to_owned(), json!("works"))]);
}

// Wakers

/// A waker that runs something, once.
struct OnWake<F>(F, AtomicUsize);

impl<F: Fn() + Send + Sync + 'static> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        if self.1.fetch_add(1, SeqCst) == 0 {
            (self.0)();
        }
    }
}

fn on_wake<F: Fn() + Send + Sync + 'static>(run: F) -> (Waker, Arc<OnWake<F>>) {
    let state = Arc::new(OnWake(run, AtomicUsize::new(0)));
    (Waker::from(state.clone()), state)
}

#[track_caller]
fn assert_pending<F: Future + ?Sized>(future: std::pin::Pin<&mut F>, waker: &Waker) {
    assert!(future.poll(&mut Context::from_waker(waker)).is_pending());
}

#[test]
fn the_waker_of_a_held_connect_may_call_the_server() {
    with_server("the waker of a held connect calls the server", async |server| {
        let client = Client::subscribed(&server, "/a").await;
        let mut held = client.start_connect();
        let calls = server.clone();
        let (waker, woken) = on_wake(move || {
            call_everything(&calls);
            calls.publish("/a", "inner").unwrap();
        });
        assert_pending(held.as_mut(), &waker);
        server.publish("/a", "outer").unwrap();
        assert_eq!(woken.1.load(SeqCst), 1);
        assert!(common::read(held.await).await.events().len() >= 2);
    });
}

#[test]
fn the_waker_of_a_held_connect_may_end_the_session() {
    with_server("the waker of a held connect ends the session", async |server| {
        let client = Client::subscribed(&server, "/a").await;
        let mut held = client.start_connect();
        let session = client.session();
        let (waker, _) = on_wake(move || session.disconnect());
        assert_pending(held.as_mut(), &waker);
        server.publish("/a", &1).unwrap();
        let messages = common::read(held.await).await.messages();
        assert_eq!(messages.len(), 3, "{messages:?}");
    });
}

#[test]
fn the_waker_of_a_held_connect_may_call_the_server_however_the_connect_ends() {
    type End = fn(&BayeuxServer, &Client);
    let enders: [(&str, End); 4] = [
        ("disconnect", |_, client| client.session().disconnect()),
        ("shutdown", |server, _| server.shutdown()),
        ("deliver", |_, client| client.session().deliver("/a", &1).unwrap()),
        ("a newer connect", |_, client| {
            drop(common::poll_once(&mut client.start_connect()));
        }),
    ];
    for (name, end) in enders {
        with_server(name, async move |server| {
            let client = Client::connected(&server).await;
            let mut held = client.start_connect();
            let calls = server.clone();
            let (waker, woken) = on_wake(move || {
                drop(calls.subscribe("/a").unwrap());
                for session in calls.sessions() {
                    let _ = session.deliver("/b", &1);
                    session.disconnect();
                }
                calls.shutdown();
            });
            assert_pending(held.as_mut(), &waker);
            end(&server, &client);
            assert_eq!(woken.1.load(SeqCst), 1);
            held.await;
        });
    }
}

#[test]
fn the_waker_of_a_subscription_may_call_the_server() {
    with_server("the waker of a Subscription calls the server", async |server| {
        let mut subscription = server.subscribe("/a").unwrap();
        let calls = server.clone();
        let (waker, woken) = on_wake(move || {
            call_everything(&calls);
            calls.publish("/a", "inner").unwrap();
        });
        {
            let receiving = pin!(subscription.recv());
            assert_pending(receiving, &waker);
        }
        server.publish("/a", "outer").unwrap();
        assert_eq!(woken.1.load(SeqCst), 1);
        let mut data: Vec<String> = Vec::new();
        for _ in 0..2 {
            data.push(subscription.recv().await.unwrap().data().unwrap());
        }
        assert_eq!(data, ["outer", "inner"]);
    });
}

#[test]
fn the_waker_of_an_event_stream_may_call_the_server() {
    with_server("the waker of an EventStream calls the server", async |server| {
        let mut events = server.events();
        let calls = server.clone();
        let (waker, woken) = on_wake(move || call_everything(&calls));
        {
            let receiving = pin!(events.recv());
            assert_pending(receiving, &waker);
        }
        server.emit("first");
        assert_eq!(woken.1.load(SeqCst), 1);
        for expected in ["first", "again"] {
            let Some(Event::Custom(event)) = events.recv().await else {
                panic!("no event");
            };
            assert_eq!(event.downcast_ref(), Some(&expected));
        }
    });
}

#[test]
fn who_is_woken_for_a_new_session_finds_it_listed_and_counted() {
    with_server("the waker of an EventStream counts sessions", async |server| {
        let mut events = server.events();
        let calls = server.clone();
        let seen = Arc::new(AtomicUsize::new(0));
        let counted = seen.clone();
        let (waker, woken) = on_wake(move || {
            let stats = calls.stats();
            assert_eq!(calls.sessions().len(), 1);
            counted.store(
                usize::try_from(stats.sessions + stats.sessions_added).unwrap() + calls.session_count(),
                SeqCst,
            );
        });
        {
            let receiving = pin!(events.recv());
            assert_pending(receiving, &waker);
        }
        Client::handshake(&server).await;
        assert_eq!(woken.1.load(SeqCst), 1);
        assert_eq!(
            seen.load(SeqCst),
            3,
            "the counters know nothing of a session that is announced and listed"
        );
    });
}

#[test]
fn an_event_waker_that_panics_keeps_no_other_stream_asleep() {
    with_server("an event waker panics", async |server| {
        let mut panicking = server.events();
        let mut reading = server.events();
        let (waker, _) = on_wake(|| panic!("in a waker"));
        {
            let receiving = pin!(panicking.recv());
            assert_pending(receiving, &waker);
        }
        let reader = tokio::spawn(async move {
            reading.recv().await;
            reading.recv().await
        });
        tokio::task::yield_now().await;
        let _ = catch_unwind(AssertUnwindSafe(|| server.emit("first")));
        server.emit("second");
        // A stream has no timeout that would wake it in the end.
        let read = tokio::time::timeout(Duration::from_secs(5), reader).await;
        assert!(read.is_ok(), "another stream sleeps for ever");
    });
}

#[test]
fn a_waker_that_panics_breaks_and_loses_nothing() {
    with_server("a waker panics", async |server| {
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Client::subscribed(&server, "/a").await);
        }
        let before = clients[0].hold().await;
        let mut held = clients[1].start_connect();
        let (waker, _) = on_wake(|| panic!("in a waker"));
        assert_pending(held.as_mut(), &waker);
        let after = clients[2].hold().await;
        server.publish("/a", &1).unwrap();
        drop(held);
        for answer in [before.await.unwrap(), after.await.unwrap(), clients[1].poll().await] {
            assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
            assert_eq!(answer.info.unwrap().held, Duration::ZERO);
        }
        let stats = server.stats();
        assert_eq!((stats.queued_messages, stats.held_connects, stats.sessions), (0, 0, 3));
    });
}

#[test]
fn a_waker_that_panics_keeps_no_session_alive() {
    with_server("a waker panics when its session ends", async |server| {
        let client = Client::subscribed(&server, "/a").await;
        let mut events = server.events();
        let mut held = client.start_connect();
        let (waker, _) = on_wake(|| panic!("in a waker"));
        assert_pending(held.as_mut(), &waker);
        client.disconnect().await;
        assert!(matches!(events.recv().await, Some(Event::Unsubscribed { .. })));
        assert!(matches!(events.recv().await, Some(Event::SessionRemoved { .. })));
        assert_eq!((server.session_count(), server.channel_count()), (0, 0));
    });
}

/// A fan-out lets go of the list now and then; who joins in between has not been there when the message was published.
#[test]
fn who_subscribes_in_the_middle_of_a_fan_out_does_not_get_its_message() {
    with_server("a subscription is made in the middle of a fan-out", async |server| {
        let mut first = server.subscribe("/a").unwrap();
        for _ in 0..600 {
            Client::subscribed(&server, "/a").await;
        }
        let late = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (calls, kept) = (server.clone(), Arc::clone(&late));
        let (waker, woken) = on_wake(move || kept.lock().unwrap().push(calls.subscribe("/a").unwrap()));
        assert_pending(pin!(first.recv()), &waker);
        server.publish("/a", &"early").unwrap();
        assert_eq!(woken.1.load(SeqCst), 1);
        server.publish("/a", &"later").unwrap();
        let mut late = late.lock().unwrap().pop().unwrap();
        assert_eq!(late.recv().await.unwrap().data::<String>().unwrap(), "later");
        assert_eq!(server.stats().queued_messages, 1200);
    });
}

// Drops

/// A value that calls the server when it is dropped.
struct CallsOnDrop(BayeuxServer, Arc<AtomicUsize>);

impl Drop for CallsOnDrop {
    fn drop(&mut self) {
        drop(self.0.subscribe("/a").unwrap());
        drop(self.0.events());
        self.0.publish("/dropped", &1).unwrap();
        for session in self.0.sessions() {
            let _ = (session.attribute::<u8>(), session.subscriptions());
            let _ = session.deliver("/dropped", &1);
        }
        self.1.fetch_add(1, SeqCst);
    }
}

#[test]
fn an_attribute_may_call_the_server_when_it_is_dropped() {
    with_server("an attribute's Drop calls the server", async |server| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let value = || CallsOnDrop(server.clone(), dropped.clone());
        let client = Client::subscribed(&server, "/a").await;
        let session = client.session();
        session.insert_attribute(value());
        session.insert_attribute(value());
        assert_eq!(dropped.load(SeqCst), 1, "replaced");
        session.remove_attribute::<CallsOnDrop>();
        assert_eq!(dropped.load(SeqCst), 2, "removed");
        session.insert_attribute(value());
        drop(session);
        client.disconnect().await;
        assert_eq!(dropped.load(SeqCst), 3, "with the session");
        for _ in 0..3 {
            Client::connected(&server).await.session().insert_attribute(value());
        }
        pass(Duration::from_secs(32)).await;
        assert_eq!(dropped.load(SeqCst), 6, "when the sessions expired");
    });
}

#[test]
fn a_custom_event_may_call_the_server_when_it_is_dropped() {
    with_server("an event's Drop calls the server", async |server| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let value = || CallsOnDrop(server.clone(), dropped.clone());
        server.emit(value());
        let events = server.events();
        server.emit(value());
        drop(events);
        server.emit(value());
        assert_eq!(dropped.load(SeqCst), 3);
    });
}

#[test]
fn a_request_extension_may_call_the_server_when_it_is_dropped() {
    with_server("an extension's Drop calls the server", async |server| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let client = Client::connected(&server).await;
        for body in [
            r#"[{"channel":"/meta/handshake"}]"#.to_owned(),
            format!(
                r#"[{{"channel":"/meta/connect","clientId":"{}","advice":{{"timeout":0}}}}]"#,
                client.id
            ),
            format!(
                r#"[{{"channel":"/meta/subscribe","clientId":"{}","subscription":"/a"}}]"#,
                client.id
            ),
            format!(r#"[{{"channel":"/meta/disconnect","clientId":"{}"}}]"#, client.id),
            "no json".to_owned(),
        ] {
            dropped.store(0, SeqCst);
            let mut request = post(body.clone());
            request
                .extensions_mut()
                .insert(Shared(Arc::new(CallsOnDrop(server.clone(), dropped.clone()))));
            send(&server, request).await;
            assert_eq!(dropped.load(SeqCst), 1, "{body}");
        }
    });
}

#[derive(Clone)]
struct Shared(#[allow(dead_code, reason = "dropped, never read")] Arc<CallsOnDrop>);

#[tokio::test(start_paused = true)]
async fn a_held_connect_keeps_nothing_of_its_request() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let kept = Arc::new(());
    let mut request = client.request(json!([{ "channel": "/meta/connect" }]));
    request.extensions_mut().insert(kept.clone());
    let mut held = start(&server, request);
    assert!(matches!(common::poll_once(&mut held), Poll::Pending));
    assert_eq!(Arc::strong_count(&kept), 1, "{kept:?}");
    drop(held);
    assert_eq!(server.stats().connects_ended.count(Reason::ClientGone), 1);
}
