//! The acknowledgement extension: what a client does not acknowledge is sent again.

mod common;

use std::time::Duration;

use common::{Answer, Client, pass, post, send_json};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, OverflowPolicy, Reason};

async fn handshake(server: &BayeuxServer, ack: Value) -> (Client, Value) {
    let reply = send_json(server, json!([{ "channel": "/meta/handshake", "ext": { "ack": ack } }]))
        .await
        .only();
    let client = Client {
        server: server.clone(),
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: None,
    };
    (client, reply)
}

/// A client that has made its first connect, whose reply was batch 1.
async fn client(server: &BayeuxServer) -> Client {
    let (client, reply) = handshake(server, json!(true)).await;
    assert_eq!(reply["ext"], json!({ "ack": true }));
    assert_eq!(batch(&connect(&client, json!(0)).await), 1);
    client.subscribe("/a").await;
    client
}

fn message(ack: &Value) -> Value {
    json!([{ "channel": "/meta/connect", "id": "c", "connectionType": "long-polling", "ext": { "ack": ack } }])
}

async fn connect(client: &Client, ack: Value) -> Answer {
    client.send(message(&ack)).await
}

fn batch(answer: &Answer) -> u64 {
    answer.connect_reply()["ext"]["ack"].as_u64().unwrap()
}

fn data(answer: &Answer) -> Vec<Value> {
    answer.events().into_iter().map(|(_, data)| data).collect()
}

#[tokio::test(start_paused = true)]
async fn it_is_negotiated_by_true_alone() {
    let server = BayeuxServer::new();
    for other in [
        json!(false),
        json!(1),
        json!("true"),
        json!({ "enabled": true }),
        json!(null),
    ] {
        let (client, reply) = handshake(&server, other.clone()).await;
        assert!(reply.get("ext").is_none(), "{other}");
        assert!(connect(&client, json!(0)).await.connect_reply().get("ext").is_none());
    }
    let off = BayeuxServer::builder().acknowledgement(false).build();
    assert!(handshake(&off, json!(true)).await.1.get("ext").is_none());
}

