//! Extensions: what they see, in which order, and what they may do to it.

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{Client, keys, pass, poll_once, post, send, send_json};
use http::header;
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, DeliverError, MutableMessage, PublishError, Reason, ServerSession,
    call::Data,
    extension::{Extension, Fate, Incoming, IncomingContext, OutgoingContext},
};

type Log = Arc<Mutex<Vec<String>>>;

/// Notes what it sees.
#[derive(Clone, Default)]
struct Noting {
    name: &'static str,
    log: Log,
}

impl Noting {
    fn note(&self, direction: &str, message: &MutableMessage, session: Option<&ServerSession>) {
        let who = if session.is_some() { "one" } else { "all" };
        let channel = message.channel().unwrap_or_default();
        let line = format!("{} {direction} {channel} {who}", self.name);
        self.log.lock().unwrap().push(line);
    }
}

impl Extension for Noting {
    async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        self.note("in", message, context.session());
        Incoming::Pass
    }

    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        self.note("out", message, context.session());
        Fate::Pass
    }
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

/// An extension made of two functions.
struct Both<I, O>(I, O);

impl<I, O> Extension for Both<I, O>
where
    I: Fn(&mut MutableMessage) -> Incoming + Send + Sync + 'static,
    O: Fn(&mut MutableMessage) -> Fate + Send + Sync + 'static,
{
    async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
        self.0(message)
    }

    fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
        self.1(message)
    }
}

fn incoming(incoming: impl Fn(&mut MutableMessage) -> Incoming + Send + Sync + 'static) -> impl Extension {
    Both(incoming, |_: &mut MutableMessage| Fate::Pass)
}

fn outgoing(outgoing: impl Fn(&mut MutableMessage) -> Fate + Send + Sync + 'static) -> impl Extension {
    Both(|_: &mut MutableMessage| Incoming::Pass, outgoing)
}

fn is_on(message: &MutableMessage, channel: &str) -> bool {
    message.channel().as_deref() == Some(channel)
}

// The order

#[tokio::test(start_paused = true)]
async fn the_servers_come_first_and_on_the_way_out_the_latest_comes_first() {
    let server = BayeuxServer::new();
    let log = Log::default();
    for name in ["a", "b"] {
        server.add_extension(Noting { name, log: log.clone() });
    }
    let client = Client::connected(&server).await;
    for name in ["c", "d"] {
        client.session().add_extension(Noting { name, log: log.clone() });
    }
    taken(&log);
    client.subscribe("/x").await;
    let channel = "/meta/subscribe one";
    let expected = ["a in", "b in", "c in", "d in", "b out", "a out", "d out", "c out"];
    assert_eq!(taken(&log), expected.map(|step| format!("{step} {channel}")));
}

