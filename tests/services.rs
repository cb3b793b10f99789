//! Services: handlers that clients call, and the answers that they get.

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use common::{Client, keys, pass, poll_once, post, send, send_json, start};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, ChannelName, Grant, InvalidChannel, PolicyRequest, SecurityPolicy, ServerSession, Verdict,
    call::{Answer, Call, CallError, Data, Extension, FromCall, IntoAnswer},
};

impl Client {
    /// Publishes, and says what the next connect brings beside its reply.
    async fn call(&self, channel: &str, data: Value) -> Vec<Value> {
        assert_eq!(self.publish(channel, data).await["successful"], true);
        self.fetch().await
    }

    /// What waits for this client.
    async fn fetch(&self) -> Vec<Value> {
        let mut messages = self.poll().await.messages();
        messages.pop();
        messages
    }
}

#[derive(Deserialize)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Serialize)]
struct Receipt {
    total: u32,
}

async fn order(Data(order): Data<Order>) -> Result<Data<Receipt>, CallError> {
    match order.item.as_str() {
        "tea" => Ok(Data(Receipt { total: 5 * order.count })),
        item => Err(CallError::new(format_args!("no {item} today"))),
    }
}

// Answers

#[tokio::test(start_paused = true)]
async fn what_a_handler_returns_answers_the_caller_with_the_id_of_the_call() {
    let server = BayeuxServer::new();
    server.service("/service/order", order).unwrap();
    let client = Client::connected(&server).await;
    let call = json!({ "channel": "/service/order", "id": 17, "data": { "item": "tea", "count": 3 } });
    let reply = client.ask(call).await;
    assert_eq!(
        reply,
        json!({ "channel": "/service/order", "id": 17, "successful": true })
    );
    let answer = json!({ "channel": "/service/order", "id": 17, "successful": true, "data": { "total": 15 } });
    assert_eq!(client.fetch().await, [answer]);
}

#[tokio::test(start_paused = true)]
async fn an_error_answers_with_failure_and_the_publish_has_succeeded_nevertheless() {
    let server = BayeuxServer::new();
    server.service("/service/order", order).unwrap();
    let client = Client::connected(&server).await;
    let answers = client
        .call("/service/order", json!({ "item": "coffee", "count": 1 }))
        .await;
    let data = json!({ "message": "no coffee today" });
    let answer = json!({ "channel": "/service/order", "id": "p", "successful": false, "data": data });
    assert_eq!(answers, [answer]);
}

