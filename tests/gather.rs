//! Busy sessions get several messages in one answer; quiet ones never wait.

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

/// A client that has just been sent two messages at once.
async fn busy(server: &BayeuxServer) -> Client {
    let client = Client::subscribed(server, "/a").await;
    publish(server, [-2, -1]);
    assert_eq!(numbers(&client.connect().await), [-2, -1]);
    client
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
    let client = busy(&server).await;
    publish(&server, [0, 1]);
    pass(WINDOW).await;
    let answer = client.connect().await;
    assert_eq!((numbers(&answer).len(), answer.info.unwrap().held), (2, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn after_an_answer_with_several_the_next_gathers_what_comes_within_the_window() {
    let server = server();
    let client = busy(&server).await;
    let held = client.hold().await;
    publish(&server, [0]);
    pass(60 * MILLISECOND).await;
    publish(&server, [1]);
    assert_eq!(of(held).await, (vec![json!(0), json!(1)], WINDOW));
}

#[tokio::test(start_paused = true)]
async fn several_that_came_while_the_client_was_on_its_way_wait_for_the_rest_of_the_window() {
    let server = server();
    let client = busy(&server).await;
    pass(WINDOW).await;
    publish(&server, [0]);
    assert_eq!(numbers(&client.connect().await), [0], "now it is not fast any more");
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
    let client = busy(&server).await;
    let held = client.hold().await;
    pass(2 * WINDOW).await;
    publish(&server, [0]);
    assert_eq!(of(held).await, (vec![json!(0)], 2 * WINDOW));
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_one_message_ends_the_gathering() {
    let server = server();
    let client = busy(&server).await;
    publish(&server, [0]);
    let held = client.hold().await;
    assert_eq!(of(held).await, (vec![json!(0)], WINDOW));
    let held = client.hold().await;
    publish(&server, [1]);
    assert_eq!(of(held).await, (vec![json!(1)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn after_waits_that_brought_too_little_ever_more_answers_do_not_wait() {
    let server = server();
    let client = busy(&server).await;
    let mut waited = Vec::new();
    for number in (0..40).step_by(2) {
        // Two at a time look like a busy session, but no third one comes.
        publish(&server, [number, number + 1]);
        let held = client.connect().await.info.unwrap().held;
        waited.push(if held == WINDOW { 'w' } else { '.' });
    }
    assert_eq!(waited.iter().collect::<String>(), "w....w........w.....");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_half_full_does_not_wait() {
    let server = BayeuxServer::builder()
        .gather(WINDOW)
        .max_queue_messages(8)
        .overflow(OverflowPolicy::DropNewest)
        .build();
    let client = busy(&server).await;
    let held = client.hold().await;
    publish(&server, 0..5);
    let (numbers, held) = of(held).await;
    assert_eq!((numbers.len(), held), (5, Duration::ZERO));
    assert_eq!(server.stats().dropped_messages.total(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_window_nothing_waits() {
    let server = BayeuxServer::builder().gather(Duration::ZERO).build();
    let client = busy(&server).await;
    let held = client.hold().await;
    publish(&server, [0]);
    assert_eq!(of(held).await, (vec![json!(0)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_connect_is_held_no_longer_than_its_timeout() {
    let server = server();
    let client = busy(&server).await;
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
    let client = busy(&server).await;
    let held = client.hold().await;
    publish(&server, [0]);
    server.shutdown();
    assert_eq!(of(held).await, (vec![json!(0)], Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_does_not_wait_again() {
    let server = server();
    let client = busy(&server).await;
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
    let client = busy(&server).await;
    let session = client.session();
    let mut held = client.start_connect();
    session.batch(|| assert!(common::poll_once(&mut held).is_pending()));
    pass(2 * WINDOW).await;
    assert!(common::poll_once(&mut held).is_pending());
    publish(&server, [0]);
    assert!(common::poll_once(&mut held).is_ready());
}
