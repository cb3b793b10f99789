//! The checks, proven with a server that does wrong on purpose.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bayeux_load::{Checks, Error, Options, Report, run};
use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify, task::LocalSet};

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
    /// Treats messages well, but refuses this handshake, counted from nought.
    RefuseHandshake(usize),
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
                let mut state = self.state.lock().unwrap();
                let number = state.handshakes;
                state.handshakes += 1;
                if matches!(self.fault, Fault::RefuseHandshake(refused) if number == refused) {
                    return vec![json!({ "channel": channel, "successful": false })];
                }
                let id = format!("client-{number}");
                state.queues.insert(id.clone(), Vec::new());
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
                answer.push(json!({ "channel": channel, "successful": true }));
                answer
            }
            "/meta/subscribe" => vec![json!({ "channel": channel, "successful": true })],
            _ => vec![json!({ "channel": channel, "successful": self.publish(channel, message) })],
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

async fn report(fault: Fault, arguments: &str) -> Result<Report, Error> {
    LocalSet::new()
        .run_until(async {
            let address = serve(fault).await;
            let line = format!(
                "bayeux-load --url http://{address}/ --warmup 0 --stall 0.3 --deadline 30 --messages 10 {arguments}"
            );
            let report = run(&Options::parse_from(line.split(' '))).await?;
            assert_eq!(report.is_clean(), report.checks.all_well() && report.operations > 0);
            Ok(report)
        })
        .await
}

/// What three subscribers say of ten messages.
async fn checks(fault: Fault) -> Checks {
    report(fault, "fanout --subscribers 3 --flood").await.unwrap().checks
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
    let report = report(Fault::RefuseHandshake(1), "fanout --subscribers 3")
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
    let error = report(Fault::RefuseHandshake(0), "fanout --subscribers 1")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("client 0 could not be set up"), "{error}");
}
