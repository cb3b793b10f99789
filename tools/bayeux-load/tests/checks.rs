//! The checks, proven with a server that does wrong on purpose.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bayeux_load::{Checks, Error, Options, Report, run};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::LocalSet, time::sleep};

/// What a server does with the fifth message, counted from nought; the rest it treats well.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Lose,
    Duplicate,
    /// Sends the sixth before it.
    Swap,
    /// Says that it came on another channel.
    Misroute,
    /// Refuses the publish.
    Refuse,
    /// Delivers it, but never answers the publish.
    KeepQuiet,
    /// Accepts one every 30 milliseconds.
    Dawdle,
    /// Sends each to one client more every 200 milliseconds.
    Trickle,
    /// Treats messages well, but refuses this handshake, counted from nought.
    RefuseHandshake(usize),
    /// Does not answer it.
    IgnoreHandshake(usize),
}

#[derive(Default)]
struct State {
    handshakes: usize,
    published: u64,
    kept: Option<Value>,
    queues: HashMap<String, Vec<Value>>,
}

struct Server {
    fault: Fault,
    state: Mutex<State>,
    news: Notify,
}

impl Server {
    async fn reply(&self, message: &Value) -> Vec<Value> {
        let channel = message["channel"].as_str().unwrap();
        let id = message["clientId"].as_str().unwrap_or_default();
        match channel {
            "/meta/handshake" => {
                let number = self.state.lock().unwrap().handshakes;
                self.state.lock().unwrap().handshakes += 1;
                match self.fault {
                    Fault::RefuseHandshake(refused) if number == refused => {
                        return vec![json!({ "channel": channel, "successful": false })];
                    }
                    Fault::IgnoreHandshake(ignored) if number == ignored => pending().await,
                    _ => {}
                }
                let id = format!("client-{number}");
                self.state.lock().unwrap().queues.insert(id.clone(), Vec::new());
                vec![json!({ "channel": channel, "successful": true, "clientId": id })]
            }
            "/meta/connect" => {
                let mut answer = Vec::new();
                while answer.is_empty() && message["advice"]["timeout"] != 0 {
                    let news = self.news.notified();
                    answer.append(self.state.lock().unwrap().queues.get_mut(id).unwrap());
                    if answer.is_empty() {
                        news.await;
                    }
                }
                if matches!(self.fault, Fault::Trickle) && !answer.is_empty() {
                    let number = id.trim_start_matches("client-").parse().unwrap();
                    sleep(Duration::from_millis(200) * number).await;
                }
                answer.push(json!({ "channel": channel, "successful": true }));
                answer
            }
            "/meta/subscribe" | "/meta/disconnect" => vec![json!({ "channel": channel, "successful": true })],
            _ => {
                let successful = self.publish(channel, message);
                let published = self.state.lock().unwrap().published;
                match self.fault {
                    Fault::KeepQuiet if published == 6 => pending().await,
                    Fault::Dawdle => sleep(Duration::from_millis(30)).await,
                    _ => {}
                }
                vec![json!({ "channel": channel, "successful": successful })]
            }
        }
    }

    fn publish(&self, channel: &str, message: &Value) -> bool {
        let mut state = self.state.lock().unwrap();
        let event = json!({ "channel": channel, "data": message["data"] });
        let number = state.published;
        state.published += 1;
        let events = match (self.fault, number) {
            (Fault::Lose, 5) => vec![],
            (Fault::Duplicate, 5) => vec![event.clone(), event],
            (Fault::Swap, 5) => {
                state.kept = Some(event);
                vec![]
            }
            (Fault::Swap, 6) => vec![event, state.kept.take().unwrap()],
            (Fault::Misroute, 5) => vec![json!({ "channel": "/elsewhere", "data": message["data"] })],
            (Fault::Refuse, 5) => return false,
            _ => vec![event],
        };
        for queue in state.queues.values_mut() {
            queue.extend(events.iter().cloned());
        }
        drop(state);
        self.news.notify_waiters();
        true
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut answer = Vec::new();
        for message in serde_json::from_slice::<Vec<Value>>(&body).unwrap() {
            answer.extend(self.reply(&message).await);
        }
        Ok(Response::new(Full::new(Value::from(answer).to_string().into())))
    }
}

