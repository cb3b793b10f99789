//! Services on channels with parameters.

mod common;

use std::collections::HashMap;

use common::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, InvalidChannel,
    call::{Data, Params},
};

/// Publishes, and returns what the answers say: success and data.
async fn call(client: &Client, channel: &str) -> Vec<(bool, Value)> {
    assert_eq!(client.publish(channel, json!(1)).await["successful"], true);
    let answers = client.poll().await.messages();
    let pair = |answer: &Value| Some((answer["successful"].as_bool()?, answer.get("data")?.clone()));
    answers.iter().filter_map(pair).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    White,
    Black,
}

#[derive(Deserialize)]
struct Id(u64);

#[derive(Deserialize)]
struct Move {
    id: Id,
    side: Option<Side>,
    n: u32,
}

#[tokio::test(start_paused = true)]
async fn parameters_are_had_by_name_by_position_or_alone() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server
        .service("/service/game/{id}/{side}/{n}", |Params(it): Params<Move>| async move {
            let side = match it.side {
                Some(Side::White) => "white",
                Some(Side::Black) => "black",
                None => "none",
            };
            Data(json!([it.id.0, side, it.n]))
        })
        .unwrap();
    server
        .service(
            "/service/pair/{a}/{b}",
            |Params((a, b)): Params<(i8, f64)>| async move { Data(json!([a, b])) },
        )
        .unwrap();
    server
        .service("/service/one/{a}", |Params(a): Params<String>| async move { Data(a) })
        .unwrap();
    server
        .service(
            "/service/all/{a}/{b}",
            |Params(all): Params<HashMap<String, String>>| async move { Data(all) },
        )
        .unwrap();
    for (channel, expected) in [
        ("/service/game/17/black/4", json!([17, "black", 4])),
        ("/service/pair/-3/2.5", json!([-3, 2.5])),
        ("/service/one/a b", json!("a b")),
        ("/service/all/x/y", json!({ "a": "x", "b": "y" })),
    ] {
        assert_eq!(call(&client, channel).await, [(true, expected)], "{channel}");
    }
    for other in ["/service/one", "/service/one/a/b", "/service/two/a"] {
        assert!(call(&client, other).await.is_empty(), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_parse_is_answered_with_failure() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    server
        .service("/service/one/{a}", |Params(a): Params<u8>| async move { Data(a) })
        .unwrap();
    server
        .service("/service/two/{a}/{b}", |_: Params<(u8, u8, u8)>| async {
            Data("called")
        })
        .unwrap();
    server
        .service("/service/two/{a}/{b}", |_: Params<u8>| async { Data("called") })
        .unwrap();
    server
        .service("/service/two/{a}/{b}", |_: Option<Params<u8>>| async { Data("called") })
        .unwrap();
    for channel in ["/service/one/256", "/service/one/x", "/service/one/-1"] {
        let answers = call(&client, channel).await;
        assert!(!answers[0].0 && answers[0].1["message"].is_string(), "{answers:?}");
        assert_eq!(answers.len(), 1);
    }
    let successes: Vec<_> = call(&client, "/service/two/1/2")
        .await
        .into_iter()
        .map(|(success, _)| success)
        .collect();
    assert_eq!(successes, [false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_template_comes_between_patterns_and_names() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for target in ["/service/a", "/service/{what}", "/service/*", "/service/**"] {
        server.service(target, move || async move { Data(target) }).unwrap();
    }
    let order: Vec<_> = call(&client, "/service/a")
        .await
        .into_iter()
        .map(|(_, data)| data)
        .collect();
    assert_eq!(order, ["/service/**", "/service/*", "/service/{what}", "/service/a"]);
}

#[test]
fn bad_templates_are_refused() {
    let server = BayeuxServer::new();
    for bad in ["/a/{b}/*", "/a/{b}/**", "/{a}/{a}"] {
        let refused = server.service(bad, || async {}).unwrap_err();
        assert_eq!(refused, InvalidChannel::BadTemplate, "{bad}");
    }
}