#[tokio::test(start_paused = true)]
async fn every_connect_reply_is_a_batch_with_a_number() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    assert_eq!(batch(&connect(&client, json!(1)).await), 2);
    server.publish("/a", &"x").unwrap();
    let answer = connect(&client, json!(2)).await;
    assert_eq!((batch(&answer), data(&answer)), (3, vec![json!("x")]));
    assert!(client.publish("/b", json!(1)).await.get("ext").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_is_sent_again_before_what_is_new_and_at_once() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    assert_eq!(data(&connect(&client, json!(1)).await), [1]);
    server.publish("/a", &2).unwrap();
    let answer = connect(&client, json!(1)).await;
    assert_eq!((batch(&answer), data(&answer)), (3, vec![json!(1), json!(2)]));
    let answer = connect(&client, json!(1)).await;
    assert_eq!((batch(&answer), data(&answer)), (4, vec![json!(1), json!(2)]));
    assert_eq!(answer.info.unwrap().held, Duration::ZERO);

    let answer = connect(&client, json!(4)).await;
    assert_eq!(data(&answer), [0; 0]);
    assert_eq!(answer.info.unwrap().held, Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_the_middle_acknowledges_those_before_it() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    connect(&client, json!(1)).await;
    server.publish("/a", &2).unwrap();
    // Without an ack nothing is cleared and nothing sent again.
    let answer = client.poll().await;
    assert_eq!((batch(&answer), data(&answer)), (3, vec![json!(2)]));
    assert_eq!(data(&connect(&client, json!(2)).await), [2]);
}

#[tokio::test(start_paused = true)]
async fn odd_numbers_are_understood() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    for nothing in [json!(-1), json!(0), json!(0.0), json!(1.0), json!(-1e300)] {
        assert_eq!(data(&connect(&client, nothing.clone()).await), [1], "{nothing}");
    }
    let everything = connect(&client, json!(1e300)).await;
    assert_eq!(data(&everything), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_ack_that_is_no_number_clears_nothing() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    connect(&client, json!(1)).await;
    for odd in [json!("2"), json!(true), json!([2]), json!(null)] {
        let connect = json!([{ "channel": "/meta/connect", "advice": { "timeout": 0 }, "ext": { "ack": odd } }]);
        assert_eq!(data(&client.send(connect).await), [0; 0], "{odd}");
    }
    assert_eq!(data(&connect(&client, json!(1)).await), [1]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_dropped_whenever_loses_nothing_and_doubles_nothing() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    let body = json!([{
        "channel": "/meta/connect", "clientId": client.id, "ext": { "ack": 1 },
    }]);
    for reads_body in [false, true] {
        let service = BayeuxService::new(common::BASE, server.clone());
        let response = service.oneshot(post(body.to_string())).await.unwrap();
        if reads_body {
            response.into_body().collect().await.unwrap();
        }
    }
    server.publish("/a", &2).unwrap();
    assert_eq!(data(&connect(&client, json!(1)).await), [1, 2]);
    let stats = server.stats();
    assert_eq!((stats.lost_messages, stats.queued_messages), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_connect_is_no_batch() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    let older = tokio::spawn({
        let client = client.clone();
        async move { connect(&client, json!(1)).await }
    });
    pass(Duration::from_secs(1)).await;
    let newer = tokio::spawn({
        let client = client.clone();
        async move { connect(&client, json!(1)).await }
    });
    assert!(older.await.unwrap().connect_reply().get("ext").is_none());
    server.publish("/a", &1).unwrap();
    let answer = newer.await.unwrap();
    assert_eq!((batch(&answer), data(&answer)), (2, vec![json!(1)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_counts_towards_the_bounds_of_the_queue() {
    for (policy, ends) in [(OverflowPolicy::Disconnect, true), (OverflowPolicy::DropNewest, false)] {
        let server = BayeuxServer::builder().max_queue_messages(3).overflow(policy).build();
        let client = client(&server).await;
        for number in 0..4 {
            server.publish("/a", &number).unwrap();
            client.poll().await;
        }
        assert_eq!(server.session_count() == 0, ends);
        let reason = if ends {
            Reason::QueueOverflow
        } else {
            Reason::NewestDropped
        };
        assert_eq!(server.stats().dropped_messages.count(reason), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_farewell_is_acknowledged_by_nobody() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    client.session().disconnect();
    let answer = connect(&client, json!(1)).await;
    let channels: Vec<_> = answer
        .messages()
        .iter()
        .map(|message| message["channel"].clone())
        .collect();
    assert_eq!(channels, ["/a", "/meta/disconnect", "/meta/connect"]);
    assert_eq!(
        connect(&client, json!(2)).await.connect_reply()["error"],
        "402::session_unknown"
    );
    assert_eq!(server.stats().queued_messages, 0);
}

/// Answers are lost at random; the client repeats its last acknowledgement as cometd.js does.
#[tokio::test(start_paused = true)]
async fn every_message_arrives_once_and_in_order_whatever_is_lost() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    let mut random = common::Random(7);
    let (mut acknowledged, mut published) = (1, 0);
    let mut received = Vec::new();
    for _ in 0..2000 {
        for _ in 0..random.below(4) {
            server.publish("/a", &published).unwrap();
            published += 1;
        }
        let mut connect = message(&json!(acknowledged));
        connect[0]["advice"] = json!({ "timeout": 0 });
        let answer = client.send(connect).await;
        if random.below(3) > 0 {
            acknowledged = batch(&answer);
            received.extend(data(&answer));
        }
    }
    received.extend(data(&connect(&client, json!(acknowledged)).await));
    assert_eq!(received, (0..published).map(Value::from).collect::<Vec<_>>());
    assert!(published > 1000);
}

#[tokio::test(start_paused = true)]
async fn a_farewell_whose_answer_was_dropped_comes_again_once_with_what_was_before_it() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    client.session().disconnect();
    drop(common::start(&server, client.request(message(&json!(1)))).await);
    let channels: Vec<_> = connect(&client, json!(1))
        .await
        .messages()
        .iter()
        .map(|message| message["channel"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(channels, ["/a", "/meta/disconnect", "/meta/connect"]);
    assert_eq!(server.stats().queued_messages, 0);
}

/// A connect that a proxy sends twice, or that comes late by a connection which its client has given up.
#[tokio::test(start_paused = true)]
async fn a_connect_that_comes_late_or_twice_doubles_nothing() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    assert_eq!(data(&connect(&client, json!(1)).await), [1]);
    let unread = connect(&client, json!(1)).await;
    assert_eq!((batch(&unread), data(&unread)), (3, vec![json!(1)]));
    server.publish("/a", &2).unwrap();
    let answer = connect(&client, json!(2)).await;
    assert_eq!((batch(&answer), data(&answer)), (4, vec![json!(2)]));
}

#[tokio::test(start_paused = true)]
async fn a_late_connect_that_is_overtaken_before_its_answer_doubles_nothing() {
    let server = BayeuxServer::new();
    let client = client(&server).await;
    server.publish("/a", &1).unwrap();
    assert_eq!(data(&connect(&client, json!(1)).await), [1]);
    // The late one is accepted, and what it asks for again is in the queue when the next one comes.
    let batch = json!([{ "channel": "/meta/connect", "ext": { "ack": 1 } }, { "channel": "/meta/connect", "ext": { "ack": 2 } }]);
    let events = client.send(batch).await.events();
    assert_eq!(events, []);
    assert_eq!(server.stats().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn what_made_room_while_it_waited_to_be_sent_again_is_not_confused_with_what_is_new() {
    let server = BayeuxServer::builder()
        .max_queue_messages(2)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let client = client(&server).await;
    for number in 1..=2 {
        server.publish("/a", &number).unwrap();
    }
    assert_eq!(data(&connect(&client, json!(1)).await), [1, 2]);
    client.session().batch(|| {
        // Both are in the queue again when the third comes; the first makes room for it.
        let mut late = common::start(&server, client.request(message(&json!(1))));
        assert!(common::poll_once(&mut late).is_pending());
        server.publish("/a", &3).unwrap();
    });
    assert_eq!(data(&connect(&client, json!(2)).await), [3]);
}

/// Late connects come at random; the client gets each message once, in order.
#[tokio::test(start_paused = true)]
async fn every_message_arrives_once_and_in_order_however_late_connects_come() {
    for seed in 0..20 {
        let server = BayeuxServer::new();
        let client = client(&server).await;
        let mut random = common::Random(seed);
        let (mut acknowledged, mut published) = (1, 0);
        let mut received = Vec::new();
        let mut sent = Vec::new();
        for _ in 0..400 {
            for _ in 0..random.below(3) {
                server.publish("/a", &published).unwrap();
                published += 1;
            }
            let mut connect = message(&json!(acknowledged));
            connect[0]["advice"] = json!({ "timeout": 0 });
            sent.push(connect.clone());
            let answer = client.send(connect).await;
            if random.below(3) > 0 {
                acknowledged = batch(&answer);
                received.extend(data(&answer));
            }
            // One of the last few comes once more, and nobody reads its answer.
            if random.below(2) == 0 {
                let age = usize::try_from(random.below(4)).unwrap();
                let late = sent[sent.len().saturating_sub(age + 1)].clone();
                client.send(late).await;
            }
        }
        received.extend(data(&connect(&client, json!(acknowledged)).await));
        assert_eq!(
            received,
            (0..published).map(Value::from).collect::<Vec<_>>(),
            "seed {seed}"
        );
    }
}