#[tokio::test(start_paused = true)]
async fn data_that_does_not_fit_is_answered_with_failure_and_the_handler_is_not_called() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let server = BayeuxServer::new();
    let count = |_: Data<Order>| async {
        CALLS.fetch_add(1, SeqCst);
    };
    server.service("/service/order", count).unwrap();
    let client = Client::connected(&server).await;
    for wrong in [json!({ "item": "tea", "count": -1 }), json!("tea"), Value::Null] {
        let answers = client.call("/service/order", wrong).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0]["successful"], false);
        let message = answers[0]["data"]["message"].as_str().unwrap();
        assert!(message.starts_with("the message's data does not fit: "), "{message}");
    }
    let without_data = json!({ "channel": "/service/order", "id": "x" });
    assert_eq!(client.ask(without_data).await["successful"], true);
    assert_eq!(client.fetch().await[0]["successful"], false);
    assert_eq!(CALLS.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_id_gets_an_answer_without_id() {
    let server = BayeuxServer::new();
    server.service("/service/order", order).unwrap();
    let client = Client::connected(&server).await;
    let call = json!({ "channel": "/service/order", "data": { "item": "tea", "count": 1 } });
    assert_eq!(keys(&client.ask(call).await), ["channel", "successful"]);
    let answers = client.fetch().await;
    assert_eq!(keys(&answers[0]), ["channel", "data", "successful"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_nothing_gives_no_answer() {
    let server = BayeuxServer::new();
    server.service("/service/log", |_: Data<Value>| async {}).unwrap();
    server
        .service("/service/try", || async { Ok::<(), CallError>(()) })
        .unwrap();
    server.service("/service/none", || async { Answer::none() }).unwrap();
    let client = Client::connected(&server).await;
    for channel in ["/service/log", "/service/try", "/service/none", "/service/nobody"] {
        assert!(client.call(channel, json!(1)).await.is_empty(), "{channel}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_data_of_success_and_failure_is_the_handlers_choice() {
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    enum ShopError {
        SoldOut,
    }
    impl From<ShopError> for CallError {
        fn from(_: ShopError) -> Self {
            Self::with_data(&json!({ "code": 17 }))
        }
    }
    enum Vote {
        Counted,
    }
    impl IntoAnswer for Vote {
        fn into_answer(self) -> Answer {
            Answer::success(&[1, 2])
        }
    }

    let server = BayeuxServer::new();
    let service = |channel: &str, answer: Answer| {
        let handler = move || {
            let answer = answer.clone();
            async { answer }
        };
        server.service(channel, handler).unwrap();
    };
    service("/service/success", Answer::success(&"fine"));
    service("/service/null", Answer::success(&()));
    service("/service/failure", Answer::failure(&[1]));
    service("/service/bad-success", Answer::success(&Unwritable));
    service("/service/bad-failure", Answer::failure(&Unwritable));
    service("/service/bad-error", CallError::with_data(&Unwritable).into_answer());
    server.service("/service/data", || async { Data(Unwritable) }).unwrap();
    server
        .service("/service/buy", || async { Err::<(), _>(ShopError::SoldOut) })
        .unwrap();
    server.service("/service/vote", || async { Vote::Counted }).unwrap();

    let client = Client::connected(&server).await;
    let unwritable = json!({ "message": "the answer can't be written as JSON" });
    for (channel, successful, data) in [
        ("/service/success", true, json!("fine")),
        ("/service/null", true, Value::Null),
        ("/service/failure", false, json!([1])),
        ("/service/bad-success", false, unwritable.clone()),
        ("/service/bad-failure", false, Value::Null),
        (
            "/service/bad-error",
            false,
            json!({ "message": "the failure can't be written as JSON" }),
        ),
        ("/service/data", false, unwritable),
        ("/service/buy", false, json!({ "code": 17 })),
        ("/service/vote", true, json!([1, 2])),
    ] {
        let answers = client.call(channel, json!(1)).await;
        let answer = json!({ "channel": channel, "id": "p", "successful": successful, "data": data });
        assert_eq!(answers, [answer]);
    }
}

#[test]
fn a_call_error_shows_its_message_or_its_data() {
    assert_eq!(CallError::new("sold out").to_string(), "sold out");
    assert_eq!(CallError::with_data(&[1, 2]).to_string(), "[1,2]");
}

#[tokio::test(start_paused = true)]
async fn the_answer_goes_to_the_calling_session_alone_and_at_once_if_it_holds_a_connect() {
    let server = BayeuxServer::new();
    server
        .service("/service/echo", |data: Data<Value>| async { data })
        .unwrap();
    let caller = Client::connected(&server).await;
    let other = Client::subscribed(&server, "/service/echo").await;
    other.subscribe("/**").await;
    let held = caller.hold().await;
    caller.publish("/service/echo", json!("hello")).await;
    assert_eq!(
        held.await.unwrap().events(),
        [("/service/echo".to_owned(), json!("hello"))]
    );
    assert!(other.fetch().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_and_its_answer_may_share_a_request_with_a_connect() {
    let server = BayeuxServer::new();
    server
        .service("/service/echo", |data: Data<Value>| async { data })
        .unwrap();
    let client = Client::connected(&server).await;
    let messages = client
        .send(json!([
            { "channel": "/service/echo", "id": "1", "data": 7 },
            { "channel": "/meta/connect", "id": "2", "connectionType": "long-polling" },
        ]))
        .await
        .messages();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(messages[0]["data"], 7);
    assert!(messages[1].get("data").is_none());
    assert_eq!(messages[2]["channel"], "/meta/connect");
}

// Arguments

#[derive(Clone, Debug)]
struct User(&'static str);

/// A call by somebody who has been let in as a user.
async fn call_as(client: &Client, user: User, channel: &str) -> Vec<Value> {
    let message = json!([{ "channel": channel, "clientId": client.id, "id": "u", "data": "x" }]);
    let mut request = post(message.to_string());
    request.extensions_mut().insert(user);
    request.headers_mut().insert("x-from", "here".parse().unwrap());
    assert_eq!(send(&client.server, request).await.only()["successful"], true);
    client.fetch().await
}

#[tokio::test(start_paused = true)]
async fn a_handler_takes_what_it_needs_in_any_order() {
    #[expect(clippy::too_many_arguments, reason = "as many as there may be")]
    async fn everything(
        server: BayeuxServer,
        Extension(user): Extension<User>,
        Data(data): Data<String>,
        channel: ChannelName,
        session: ServerSession,
        request: Arc<Parts>,
        missing: Option<Extension<u8>>,
        there: Option<Data<String>>,
    ) -> Data<Value> {
        Data(json!({
            "sessions": server.session_count(),
            "user": user.0,
            "data": data,
            "channel": channel.as_str(),
            "session": session.id().to_string(),
            "from": request.headers["x-from"].to_str().unwrap(),
            "missing": missing.is_none(),
            "there": there.is_some(),
        }))
    }
    let server = BayeuxServer::new();
    server.service("/service/everything/*", everything).unwrap();
    let client = Client::connected(&server).await;
    let answers = call_as(&client, User("ada"), "/service/everything/now/").await;
    let seen = json!({
        "sessions": 1, "user": "ada", "data": "x", "channel": "/service/everything/now", "session": client.id,
        "from": "here", "missing": true, "there": true,
    });
    assert_eq!(answers[0]["data"], seen);
    // As it was called, trailing slash and all.
    assert_eq!(answers[0]["channel"], "/service/everything/now/");
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_is_missing_is_answered_with_failure() {
    let server = BayeuxServer::new();
    server
        .service("/service/user", |Extension(user): Extension<User>| async move {
            Data(user.0)
        })
        .unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(call_as(&client, User("ada"), "/service/user").await[0]["data"], "ada");
    let answers = client.call("/service/user", json!(1)).await;
    assert_eq!(answers[0]["successful"], false);
    let message = answers[0]["data"]["message"].as_str().unwrap();
    assert!(message.starts_with("the request has no extension "), "{message}");
}

/// What a message's `ext` says who it is from.
struct Token(String);

impl FromCall for Token {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ext: Value = call.ext()?;
        let token = ext["token"].as_str().ok_or(CallError::new("who are you?"))?;
        assert!(call.session().is_some() && call.request().uri.path().starts_with("/cometd"));
        assert_eq!(call.data::<Value>()?, json!(call.raw_data().len()));
        Ok(Self(format!("{token} on {}", call.channel())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_types_of_the_applications_own() {
    let server = BayeuxServer::new();
    server
        .service("/service/a", |token: Token| async { Data(token.0) })
        .unwrap();
    let client = Client::connected(&server).await;
    client
        .ask(json!({ "channel": "/service/a", "data": 1, "ext": { "token": "t" } }))
        .await;
    assert_eq!(client.fetch().await[0]["data"], "t on /service/a");
    let answers = client.call("/service/a", json!(1)).await;
    assert_eq!(answers[0]["data"], json!({ "message": "who are you?" }));
}

#[tokio::test(start_paused = true)]
async fn a_call_without_session_reaches_handlers_and_nobody_is_answered() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let server = BayeuxServer::builder().unconnected_publish(true).build();
    let seen = Arc::clone(&heard);
    let without = move |session: Option<ServerSession>, Data(data): Data<Value>| {
        seen.lock().unwrap().push((session.is_some(), data));
        async { Data("nobody hears this") }
    };
    server.service("/service/a", without).unwrap();
    server
        .service(
            "/service/a",
            |session: ServerSession| async move { session.disconnect() },
        )
        .unwrap();
    let answer = send_json(&server, json!([{ "channel": "/service/a", "id": "1", "data": 5 }])).await;
    assert_eq!(
        answer.only(),
        json!({ "channel": "/service/a", "id": "1", "successful": true })
    );
    assert_eq!(*heard.lock().unwrap(), [(false, json!(5))]);
}

// Who is called, and when

#[tokio::test(start_paused = true)]
async fn all_handlers_that_match_are_called_from_the_root_down() {
    let server = BayeuxServer::new();
    let called = Arc::new(Mutex::new(Vec::new()));
    let patterns = [
        "/service/a/b",
        "/service/a/*",
        "/service/a/**",
        "/service/other",
        "/**",
        "/service/**",
        "/service/a",
        "/service/a/b",
        "/a/**",
    ];
    for (number, pattern) in patterns.into_iter().enumerate() {
        let called = Arc::clone(&called);
        let handler = move || {
            called.lock().unwrap().push((number, pattern));
            async move { Data(number) }
        };
        server.service(pattern, handler).unwrap();
    }
    let client = Client::connected(&server).await;
    let answers = client.call("/service/a/b", json!(1)).await;
    let order = [
        (4, "/**"),
        (5, "/service/**"),
        (2, "/service/a/**"),
        (1, "/service/a/*"),
        (0, "/service/a/b"),
        (7, "/service/a/b"),
    ];
    assert_eq!(*called.lock().unwrap(), order);
    let numbers: Vec<_> = answers.iter().map(|answer| answer["data"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [4, 5, 2, 1, 0, 7]);
}

#[tokio::test(start_paused = true)]
async fn a_service_may_be_on_a_broadcast_channel_whose_subscribers_get_the_message_first() {
    let server = BayeuxServer::new();
    server
        .service("/chat", |Data(text): Data<String>, server: BayeuxServer| async move {
            server.publish("/chat", &format!("{text} indeed")).unwrap();
            Data("thanks")
        })
        .unwrap();
    let listener = Client::subscribed(&server, "/chat").await;
    let caller = Client::subscribed(&server, "/chat").await;
    let chat = |text: &str| ("/chat".to_owned(), json!(text));
    caller.publish("/chat", json!("hello")).await;
    assert_eq!(listener.poll().await.events(), [chat("hello"), chat("hello indeed")]);
    let heard = [chat("hello"), chat("hello indeed"), chat("thanks")];
    assert_eq!(caller.poll().await.events(), heard);
}

#[tokio::test(start_paused = true)]
async fn server_side_subscriptions_hear_service_channels_beside_the_handlers() {
    let server = BayeuxServer::new();
    server
        .service("/service/echo", |data: Data<Value>| async { data })
        .unwrap();
    let mut subscription = server.subscribe("/service/**").unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(client.call("/service/echo", json!(1)).await.len(), 1);
    assert_eq!(subscription.recv().await.unwrap().raw_data(), "1");
}

#[tokio::test(start_paused = true)]
async fn what_the_application_publishes_calls_no_service() {
    let server = BayeuxServer::new();
    server.service("/a", || async { panic!("called") as () }).unwrap();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_policy_or_a_rule_denies_reaches_no_handler() {
    struct NoSpam;
    impl SecurityPolicy for NoSpam {
        async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
            if request.raw_data() == r#""spam""# {
                return Verdict::deny();
            }
            Verdict::grant()
        }
    }
    let server = BayeuxServer::builder().security_policy(NoSpam).build();
    server
        .service("/service/**", |data: Data<Value>| async { data })
        .unwrap();
    server.authorize("/service/closed", Grant::NONE).unwrap();
    let client = Client::connected(&server).await;
    let denied = [("/service/open", "spam"), ("/service/closed", "fine")];
    for (channel, data) in denied {
        assert_eq!(client.publish(channel, json!(data)).await["successful"], false);
        assert!(client.fetch().await.is_empty());
    }
    assert_eq!(client.call("/service/open", json!("fine")).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_sent_again_is_not_handled_again() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let server = BayeuxServer::builder().duplicate_window(8).build();
    server
        .service("/service/count", || async { Data(CALLS.fetch_add(1, SeqCst)) })
        .unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(client.call("/service/count", json!(1)).await.len(), 1);
    assert!(client.call("/service/count", json!(1)).await.is_empty());
    assert_eq!(CALLS.load(SeqCst), 1);
}

#[test]
fn a_service_can_be_neither_on_a_meta_channel_nor_on_a_bad_name() {
    let server = BayeuxServer::new();
    for (bad, error) in [
        ("/meta/connect", InvalidChannel::NotAllowedHere),
        ("/meta/**", InvalidChannel::NotAllowedHere),
        ("service", InvalidChannel::NoLeadingSlash),
        ("/a//b", InvalidChannel::EmptySegment),
    ] {
        assert_eq!(server.service(bad, || async {}), Err(error));
    }
}

// Handlers that misbehave

#[tokio::test(start_paused = true)]
async fn a_slow_handler_delays_its_own_request_only() {
    let server = BayeuxServer::new();
    server
        .service("/wait", |Data(seconds): Data<u64>| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Data("done")
        })
        .unwrap();
    let slow = Client::subscribed(&server, "/wait").await;
    let calling = tokio::spawn({
        let slow = slow.clone();
        async move { slow.publish("/wait", json!(5)).await }
    });
    pass(Duration::from_secs(1)).await;
    // The message itself has not waited, and the session goes on.
    assert_eq!(slow.poll().await.events(), [("/wait".to_owned(), json!(5))]);
    let quick = Client::connected(&server).await;
    assert_eq!(quick.call("/wait", json!(0)).await[0]["data"], "done");
    assert_eq!(slow.poll().await.events(), [("/wait".to_owned(), json!(0))]);
    assert!(!calling.is_finished());
    assert_eq!(calling.await.unwrap()["successful"], true);
    assert_eq!(slow.poll().await.events(), [("/wait".to_owned(), json!("done"))]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_answers_with_failure_and_costs_nobody_else_anything() {
    let server = BayeuxServer::new();
    server
        .service("/a", |Data(text): Data<String>| async move {
            tokio::task::yield_now().await;
            assert_ne!(text, "panic", "a secret");
            Data("fine")
        })
        .unwrap();
    server.service("/a", || async { Data("the next handler") }).unwrap();
    let client = Client::connected(&server).await;
    let listener = Client::subscribed(&server, "/a").await;
    let replies = client
        .send(json!([{ "channel": "/a", "id": "1", "data": "panic" }, { "channel": "/a", "id": "2", "data": "again" }]))
        .await;
    for (reply, id) in replies.messages().iter().zip(["1", "2"]) {
        assert_eq!(*reply, json!({ "channel": "/a", "id": id, "successful": true }));
    }
    let answers = client.fetch().await;
    let failure = json!({ "message": "the call could not be handled" });
    assert_eq!(
        answers[0],
        json!({ "channel": "/a", "id": "1", "successful": false, "data": failure })
    );
    let data: Vec<_> = answers[1..].iter().map(|answer| answer["data"].clone()).collect();
    assert_eq!(data, ["the next handler", "fine", "the next handler"]);
    let heard = ["panic", "again"].map(|text| ("/a".to_owned(), json!(text)));
    assert_eq!(listener.poll().await.events(), heard);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_before_its_future_is_made_answers_with_failure_too() {
    async fn nothing() {}
    let server = BayeuxServer::new();
    server
        .service("/service/a", |Data(text): Data<String>| {
            assert_ne!(text, "panic");
            nothing()
        })
        .unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(client.call("/service/a", json!("panic")).await[0]["successful"], false);
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_with_its_request() {
    let server = BayeuxServer::new();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    server
        .service("/service/wait", move || {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        })
        .unwrap();
    let client = Client::connected(&server).await;
    let mut request = start(&server, client.request(json!([{ "channel": "/service/wait" }])));
    assert!(poll_once(&mut request).is_pending());
    assert_eq!(Arc::strong_count(&alive), 3);
    drop(request);
    assert_eq!(Arc::strong_count(&alive), 2);
    assert!(client.fetch().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_call_the_server_end_its_session_and_set_handlers() {
    async fn reentrant(server: BayeuxServer, session: ServerSession, Data(what): Data<String>) -> Data<String> {
        match what.as_str() {
            "publish" => server.publish("/news", &what).unwrap(),
            "deliver" => session.deliver("/for/you", &what).unwrap(),
            "subscribe" => drop(server.subscribe("/service/**").unwrap()),
            "service" => server
                .service("/service/later", || async { Data("set while handling") })
                .unwrap(),
            "everything" => {
                let _ = (
                    server.sessions(),
                    server.channels(),
                    session.subscriptions(),
                    server.stats(),
                );
                server.authorize("/service/closed", Grant::NONE).unwrap();
            }
            _ => session.disconnect(),
        }
        Data(what)
    }
    let server = BayeuxServer::new();
    server.service("/service/do", reentrant).unwrap();
    let client = Client::subscribed(&server, "/news").await;
    for what in ["subscribe", "service", "everything"] {
        assert_eq!(client.call("/service/do", json!(what)).await[0]["data"], what);
    }
    for (what, channel) in [("publish", "/news"), ("deliver", "/for/you")] {
        let answers = client.call("/service/do", json!(what)).await;
        assert_eq!(answers[0]["channel"], channel);
        assert_eq!(answers[1]["channel"], "/service/do");
    }
    let answers = client.call("/service/later", json!(1)).await;
    assert_eq!(answers[0]["data"], "set while handling");

    assert_eq!(client.publish("/service/do", json!("leave")).await["successful"], true);
    let farewell = client.poll().await.messages();
    assert_eq!(farewell[0]["channel"], "/meta/disconnect");
    assert_eq!(farewell[1]["advice"]["reconnect"], "none");
    assert_eq!(farewell.len(), 2);
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_unsubscribe_and_disconnect_while_its_call_is_handled() {
    let server = BayeuxServer::new();
    server
        .service("/a", || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Data("late")
        })
        .unwrap();
    let client = Client::subscribed(&server, "/a").await;
    let calling = tokio::spawn({
        let client = client.clone();
        async move { client.publish("/a", json!(1)).await }
    });
    pass(Duration::from_millis(10)).await;
    client
        .ask(json!({ "channel": "/meta/unsubscribe", "subscription": "/a" }))
        .await;
    client.disconnect().await;
    assert_eq!(calling.await.unwrap()["successful"], true);
    let stats = server.stats();
    assert_eq!((stats.sessions, stats.queued_messages), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn handlers_do_not_keep_the_server_alive() {
    let server = BayeuxServer::new();
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    server
        .service("/service/a", move |_: BayeuxServer| {
            let _ = &held;
            async {}
        })
        .unwrap();
    let client = Client::connected(&server).await;
    client.publish("/service/a", json!(1)).await;
    drop((server, client));
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_takes_no_answer_and_the_call_succeeds() {
    let server = BayeuxServer::builder()
        .max_queue_messages(1)
        .overflow(tower_bayeux::OverflowPolicy::DropNewest)
        .build();
    server
        .service("/service/echo", |data: Data<Value>| async { data })
        .unwrap();
    let client = Client::connected(&server).await;
    for number in 0..3 {
        assert_eq!(client.publish("/service/echo", json!(number)).await["successful"], true);
    }
    let answers = client.fetch().await;
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["data"], 0);
}