async fn serve(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Arc::new(Server {
        fault,
        state: Mutex::default(),
        news: Notify::new(),
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = Arc::clone(&server);
            let service = service_fn(move |request| {
                let server = Arc::clone(&server);
                async move { server.answer(request).await }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

/// Patient enough for a server that answers, and no longer than a test should take.
const LIMITS: &str = "--duration 1 --stall 0.5 --deadline 30";

async fn report(fault: Fault, limits: &str, mode: &str) -> Result<Report, Error> {
    LocalSet::new()
        .run_until(async {
            let address = serve(fault).await;
            let line = format!("bayeux-load --url http://{address}/ --warmup 0 --messages 10 {limits} {mode}");
            let report = run(&Options::parse_from(line.split(' '))).await?;
            assert_eq!(report.is_clean(), report.checks.all_well() && report.operations > 0);
            Ok(report)
        })
        .await
}

/// What three subscribers say of ten messages.
async fn checks(fault: Fault) -> Checks {
    report(fault, LIMITS, "fanout --subscribers 3 --flood")
        .await
        .unwrap()
        .checks
}

#[tokio::test]
async fn a_good_server_passes() {
    assert!(checks(Fault::None).await.all_well());
}

#[tokio::test]
async fn a_lost_message_is_missed_by_every_subscriber() {
    let checks = checks(Fault::Lose).await;
    assert_eq!((checks.lost, checks.duplicated, checks.out_of_order), (3, 0, 0));
}

#[tokio::test]
async fn a_message_that_comes_twice_is_seen() {
    let checks = checks(Fault::Duplicate).await;
    assert_eq!((checks.lost, checks.duplicated, checks.out_of_order), (0, 3, 0));
}

#[tokio::test]
async fn a_message_that_comes_late_is_out_of_order_but_not_lost() {
    let checks = checks(Fault::Swap).await;
    assert_eq!((checks.lost, checks.duplicated, checks.out_of_order), (0, 0, 3));
}

#[tokio::test]
async fn a_message_on_another_channel_is_not_taken_for_the_right_one() {
    let checks = checks(Fault::Misroute).await;
    assert_eq!((checks.misrouted, checks.lost), (3, 3));
}

#[tokio::test]
async fn a_refusal_is_an_error() {
    let checks = checks(Fault::Refuse).await;
    assert_eq!(checks.errors, 1);
    assert!(checks.first_error.unwrap().contains("refused"));
}

#[tokio::test]
async fn a_client_that_can_not_be_set_up_is_an_error_and_the_others_go_on() {
    let report = report(Fault::RefuseHandshake(1), LIMITS, "fanout --subscribers 3")
        .await
        .unwrap();
    assert_eq!((report.operations, report.deliveries), (10, 20));
    assert_eq!((report.checks.errors, report.checks.lost), (1, 0));
    assert!(
        report
            .checks
            .first_error
            .unwrap()
            .contains("client 1 could not be set up")
    );
}

#[tokio::test]
async fn without_any_client_there_is_nothing_to_report() {
    let error = report(Fault::RefuseHandshake(0), LIMITS, "fanout --subscribers 1")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("client 0 could not be set up"), "{error}");
}

#[tokio::test]
async fn a_client_whose_handshake_is_not_answered_is_an_error_too() {
    let report = report(Fault::IgnoreHandshake(2), LIMITS, "fanout --subscribers 3")
        .await
        .unwrap();
    assert_eq!((report.deliveries, report.checks.errors), (20, 1));
    assert!(report.checks.first_error.unwrap().contains("no answer within 500ms"));
}

#[tokio::test]
async fn a_publish_that_is_not_answered_is_an_error() {
    for pace in ["--flood", "--rate 100", ""] {
        let mode = format!("fanout --subscribers 3 {pace}");
        let report = report(Fault::KeepQuiet, LIMITS, mode.trim()).await.unwrap();
        assert_eq!((report.operations, report.deliveries), (6, 18), "{pace}: {report}");
        assert_eq!((report.checks.errors, report.checks.lost), (1, 0), "{pace}: {report}");
        assert!(report.checks.first_error.unwrap().contains("no answer within 500ms"));
    }
}

#[tokio::test]
async fn a_round_that_is_not_answered_is_an_error() {
    let report = report(Fault::IgnoreHandshake(4), LIMITS, "handshake --clients 2")
        .await
        .unwrap();
    // The other client does all the others.
    assert_eq!((report.operations, report.checks.errors), (9, 1), "{report}");
}

#[tokio::test]
async fn what_was_measured_until_the_deadline_is_reported() {
    let report = report(
        Fault::KeepQuiet,
        "--stall 30 --deadline 1",
        "fanout --subscribers 3 --flood",
    )
    .await
    .unwrap();
    assert_eq!((report.operations, report.deliveries), (6, 18));
    assert!((0.5..2.0).contains(&report.seconds), "{report}");
    assert_eq!((report.checks.errors, report.checks.lost), (1, 0));
    assert!(report.checks.first_error.unwrap().contains("not done within 1s"));
}

#[tokio::test]
async fn a_deadline_that_passes_before_anything_is_measured_is_reported_too() {
    let report = report(
        Fault::IgnoreHandshake(0),
        "--stall 30 --deadline 0.3",
        "idle --sessions 2",
    )
    .await
    .unwrap();
    assert_eq!((report.operations, report.checks.errors), (0, 1));
    assert_eq!(report.mode, "2 idle sessions");
    assert!((report.operations_per_second, report.seconds) == (0.0, 0.0), "{report}");
}

#[tokio::test]
async fn idle_sessions_are_reported_although_nobody_can_publish_to_them() {
    for fault in [Fault::RefuseHandshake(3), Fault::IgnoreHandshake(3)] {
        let report = report(fault, LIMITS, "idle --sessions 3").await.unwrap();
        assert_eq!((report.operations, report.checks.errors), (0, 1), "{report}");
    }
}

#[tokio::test]
async fn a_chat_ends_although_a_batch_is_not_answered() {
    let chat = "chat --clients 1 --rooms 1 --rooms-per-client 1 --batch-size 1 --batch-pause 1000 --batches 9";
    let report = report(Fault::KeepQuiet, LIMITS, chat).await.unwrap();
    // Those behind it can't be sent: the connection waits for its answer.
    assert_eq!((report.operations, report.deliveries), (9, 6), "{report}");
    assert_eq!((report.checks.errors, report.checks.lost), (4, 3), "{report}");
}

#[tokio::test]
async fn what_was_due_is_sent_and_counted_however_late_the_server_makes_it() {
    let limits = "--duration 0.1 --stall 0.5 --deadline 30";
    let report = report(Fault::Dawdle, limits, "fanout --subscribers 3 --rate 100")
        .await
        .unwrap();
    assert_eq!((report.operations, report.planned), (10, Some(10)), "{report}");
    // The last was due after 90 milliseconds, when nine were before it.
    assert!(report.latency_us.max > 150_000, "{report}");
}

#[tokio::test]
async fn a_plan_that_fails_shows_what_is_missing() {
    let report = report(Fault::Refuse, LIMITS, "fanout --subscribers 3 --rate 100")
        .await
        .unwrap();
    assert_eq!((report.operations, report.planned), (6, Some(10)), "{report}");
}

#[tokio::test]
async fn a_subscriber_who_does_not_get_the_last_message_stops_its_publisher_with_an_error() {
    let report = report(Fault::Lose, LIMITS, "fanout --subscribers 3").await.unwrap();
    assert_eq!((report.operations, report.checks.lost), (6, 3), "{report}");
    assert_eq!(report.checks.errors, 1);
    let error = report.checks.first_error.unwrap();
    assert!(
        error.contains("3 subscribers did not get a message within 500ms"),
        "{error}"
    );
}

#[tokio::test]
async fn a_fanout_that_takes_longer_than_the_stall_is_no_error_while_it_goes_on() {
    let report = report(Fault::Trickle, LIMITS, "fanout --subscribers 5").await.unwrap();
    assert!(report.is_clean() && report.latency_us.max > 600_000, "{report}");
}
