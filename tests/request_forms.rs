//! The forms in which clients send messages, and the one form in which they are answered.

mod common;

use common::{Answer, BASE, Client, send};
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

async fn send_as(server: &BayeuxServer, content_type: Option<&str>, body: impl Into<Vec<u8>>) -> Answer {
    let mut request = Request::new(Full::new(body.into().into()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = BASE.parse().unwrap();
    if let Some(content_type) = content_type {
        let value = HeaderValue::from_str(content_type).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    send(server, request).await
}

fn form(messages: &[String]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for message in messages {
        form.append_pair("message", message);
    }
    form.finish()
}

fn publish(client: &Client, data: impl Into<Value>) -> Value {
    json!({ "channel": "/a", "clientId": client.id, "id": "1", "data": data.into() })
}

#[track_caller]
fn assert_successful(answer: &Answer, count: usize, case: &str) {
    assert_eq!(answer.status, StatusCode::OK, "{case}");
    let replies = answer.messages();
    assert_eq!(replies.len(), count, "{case}");
    assert!(
        replies.iter().all(|reply| reply["successful"] == true),
        "{case} {replies:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_array_and_a_single_object_are_both_answered_with_an_array() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let message = publish(&client, 1);
    for (body, count) in [
        (json!([message]), 1),
        (message.clone(), 1),
        (json!([message, message, message]), 3),
        (json!([]), 0),
    ] {
        let answer = send_as(&server, Some("application/json"), body.to_string()).await;
        assert!(answer.body.starts_with(b"[") && answer.body.ends_with(b"]"));
        assert_successful(&answer, count, &body.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn json_is_taken_for_json_whatever_it_is_labelled() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for content_type in [
        None,
        Some("application/json"),
        Some("application/json;charset=UTF-8"),
        Some("Application/JSON; charset=utf-8"),
        Some("text/json"),
        Some("text/plain"),
        Some("text/plain;charset=UTF-8"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data"),
        Some("nonsense"),
        Some(""),
    ] {
        let answer = send_as(&server, content_type, json!([publish(&client, 1)]).to_string()).await;
        assert_successful(&answer, 1, &format!("{content_type:?}"));
    }
}

#[tokio::test(start_paused = true)]
async fn white_space_around_and_between_does_not_matter() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let message = publish(&client, 1);
    for body in [
        format!(" \t\r\n[{message}]"),
        format!("[{message}]\n\n \t"),
        format!("[ \n{message}\r\n ]"),
        format!("\n{message}\n"),
        serde_json::to_string_pretty(&json!([message])).unwrap(),
    ] {
        assert_successful(&send_as(&server, None, body.clone()).await, 1, &body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_is_passed_over() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for space in ["", "\r\n "] {
        let body = format!("\u{feff}{space}[{}]", publish(&client, 1));
        assert_successful(&send_as(&server, Some("application/json"), body).await, 1, space);
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_field_named_message_holds_one_message_or_several() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let message = publish(&client, "\u{e4} & = + % \u{1f600}");
    let form_type = Some("application/x-www-form-urlencoded");
    let object = form(&[message.to_string()]);
    assert_successful(&send_as(&server, form_type, object).await, 1, "object");
    let array = form(&[json!([message, message]).to_string()]);
    assert_successful(&send_as(&server, form_type, array).await, 2, "array");
}

#[tokio::test(start_paused = true)]
async fn a_form_field_named_message_may_be_repeated_and_others_are_ignored() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let one = |data: i32| publish(&client, data).to_string();
    let many = json!([publish(&client, 2), publish(&client, 3)]).to_string();
    let body = format!("x=1&{}&Message=no&y", form(&[one(1), many, one(4)]));
    let answer = send_as(&server, Some("application/x-www-form-urlencoded; charset=UTF-8"), body).await;
    assert_successful(&answer, 4, "repeated");
    let data: Vec<_> = client.poll().await.events().into_iter().map(|(_, data)| data).collect();
    assert_eq!(data, [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn text_in_a_form_arrives_unharmed() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let text = "\u{e4}\u{20ac}\u{1f600} a+b&c=d%20\"\\";
    send_as(&server, None, form(&[publish(&client, text).to_string()])).await;
    assert_eq!(client.poll().await.events(), [("/a".to_owned(), json!(text))]);
}

#[tokio::test(start_paused = true)]
async fn what_faye_sends_across_origins_is_understood() {
    // `message=` and encodeURIComponent, labelled text/plain so that no preflight is needed.
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let encoded: String = json!([publish(&client, "\u{e4} x")])
        .to_string()
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let answer = send_as(&server, Some("text/plain"), format!("message={encoded}")).await;
    assert_successful(&answer, 1, "faye");
}

#[tokio::test(start_paused = true)]
async fn a_form_may_carry_a_connect_which_is_held_if_it_is_alone() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let started = tokio::time::Instant::now();
    let connect = json!({ "channel": "/meta/connect", "clientId": client.id }).to_string();
    send_as(&server, None, form(std::slice::from_ref(&connect)))
        .await
        .only();
    assert_eq!(started.elapsed().as_secs(), 30);
    send_as(&server, None, form(&[connect, publish(&client, 1).to_string()])).await;
    assert_eq!(started.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn names_may_be_written_with_escapes() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a/b").await;
    let body = format!(
        r#"[{{"\u0063hannel":"\/a\/\u0062","client\u0049d":"{}","data":1}}]"#,
        client.id
    );
    assert_successful(&send_as(&server, None, body).await, 1, "escapes");
    assert_eq!(client.poll().await.events(), [("/a/b".to_owned(), json!(1))]);
}

#[tokio::test(start_paused = true)]
async fn of_a_repeated_field_the_last_counts() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    let body = format!(
        r#"[{{"channel":"/a","data":1,"clientId":"x","channel":"/b","data":2,"clientId":"{}"}}]"#,
        client.id
    );
    assert_successful(&send_as(&server, None, body).await, 1, "repeated");
    assert_eq!(client.poll().await.events(), [("/b".to_owned(), json!(2))]);
}

#[tokio::test(start_paused = true)]
async fn every_answer_has_the_headers_that_clients_and_proxies_need() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &"\u{e4}\u{1f600}").unwrap();
    let answers = [
        client.poll().await,
        client.connect().await,
        send_as(&server, None, json!([{ "channel": "/meta/handshake" }]).to_string()).await,
        send_as(
            &server,
            None,
            json!([publish(&client, 1), publish(&client, 2)]).to_string(),
        )
        .await,
        send_as(&server, None, "[]").await,
        send_as(&server, None, json!([{ "channel": "/a" }]).to_string()).await,
        send_as(&server, None, "no bayeux").await,
        send_as(&server, None, vec![b' '; 2 * 1024 * 1024]).await,
    ];
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 400, 413]);
    for answer in answers {
        let headers = &answer.headers;
        assert_eq!(headers[header::CONTENT_TYPE], "application/json");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.length, Some(answer.body.len() as u64));
        assert!(!headers.contains_key(header::TRANSFER_ENCODING));
        assert!(answer.body.starts_with(b"["), "an array: {:?}", answer.body);
        answer.messages();
    }
}

#[tokio::test(start_paused = true)]
async fn the_path_below_the_base_does_not_matter_and_neither_does_the_query() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for path in [
        "/cometd",
        "/cometd/",
        "/cometd/handshake",
        "/cometd/connect",
        "/cometd/a/b",
        "/cometd?x=1&message=[]",
    ] {
        let request = Request::post(path)
            .body(Full::new(json!([publish(&client, 1)]).to_string().into()))
            .unwrap();
        assert_successful(&send(&server, request).await, 1, path);
    }
}
