//! Fast sessions get several messages in one answer; slow ones never wait.

mod common;

use std::time::Duration;

use common::{Answer, Client, pass};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_bayeux::{BayeuxServer, OverflowPolicy};

const WINDOW: Duration = Duration::from_millis(100);
const MILLISECOND: Duration = Duration::from_millis(1);

fn server() -> BayeuxServer {
    BayeuxServer::builder().gather(WINDOW).build()
}

fn publish(server: &BayeuxServer, numbers: impl IntoIterator<Item = i32>) {
    for number in numbers {
        server.publish("/a", &number).unwrap();
    }
}

fn numbers(answer: &Answer) -> Vec<Value> {
    answer.events().into_iter().map(|(_, data)| data).collect()
}

/// What a held connect was answered with, and how long it was held.
async fn of(held: JoinHandle<Answer>) -> (Vec<Value>, Duration) {
    let answer = held.await.unwrap();
    (numbers(&answer), answer.info.unwrap().held)
}

/// So many messages at once are eight windows ahead of one in each.
const MANY: i32 = 8;

/// A client that has just been sent many messages at once.
async fn fast(server: &BayeuxServer) -> Client {
    let client = Client::subscribed(server, "/a").await;
    publish(server, -MANY..0);
    assert_eq!(numbers(&client.connect().await).len(), 8);
    client
}