#[tokio::test(start_paused = true)]
async fn a_published_message_is_shown_to_the_server_once_and_to_each_subscribers_own_when_it_is_sent() {
    let server = BayeuxServer::new();
    let log = Log::default();
    let publisher = Client::connected(&server).await;
    let subscribers = [
        Client::subscribed(&server, "/x").await,
        Client::subscribed(&server, "/x").await,
    ];
    server.add_extension(Noting {
        name: "a",
        log: log.clone(),
    });
    for client in &subscribers {
        client.session().add_extension(Noting {
            name: "s",
            log: log.clone(),
        });
    }
    publisher.publish("/x", json!(1)).await;
    assert_eq!(
        taken(&log),
        ["a in /x one", "a out /x all", "a out /x one"],
        "the last is the reply"
    );
    for client in &subscribers {
        client.poll().await;
        let expected = ["a in /meta/connect one", "s in /meta/connect one", "s out /x one"];
        let replied = ["a out /meta/connect one", "s out /meta/connect one"];
        assert_eq!(taken(&log), [&expected[..], &replied].concat());
    }
    server.publish("/x", &1).unwrap();
    assert_eq!(taken(&log), ["a out /x all"]);
    subscribers[0].session().deliver("/y", &1).unwrap();
    assert_eq!(taken(&log), ["a out /y one"]);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_no_session_on_its_way_in_and_its_new_one_on_its_way_out() {
    let server = BayeuxServer::new();
    let log = Log::default();
    server.add_extension(Noting {
        name: "a",
        log: log.clone(),
    });
    let old = Client::handshake(&server).await;
    taken(&log);
    send_json(&server, json!([{ "channel": "/meta/handshake", "clientId": old.id }])).await;
    assert_eq!(taken(&log), ["a in /meta/handshake all", "a out /meta/handshake one"]);
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_given_to_the_session_at_its_handshake_sees_that_reply_first() {
    struct Giving(Noting);

    impl Extension for Giving {
        fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
            if let Some(session) = context.session().filter(|_| is_on(message, "/meta/handshake")) {
                session.add_extension(self.0.clone());
            }
            Fate::Pass
        }
    }

    let server = BayeuxServer::new();
    let own = Noting {
        name: "own",
        log: Log::default(),
    };
    server.add_extension(Giving(own.clone()));
    Client::connected(&server).await;
    let expected = [
        "own out /meta/handshake one",
        "own in /meta/connect one",
        "own out /meta/connect one",
    ];
    assert_eq!(taken(&own.log), expected);
}

#[tokio::test(start_paused = true)]
async fn the_extensions_of_one_session_see_nothing_of_others() {
    let server = BayeuxServer::new();
    let own = Noting {
        name: "own",
        log: Log::default(),
    };
    let client = Client::subscribed(&server, "/x").await;
    client.session().add_extension(own.clone());
    let other = Client::subscribed(&server, "/x").await;
    other.publish("/y", json!(1)).await;
    other.poll().await;
    server.publish("/y", &1).unwrap();
    assert!(taken(&own.log).is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_knows_an_id_but_has_not_its_cookie_is_no_session_to_extensions() {
    let server = BayeuxServer::new();
    let log = Log::default();
    let mut client = Client::handshake(&server).await;
    client.cookie = Some("BAYEUX_BROWSER=00000000000000000000000000000000000000ff".to_owned());
    server.add_extension(Noting {
        name: "a",
        log: log.clone(),
    });
    let reply = client.poll().await.only();
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(taken(&log), ["a in /meta/connect all", "a out /meta/connect all"]);
}

// Changes

#[tokio::test(start_paused = true)]
async fn what_is_changed_on_the_way_in_counts_as_sent_so() {
    let server = BayeuxServer::new();
    server.add_extension(incoming(|message| {
        if is_on(message, "/old") {
            message.set_field("channel", "/new").unwrap();
            message
                .set_data(&json!({ "was": message.data::<Value>().unwrap() }))
                .unwrap();
            message.set_field("id", "mine").unwrap();
        }
        Incoming::Pass
    }));
    let client = Client::subscribed(&server, "/new").await;
    let reply = client.publish("/old", json!(1)).await;
    assert_eq!(reply, json!({ "channel": "/new", "id": "mine", "successful": true }));
    assert_eq!(client.poll().await.events(), [("/new".to_owned(), json!({ "was": 1 }))]);
}

#[tokio::test(start_paused = true)]
async fn any_field_may_be_read_and_any_may_be_put_into_what_goes_out() {
    let server = BayeuxServer::new();
    server.add_extension(Both(
        |message: &mut MutableMessage| {
            let priority: Option<u8> = message.field("priority").unwrap();
            if let Some(priority) = priority {
                message.set_data(&priority).unwrap();
            }
            Incoming::Pass
        },
        |message: &mut MutableMessage| {
            message.set_field("from", "here").unwrap();
            message.set_ext("x", &1).unwrap();
            Fate::Pass
        },
    ));
    let client = Client::subscribed(&server, "/a").await;
    let reply = client.ask(json!({ "channel": "/a", "priority": 7 })).await;
    assert_eq!((&reply["from"], &reply["ext"]), (&json!("here"), &json!({ "x": 1 })));
    let messages = client.poll().await.messages();
    let event = json!({ "channel": "/a", "data": 7, "from": "here", "ext": { "x": 1 } });
    assert_eq!(messages[0], event);
    assert_eq!(messages[1]["ext"], json!({ "x": 1 }));
}

#[tokio::test(start_paused = true)]
async fn what_no_extension_touches_goes_on_letter_by_letter() {
    let server = BayeuxServer::new();
    server.add_extension(Noting::default());
    let client = Client::subscribed(&server, "/a").await;
    client.session().add_extension(Noting::default());
    let data = r#"{"z":1.0e2,"a":"\u00e4/","big":123456789012345678901234567890}"#;
    let message = format!(
        r#"[{{"channel":"/a","clientId":"{}","id":1.50,"data":{data}}}]"#,
        client.id
    );
    let answer = client.send_text(message).await;
    assert!(std::str::from_utf8(&answer.body).unwrap().contains(r#""id":1.50"#));
    let answer = client.poll().await;
    let event = format!(r#"[{{"channel":"/a","data":{data}}},"#);
    assert!(
        std::str::from_utf8(&answer.body).unwrap().starts_with(&event),
        "{:?}",
        answer.body
    );
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_was_held_is_answered_through_extensions_with_what_they_knew_of_it() {
    struct Echoing;

    impl Extension for Echoing {
        fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
            let asked: Option<Value> = context.incoming().and_then(|incoming| incoming.ext("echo").unwrap());
            if let Some(asked) = asked.filter(|_| message.is_meta()) {
                message.set_ext("echo", &asked).unwrap();
            }
            Fate::Pass
        }
    }

    let server = BayeuxServer::new();
    server.add_extension(Echoing);
    let client = Client::subscribed(&server, "/a").await;
    let connect = json!([{ "channel": "/meta/connect", "ext": { "echo": [1, 2] } }]);
    let mut held = common::start(&server, client.request(connect));
    assert!(poll_once(&mut held).is_pending());
    server.publish("/a", &1).unwrap();
    let answer = common::read(held.await).await;
    assert_eq!(answer.connect_reply()["ext"], json!({ "echo": [1, 2] }));
    assert!(answer.messages()[0].get("ext").is_none());
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_call_is_shown_to_extensions_with_the_call() {
    let server = BayeuxServer::new();
    let log = Log::default();
    server
        .service("/service/echo", |data: Data<Value>| async move { data })
        .unwrap();
    server.add_extension(Noting {
        name: "a",
        log: log.clone(),
    });
    let client = Client::connected(&server).await;
    taken(&log);
    client.publish("/service/echo", json!(1)).await;
    let expected = [
        "a in /service/echo one",
        "a out /service/echo one",
        "a out /service/echo one",
    ];
    assert_eq!(taken(&log), expected, "the answer, and the reply");
    assert_eq!(client.poll().await.messages()[0]["id"], "p");
}

// Answers and deletions

#[tokio::test(start_paused = true)]
async fn a_message_that_is_deleted_is_not_processed_and_its_sender_told() {
    let server = BayeuxServer::new();
    server.add_extension(incoming(|message| {
        if is_on(message, "/secret") {
            Incoming::Delete
        } else {
            Incoming::Pass
        }
    }));
    let client = Client::subscribed(&server, "/secret").await;
    let batch = json!([
        { "channel": "/secret", "id": 1, "data": 1 },
        { "channel": "/meta/subscribe", "id": 2, "subscription": "/x" },
    ]);
    let replies = client.send(batch).await.messages();
    let deleted = json!({ "channel": "/secret", "id": 1, "successful": false, "error": "404::message_deleted" });
    assert_eq!(replies[0], deleted);
    assert_eq!(replies[1]["successful"], true);
    assert!(client.poll().await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_deleted_makes_no_session_and_its_client_stays_away() {
    let server = BayeuxServer::new();
    server.add_extension(incoming(|_| Incoming::Delete));
    let answer = send_json(&server, json!([{ "channel": "/meta/handshake", "id": "h" }])).await;
    let reply = answer.only();
    assert_eq!(reply["error"], "404::message_deleted");
    assert_eq!(reply["advice"]["reconnect"], "none");
    assert!(answer.headers.get(header::SET_COOKIE).is_none());
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_is_deleted_does_not_make_its_client_storm() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server.add_extension(incoming(|_| Incoming::Delete));
    let reply = client.connect().await.only();
    assert_eq!(reply["advice"], common::advice("retry", 2000, 30_000));
}

#[tokio::test(start_paused = true)]
async fn an_extension_may_answer_itself_and_what_it_leaves_out_is_filled_in() {
    let server = BayeuxServer::new();
    server.add_extension(incoming(|message| match message.channel().as_deref() {
        Some("/service/cached") => {
            let mut answer = MutableMessage::default();
            answer.set_data(&42).unwrap();
            Incoming::Answer(answer)
        }
        Some("/meta/subscribe") => Incoming::error("403::no_subscriptions_today"),
        _ => Incoming::Pass,
    }));
    let client = Client::connected(&server).await;
    let reply = client.publish("/service/cached", json!(1)).await;
    assert_eq!(
        reply,
        json!({ "channel": "/service/cached", "id": "p", "successful": true, "data": 42 })
    );
    let reply = client
        .ask(json!({ "channel": "/meta/subscribe", "id": 5, "subscription": ["/a"] }))
        .await;
    let expected = json!({
        "channel": "/meta/subscribe",
        "id": 5,
        "subscription": ["/a"],
        "successful": false,
        "error": "403::no_subscriptions_today",
    });
    assert_eq!(reply, expected);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_is_deleted_on_its_way_out_reaches_nobody_and_is_counted() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.add_extension(outgoing(|message| {
        if message.data::<Value>().unwrap() == 13 {
            Fate::Delete
        } else {
            Fate::Pass
        }
    }));
    assert!(matches!(server.publish("/a", &13), Err(PublishError::Deleted)));
    assert!(matches!(
        client.session().deliver("/a", &13),
        Err(DeliverError::Deleted)
    ));
    assert_eq!(client.publish("/a", json!(13)).await["error"], "404::message_deleted");
    server.publish("/a", &14).unwrap();
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(14))]);
    assert_eq!(server.stats().dropped_messages.count(Reason::Deleted), 3);
}

#[tokio::test(start_paused = true)]
async fn one_subscribers_extension_may_keep_an_event_from_it_alone() {
    let server = BayeuxServer::new();
    let picky = Client::subscribed(&server, "/a").await;
    let other = Client::subscribed(&server, "/a").await;
    picky
        .session()
        .add_extension(outgoing(|message| match message.field::<u8>("data") {
            Ok(Some(13)) => Fate::Delete,
            _ => Fate::Pass,
        }));
    for number in [12, 13, 14] {
        server.publish("/a", &number).unwrap();
    }
    let numbers = |events: Vec<(String, Value)>| events.into_iter().map(|(_, data)| data).collect::<Vec<_>>();
    assert_eq!(numbers(picky.poll().await.events()), [12, 14]);
    assert_eq!(numbers(other.poll().await.events()), [12, 13, 14]);
    assert_eq!(server.stats().delivered_messages, 5);
    assert_eq!(server.stats().dropped_messages.count(Reason::Deleted), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_deleted_is_left_out() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server.add_extension(outgoing(|message| {
        if is_on(message, "/quiet") {
            Fate::Delete
        } else {
            Fate::Pass
        }
    }));
    let batch = json!([{ "channel": "/loud" }, { "channel": "/service/x" }, { "channel": "/meta/connect" }]);
    assert_eq!(client.send(batch).await.messages().len(), 3);
    let session = client.session();
    session.add_extension(outgoing(
        |message| if message.is_meta() { Fate::Delete } else { Fate::Pass },
    ));
    session.deliver("/x", &1).unwrap();
    let answer = client.poll().await;
    assert_eq!(answer.messages(), [json!({ "channel": "/x", "data": 1 })]);
    assert_eq!(client.poll().await.body, "[]");
}

// Losses

#[tokio::test(start_paused = true)]
async fn events_of_an_answer_that_could_not_be_sent_come_again_as_they_were() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let count = AtomicUsize::new(0);
    client.session().add_extension(outgoing(move |message| {
        if !message.is_meta() {
            let seen = count.fetch_add(1, SeqCst);
            message.set_field("seen", &seen).unwrap();
        }
        if message.field("data").unwrap() == Some(2) {
            Fate::Delete
        } else {
            Fate::Pass
        }
    }));
    for number in [1, 2, 3] {
        server.publish("/a", &number).unwrap();
    }
    drop(client.start_connect().await);
    assert_eq!(server.stats().queued_messages, 3);
    let messages = client.poll().await.messages();
    assert_eq!(messages[0], json!({ "channel": "/a", "data": 1, "seen": 3 }));
    assert_eq!(messages[1], json!({ "channel": "/a", "data": 3, "seen": 5 }));
    assert_eq!(server.stats().queued_messages, 0);
    assert_eq!(server.stats().queued_bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn acknowledgement_goes_on_beside_extensions() {
    let server = BayeuxServer::new();
    server.add_extension(outgoing(|message| {
        message.set_ext("mine", &true).unwrap();
        Fate::Pass
    }));
    let handshake = json!([{ "channel": "/meta/handshake", "ext": { "ack": true } }]);
    let reply = send_json(&server, handshake).await.only();
    assert_eq!(reply["ext"], json!({ "ack": true, "mine": true }));
    let client = Client {
        server: server.clone(),
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: None,
    };
    client.session().deliver("/a", &1).unwrap();
    let connect = |ack: u8| json!([{ "channel": "/meta/connect", "advice": { "timeout": 0 }, "ext": { "ack": ack } }]);
    for batch in [1, 2] {
        let answer = client.send(connect(0)).await;
        assert_eq!(answer.events().len(), 1, "again, until it is acknowledged");
        assert_eq!(answer.connect_reply()["ext"], json!({ "ack": batch, "mine": true }));
    }
    assert!(client.send(connect(2)).await.events().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_publishes_of_one_request_still_reach_their_publisher_in_one_answer() {
    let server = BayeuxServer::new();
    server.add_extension(Noting::default());
    let client = Client::subscribed(&server, "/a").await;
    let held = client.hold().await;
    let batch: Vec<_> = (0..3)
        .map(|number| json!({ "channel": "/a", "data": number }))
        .collect();
    client.send(json!(batch)).await;
    assert_eq!(held.await.unwrap().events().len(), 3);
}

// Bad company

#[tokio::test(start_paused = true)]
async fn one_that_takes_its_time_delays_its_own_request_only() {
    struct Slow;

    impl Extension for Slow {
        async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
            if is_on(message, "/slow") {
                pass(Duration::from_secs(20)).await;
            }
            Incoming::Pass
        }
    }

    let server = BayeuxServer::new();
    server.add_extension(Slow);
    let client = Client::connected(&server).await;
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.publish("/slow", json!(1)).await }
    });
    tokio::task::yield_now().await;
    let before = tokio::time::Instant::now();
    assert_eq!(client.publish("/fast", json!(1)).await["successful"], true);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(!slow.is_finished());
    assert_eq!(slow.await.unwrap()["successful"], true);
    assert_eq!(before.elapsed(), Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_deletes_what_it_was_given_and_nobody_else_notices() {
    let server = BayeuxServer::new();
    let victim = Client::subscribed(&server, "/**").await;
    let other = Client::subscribed(&server, "/**").await;
    server.add_extension(Both(
        |message: &mut MutableMessage| {
            assert!(!is_on(message, "/in"), "on purpose");
            Incoming::Pass
        },
        |message: &mut MutableMessage| {
            assert!(!is_on(message, "/out"), "on purpose");
            Fate::Pass
        },
    ));
    victim.session().add_extension(outgoing(|message| {
        assert!(!is_on(message, "/own"), "on purpose");
        Fate::Pass
    }));
    assert_eq!(victim.publish("/in", json!(1)).await["error"], "404::message_deleted");
    assert!(matches!(server.publish("/out", &1), Err(PublishError::Deleted)));
    for channel in ["/own", "/well"] {
        server.publish(channel, &1).unwrap();
    }
    let channels = |events: Vec<(String, Value)>| events.into_iter().map(|(channel, _)| channel).collect::<Vec<_>>();
    assert_eq!(channels(victim.poll().await.events()), ["/well"]);
    assert_eq!(channels(other.poll().await.events()), ["/own", "/well"]);
}

#[tokio::test(start_paused = true)]
async fn one_may_call_the_server_and_the_session_from_everywhere() {
    struct Busy(Mutex<Option<BayeuxServer>>);

    impl Busy {
        fn call(&self, session: Option<&ServerSession>) {
            // Once, or each of its own publishes would call it again.
            let Some(server) = self.0.lock().unwrap().take() else {
                return;
            };
            server.publish("/again", &1).unwrap();
            drop(server.subscribe("/**").unwrap());
            server.add_extension(Noting::default());
            let _ = (server.sessions(), server.stats(), server.channels());
            if let Some(session) = session {
                session.deliver("/mine", &1).unwrap();
                session.add_extension(Noting::default());
                session.insert_attribute(1_u8);
                session.disconnect();
            }
        }
    }

    impl Extension for Busy {
        async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
            if is_on(message, "/in") {
                self.call(context.session());
            }
            Incoming::Pass
        }

        fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
            if is_on(message, "/out") || is_on(message, "/in") {
                self.call(context.session());
            }
            Fate::Pass
        }
    }

    let server = BayeuxServer::new();
    let busy = Arc::new(Busy(Mutex::new(None)));
    server.add_extension(Arc::clone(&busy));
    let other = Client::subscribed(&server, "/**").await;
    let own = Client::subscribed(&server, "/out").await;
    own.session().add_extension(Arc::clone(&busy));
    for channel in ["/out", "/in"] {
        *busy.0.lock().unwrap() = Some(server.clone());
        let client = Client::connected(&server).await;
        client.publish(channel, json!(1)).await;
        *busy.0.lock().unwrap() = Some(server.clone());
        own.poll().await;
        busy.0.lock().unwrap().take();
    }
    let events = other.poll().await.events();
    assert!(events.iter().any(|(channel, _)| channel == "/again"), "{events:?}");
    assert!(
        server.session(&own.client_id()).is_none(),
        "it disconnected its session while that was polling"
    );
}

#[tokio::test(start_paused = true)]
async fn the_http_request_is_at_hand_on_the_way_in() {
    struct Gate;

    impl Extension for Gate {
        async fn incoming(&self, _: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
            match context.request().headers.get("x-key") {
                Some(key) if key == "open" => Incoming::Pass,
                _ => Incoming::error("401::no_key"),
            }
        }
    }

    let server = BayeuxServer::new();
    server.add_extension(Gate);
    let handshake = || post(json!([{ "channel": "/meta/handshake" }]).to_string());
    assert_eq!(send(&server, handshake()).await.only()["error"], "401::no_key");
    let mut request = handshake();
    request.headers_mut().insert("x-key", "open".parse().unwrap());
    assert_eq!(send(&server, request).await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn messages_with_ever_so_many_fields_cost_no_more_than_their_size() {
    let server = BayeuxServer::new();
    server.add_extension(Noting::default());
    let client = Client::connected(&server).await;
    let fields: Vec<String> = (0..60_000).map(|number| format!(r#""{number}":1"#)).collect();
    let message = format!(
        r#"[{{"channel":"/a","clientId":"{}",{}}}]"#,
        client.id,
        fields.join(",")
    );
    assert!(message.len() > 500_000);
    assert_eq!(keys(&client.send_text(message).await.only()), ["channel", "successful"]);
}
