//! Local sessions: the application as a client of its own server.

mod common;

use std::time::Duration;

use common::{Client, pass, yield_until};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, BrowserBinding, Event, LocalError, MutableMessage, OverflowPolicy, PolicyRequest, Reason,
    SecurityPolicy, ServerSession, Verdict,
    call::{CallError, Data},
    extension::{Extension, Fate, OutgoingContext},
};

async fn local(server: &BayeuxServer) -> tower_bayeux::LocalSession {
    server.local_session().handshake().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_hears_clients_and_clients_hear_it() {
    let server = BayeuxServer::new();
    let mut session = local(&server).await;
    session.subscribe("/a/*").await.unwrap();
    let client = Client::subscribed(&server, "/b").await;
    client.publish("/a/x", json!(1)).await;
    server.publish("/a/y", &2).unwrap();
    for (channel, data) in [("/a/x", 1), ("/a/y", 2)] {
        let message = session.recv().await.unwrap();
        assert_eq!(message.channel().as_deref(), Some(channel));
        assert_eq!(message.data::<u8>().unwrap(), data);
    }
    session.publish("/b", &json!({ "from": "inside" })).await.unwrap();
    assert_eq!(
        client.poll().await.events(),
        [("/b".to_owned(), json!({ "from": "inside" }))]
    );
    session.unsubscribe("/a/*").await.unwrap();
    assert_eq!(server.channel_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_later_wakes_it() {
    let server = BayeuxServer::new();
    let mut session = local(&server).await;
    session.subscribe("/a").await.unwrap();
    let reader = tokio::spawn(async move { session.recv().await.unwrap().data::<u8>().unwrap() });
    tokio::task::yield_now().await;
    server.publish("/a", &7).unwrap();
    assert_eq!(reader.await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn it_never_expires_and_leaves_when_it_is_dropped() {
    let server = BayeuxServer::new();
    let mut events = server.events();
    let session = local(&server).await;
    session.publish("/a", &1).await.unwrap();
    pass(Duration::from_secs(600)).await;
    assert!(session.session().is_active());
    drop(session);
    assert_eq!(server.session_count(), 0);
    assert!(matches!(events.recv().await, Some(Event::SessionAdded { .. })));
    let removed = events.recv().await;
    assert!(
        matches!(
            removed,
            Some(Event::SessionRemoved {
                reason: Reason::ClientDisconnect,
                ..
            })
        ),
        "{removed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_is_answered_and_what_comes_first_is_kept() {
    let server = BayeuxServer::new();
    let double = |session: ServerSession, Data(number): Data<i32>| async move {
        session.deliver("/first", &number).unwrap();
        number.checked_mul(2).map(Data).ok_or(CallError::new("too large"))
    };
    server.service("/service/double", double).unwrap();
    let mut session = local(&server).await;
    let answer = session.call("/service/double", &21).await.unwrap();
    assert_eq!(answer.data::<i32>().unwrap(), 42);
    let failed = session.call("/service/double", &i32::MAX).await.unwrap();
    assert_eq!(failed.field::<bool>("successful").unwrap(), Some(false));
    for number in [21, i32::MAX] {
        assert_eq!(session.recv().await.unwrap().data::<i32>().unwrap(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_is_asked_as_for_any_client_and_sees_the_request_and_ext() {
    struct Strict;

    impl SecurityPolicy for Strict {
        async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
            let ext: Value = request.ext().unwrap();
            match request.request().headers.contains_key("x-inside") && ext["token"] == "s3cret" {
                true => Verdict::grant(),
                false => Verdict::deny(),
            }
        }

        async fn can_subscribe(&self, request: PolicyRequest<'_>) -> Verdict {
            if request.channel() == "/open" {
                Verdict::grant()
            } else {
                Verdict::deny_because("closed")
            }
        }
    }

    let server = BayeuxServer::builder().security_policy(Strict).build();
    let refused = server.local_session().handshake().await.unwrap_err();
    assert_eq!(refused.to_string(), "refused: 403::handshake_denied");
    let (request, ()) = http::Request::get("/")
        .header("x-inside", "1")
        .body(())
        .unwrap()
        .into_parts();
    let prepared = server.local_session().request(request).ext("token", "s3cret").unwrap();
    let session = prepared.handshake().await.unwrap();
    session.subscribe("/open").await.unwrap();
    let refused = session.subscribe("/else").await.unwrap_err();
    assert!(matches!(&refused, LocalError::Refused(reply) if reply.channel().as_deref() == Some("/meta/subscribe")));
    assert_eq!(refused.to_string(), "refused: 403:closed:subscribe_denied");
    assert_eq!(
        session.publish("/a/*", &1).await.unwrap_err().to_string(),
        "refused: 405::channel_invalid"
    );
}

#[tokio::test(start_paused = true)]
async fn when_the_application_disconnects_it_the_rest_is_read_and_then_it_ends() {
    let server = BayeuxServer::new();
    let mut session = local(&server).await;
    session.session().deliver("/a", &1).unwrap();
    session.session().disconnect();
    assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), 1);
    assert!(session.recv().await.is_none());
    assert!(session.recv().await.is_none());
    assert_eq!(
        session.publish("/a", &1).await.unwrap_err().to_string(),
        "refused: 402::session_unknown"
    );
    assert!(matches!(session.call("/a", &1).await, Err(LocalError::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_never_read_is_bounded_as_any_other() {
    let server = BayeuxServer::builder().max_queue_messages(3).build();
    let mut session = local(&server).await;
    session.subscribe("/a").await.unwrap();
    for number in 0..5 {
        server.publish("/a", &number).unwrap();
    }
    assert!(session.recv().await.is_none());
    assert_eq!(server.stats().sessions_removed.count(Reason::QueueOverflow), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_only_calls_is_bounded_as_any_other() {
    let server = BayeuxServer::builder().max_queue_messages(3).build();
    let echo = |Data(number): Data<u8>| async move { Data(number) };
    server.service("/service/echo", echo).unwrap();
    let mut session = local(&server).await;
    session.subscribe("/a").await.unwrap();
    for number in 0..3 {
        server.publish("/a", &number).unwrap();
        let answer = session.call("/service/echo", &number).await.unwrap();
        assert_eq!(answer.data::<u8>().unwrap(), number);
    }
    server.publish("/a", &3).unwrap();
    let last = session.call("/service/echo", &3).await.unwrap();
    assert_eq!(last.data::<u8>().unwrap(), 3, "its answer was there");
    assert!(session.call("/service/echo", &4).await.is_err());
    assert!(
        session.recv().await.is_none(),
        "nothing is left of a queue that overflows"
    );
    let stats = server.stats();
    assert_eq!(stats.sessions_removed.count(Reason::QueueOverflow), 1);
    assert_eq!(stats.dropped_messages.count(Reason::QueueOverflow), 4);
    assert_eq!(stats.lost_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn while_a_call_is_not_answered_no_more_is_kept_than_in_a_queue() {
    let few = || BayeuxServer::builder().max_queue_messages(3);
    // `{"data":0,"channel":"/a"}` has 25 bytes.
    let small = || BayeuxServer::builder().max_queue_bytes(3 * 25);
    for (builder, policy, reason, kept) in [
        (few(), OverflowPolicy::DropOldest, Reason::OldestDropped, [6, 7, 8]),
        (few(), OverflowPolicy::DropNewest, Reason::NewestDropped, [0, 1, 2]),
        (small(), OverflowPolicy::DropOldest, Reason::OldestDropped, [6, 7, 8]),
        (small(), OverflowPolicy::DropNewest, Reason::NewestDropped, [0, 1, 2]),
    ] {
        let server = builder.overflow(policy).build();
        let mut session = local(&server).await;
        session.subscribe("/a").await.unwrap();
        let publisher = async {
            for number in 0..9 {
                server.publish("/a", &number).unwrap();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = session.call("/nobody", &()) => panic!("{answer:?}"),
            () = publisher => {}
        }
        for number in kept {
            assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), number);
        }
        assert_eq!(server.stats().dropped_messages.count(reason), 6);
        server.publish("/a", &9).unwrap();
        assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), 9);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_needs_no_room_among_what_is_kept() {
    let policy = OverflowPolicy::DropNewest;
    let server = BayeuxServer::builder().max_queue_messages(2).overflow(policy).build();
    let echo = |session: ServerSession, Data(number): Data<u8>| async move {
        session.deliver("/first", &number).unwrap();
        Data(number)
    };
    server.service("/service/echo", echo).unwrap();
    let mut session = local(&server).await;
    for number in 0..4 {
        let answer = session.call("/service/echo", &number).await.unwrap();
        assert_eq!(answer.data::<u8>().unwrap(), number);
    }
    for number in 0..2 {
        assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_received_yet_stays_in_the_queue() {
    let server = BayeuxServer::builder().max_queue_messages(3).build();
    let mut session = local(&server).await;
    for number in 0..3 {
        session.session().deliver("/a", &number).unwrap();
    }
    assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), 0);
    assert_eq!(server.stats().queued_messages, 2);
    session.session().deliver("/a", &3).unwrap();
    assert!(session.session().deliver("/a", &4).is_err());
    assert!(session.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn it_is_served_where_cookies_are_required() {
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Required)
        .build();
    let session = local(&server).await;
    session.subscribe("/a").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_knows_its_id_can_not_use_it() {
    let server = BayeuxServer::new();
    let session = local(&server).await;
    session.subscribe("/a").await.unwrap();
    let stranger = Client {
        server: server.clone(),
        id: session.session().id().to_string(),
        cookie: None,
    };
    let reply = stranger.publish("/a", json!(1)).await;
    assert_eq!(reply["error"], "402::session_unknown");
}

#[tokio::test(start_paused = true)]
async fn extensions_see_what_it_sends_and_gets() {
    struct Marking;

    impl Extension for Marking {
        fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
            message.set_field("marked", &true).unwrap();
            Fate::Pass
        }
    }

    let server = BayeuxServer::new();
    let mut session = local(&server).await;
    session.session().add_extension(Marking);
    session.subscribe("/a").await.unwrap();
    server.publish("/a", &1).unwrap();
    assert_eq!(
        session.recv().await.unwrap().field::<bool>("marked").unwrap(),
        Some(true)
    );
}

#[tokio::test(start_paused = true)]
async fn lazy_messages_come_when_their_time_is_over() {
    let server = BayeuxServer::new();
    let mut session = local(&server).await;
    session.subscribe("/a").await.unwrap();
    let lazy = tower_bayeux::Publication::new("/a", &1).unwrap().lazy(true);
    server.send(lazy).unwrap();
    let before = tokio::time::Instant::now();
    assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), 1);
    assert_eq!(before.elapsed(), server.config().max_lazy_timeout);
    yield_until(|| server.stats().queued_messages == 0).await;
}

#[tokio::test(start_paused = true)]
async fn it_has_nothing_to_acknowledge_though_it_asks_for_it() {
    let server = BayeuxServer::new();
    let prepared = server.local_session().ext("ack", &true).unwrap();
    let mut session = prepared.handshake().await.unwrap();
    session.session().deliver("/a", &1).unwrap();
    assert_eq!(session.recv().await.unwrap().data::<u8>().unwrap(), 1);
    session.session().disconnect();
    assert!(session.recv().await.is_none());
}