/// Whether each of so many connects, which find one message when they come, waits: `w`, or is answered at once: `.`.
async fn waits_for_one(server: &BayeuxServer, client: &Client, connects: usize) -> String {
    let mut waits = String::new();
    for _ in 0..connects {
        publish(server, [0]);
        let held = client.connect().await.info.unwrap().held;
        waits.push(if held == WINDOW { 'w' } else { '.' });
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_quiet_session_leaves_at_once() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    for number in 0..3 {
        let held = client.hold().await;
        publish(&server, [number]);
        assert_eq!(of(held).await, (vec![json!(number)], Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn several_that_wait_for_a_session_that_was_quiet_leave_at_once() {
    let server = server();
    let client = fast(&server).await;
    publish(&server, [0, 1]);
    pass(WINDOW).await;
    let answer = client.connect().await;
    assert_eq!((numbers(&answer).len(), answer.info.unwrap().held), (2, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_fast_session_gathers_what_comes_within_the_window() {
    let server = server();
    let client = fast(&server).await;
    let held = client.hold().await;
    publish(&server, [0]);
    pass(60 * MILLISECOND).await;
    publish(&server, [1]);
    assert_eq!(of(held).await, (vec![json!(0), json!(1)], WINDOW));
}

#[tokio::test(start_paused = true)]
async fn several_that_came_while_the_client_was_on_its_way_wait_for_the_rest_of_the_window() {
    let server = server();
    let client = fast(&server).await;
    publish(&server, [1, 2]);
    pass(30 * MILLISECOND).await;
    let held = client.hold().await;
    pass(30 * MILLISECOND).await;
    publish(&server, [3]);
    let gathered = (vec![json!(1), json!(2), json!(3)], 70 * MILLISECOND);
    assert_eq!(of(held).await, gathered);
}

#[tokio::test(start_paused = true)]
async fn when_the_window_is_over_the_next_message_leaves_at_once() {
    let server = server();
    let client = fast(&server).await;
    let held = client.hold().await;
    pass(2 * WINDOW).await;
    publish(&server, [0]);
    assert_eq!(of(held).await, (vec![json!(0)], 2 * WINDOW));
}

#[tokio::test(start_paused = true)]
async fn after_waits_that_brought_too_little_ever_more_answers_do_not_wait() {
    let server = server();
    let client = fast(&server).await;
    let expected = format!("w{}w{}w{}", ".".repeat(4), ".".repeat(32), ".".repeat(62));
    assert_eq!(waits_for_one(&server, &client, 101).await, expected);
}

#[tokio::test(start_paused = true)]
async fn several_that_come_at_once_end_that() {
    let server = server();
    let client = fast(&server).await;
    assert_eq!(waits_for_one(&server, &client, 8).await, "w....w..");
    publish(&server, 0..3);
    assert_eq!(client.connect().await.info.unwrap().held, Duration::ZERO);
    assert_eq!(waits_for_one(&server, &client, 8).await, "w....w..");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_slow_meanwhile_begins_anew() {
    let server = server();
    let client = fast(&server).await;
    assert_eq!(waits_for_one(&server, &client, 8).await, "w....w..");
    pass(16 * WINDOW).await;
    publish(&server, 0..MANY);
    assert_eq!(client.connect().await.info.unwrap().held, Duration::ZERO);
    assert_eq!(waits_for_one(&server, &client, 8).await, "w....w..");
}

#[tokio::test(start_paused = true)]
async fn fewer_than_one_in_a_window_never_wait() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    for number in 0..100 {
        let held = client.hold().await;
        pass(101 * MILLISECOND).await;
        publish(&server, [number]);
        assert_eq!(of(held).await, (vec![json!(number)], 101 * MILLISECOND));
    }
}

#[tokio::test(start_paused = true)]
async fn several_in_each_window_share_answers_after_a_while() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut held = client.hold().await;
    let mut sizes = Vec::new();
    for number in 0..40 {
        publish(&server, [number]);
        pass(25 * MILLISECOND).await;
        if held.is_finished() {
            sizes.push(of(held).await.0.len());
            held = client.hold().await;
        }
    }
    let alone = sizes.iter().take_while(|size| **size == 1).count();
    assert!(alone >= 8, "{sizes:?}");
    let (_, together) = sizes.split_at(alone);
    assert!(
        together.len() > 3 && together.iter().all(|size| *size == 4),
        "{sizes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_at_once_after_a_hiccup_makes_no_session_fast() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    publish(&server, 0..MANY - 1);
    assert_eq!(numbers(&client.connect().await).len(), 7);
    pass(MILLISECOND).await;
    let held = client.hold().await;
    publish(&server, [0]);
    assert_eq!(of(held).await, (vec![json!(0)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_half_full_does_not_wait() {
    let server = BayeuxServer::builder()
        .gather(WINDOW)
        .max_queue_messages(8)
        .overflow(OverflowPolicy::DropNewest)
        .build();
    let client = fast(&server).await;
    let held = client.hold().await;
    publish(&server, 0..5);
    let (numbers, held) = of(held).await;
    assert_eq!((numbers.len(), held), (5, Duration::ZERO));
    assert_eq!(server.stats().dropped_messages.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_window_nothing_waits() {
    let server = BayeuxServer::builder().gather(Duration::ZERO).build();
    let client = fast(&server).await;
    let held = client.hold().await;
    publish(&server, [0]);
    assert_eq!(of(held).await, (vec![json!(0)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_want_to_be_held_is_not_kept_waiting_either() {
    let server = server();
    let client = fast(&server).await;
    for number in 0..40 {
        publish(&server, [number]);
        let answer = client.poll().await;
        assert_eq!(
            (numbers(&answer), answer.info.unwrap().held),
            (vec![json!(number)], Duration::ZERO)
        );
    }
    let held = client.hold().await;
    publish(&server, [40]);
    assert_eq!(of(held).await, (vec![json!(40)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_held_no_longer_than_its_timeout() {
    let server = server();
    let client = fast(&server).await;
    publish(&server, [0, 1]);
    let asks = json!([{
        "channel": "/meta/connect", "connectionType": "long-polling", "clientId": client.id, "advice": { "timeout": 20 },
    }]);
    let answer = client.send(asks).await;
    assert_eq!(
        (numbers(&answer).len(), answer.info.unwrap().held),
        (2, 20 * MILLISECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_the_window() {
    let server = server();
    let client = fast(&server).await;
    let held = client.hold().await;
    publish(&server, [0]);
    server.shutdown();
    assert_eq!(of(held).await, (vec![json!(0)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_does_not_wait_again() {
    let server = server();
    let client = fast(&server).await;
    publish(&server, [0, 1]);
    pass(WINDOW).await;
    let mut poll = client.start_connect();
    let std::task::Poll::Ready(unsent) = common::poll_once(&mut poll) else {
        panic!("there was something to fetch");
    };
    drop(unsent);
    let answer = client.connect().await;
    assert_eq!((numbers(&answer).len(), answer.info.unwrap().held), (2, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_open_meanwhile_delays_no_later_message() {
    let server = server();
    let client = fast(&server).await;
    let session = client.session();
    let mut held = client.start_connect();
    session.batch(|| assert!(common::poll_once(&mut held).is_pending()));
    pass(2 * WINDOW).await;
    assert!(common::poll_once(&mut held).is_pending());
    publish(&server, [0]);
    assert!(common::poll_once(&mut held).is_ready());
}
