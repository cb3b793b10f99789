//! JSONP: messages in the query of a GET, the answer a script.

mod common;

use bytes::Bytes;
use common::{Answer, Client, read, send, yield_until};
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, Outcome, Transport, Transports};

fn server() -> BayeuxServer {
    BayeuxServer::builder().transports(Transports::all()).build()
}

fn request(query: &str) -> Request<Full<Bytes>> {
    Request::get(format!("{}?{query}", common::BASE))
        .body(Full::default())
        .unwrap()
}

fn query(callback: &str, texts: &[&Value]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("jsonp", callback);
    for text in texts {
        query.append_pair("message", &text.to_string());
    }
    query.finish()
}

async fn ask(server: &BayeuxServer, messages: Value) -> Answer {
    send(server, request(&query("f", &[&messages]))).await
}

fn script(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// The JSON that the script calls `f` with.
#[track_caller]
fn argument(answer: &Answer) -> String {
    let script = script(answer);
    let argument = script.strip_prefix("/**/f(").and_then(|rest| rest.strip_suffix(");"));
    let argument = argument.unwrap_or_else(|| panic!("{script}"));
    let quoted = argument
        .strip_prefix("JSON.parse(")
        .and_then(|rest| rest.strip_suffix(')'));
    // With the escapes that it has, the string of a script is one of JSON, too.
    quoted.map_or_else(|| argument.to_owned(), |text| serde_json::from_str(text).unwrap())
}

#[track_caller]
fn messages(answer: &Answer) -> Vec<Value> {
    serde_json::from_str(&argument(answer)).unwrap()
}

/// The answer to a connect that finds a client's data, which is sent as it is.
async fn answer_with(data: &str) -> Answer {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let publish = format!(r#"[{{"channel":"/a","clientId":"{}","data":{data}}}]"#, client.id);
    let reply = client.send_text(publish).await.only();
    assert_eq!(reply["successful"], true, "{data}");
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id }]);
    ask(&server, connect).await
}

async fn handshake(server: &BayeuxServer) -> Value {
    let answer = ask(
        server,
        json!([{ "channel": "/meta/handshake", "version": "1.0", "id": "1" }]),
    )
    .await;
    messages(&answer)[0]["clientId"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_session_is_served_by_scripts() {
    let server = server();
    let id = handshake(&server).await;
    let connect = json!([{ "channel": "/meta/connect", "clientId": id, "connectionType": "callback-polling" }]);
    assert_eq!(messages(&ask(&server, connect.clone()).await)[0]["successful"], true);
    let subscribe = json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" });
    assert_eq!(messages(&ask(&server, subscribe).await)[0]["successful"], true);
    let held = tokio::spawn({
        let server = server.clone();
        async move { ask(&server, connect).await }
    });
    yield_until(|| server.stats().held_connects == 1).await;
    server.publish("/a", "hello").unwrap();
    let answer = held.await.unwrap();
    assert_eq!(messages(&answer)[0]["data"], "hello");
    assert_eq!(messages(&answer)[1]["channel"], "/meta/connect");
    let info = answer.info.unwrap();
    assert_eq!((info.transport, info.messages), (Transport::CallbackPolling, 1));
}

#[tokio::test(start_paused = true)]
async fn the_message_parameter_may_be_repeated() {
    let server = server();
    let id = handshake(&server).await;
    let one = json!([{ "channel": "/a", "clientId": id, "data": 1, "id": "1" }]);
    let other = json!({ "channel": "/a", "clientId": id, "data": 2, "id": "2" });
    let answer = messages(&send(&server, request(&query("f", &[&one, &other]))).await);
    assert_eq!((&answer[0]["id"], &answer[1]["id"]), (&json!("1"), &json!("2")));
}

#[tokio::test(start_paused = true)]
async fn a_script_is_a_script_to_browsers_and_nothing_else() {
    let server = server();
    let answer = ask(&server, json!([])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, "/**/f([]);");
    assert_eq!(answer.length, Some(10));
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("content-disposition", "attachment; filename=f.txt"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
}

#[tokio::test(start_paused = true)]
async fn line_separators_in_data_do_not_break_the_script() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", "x\u{2028}y\u{2029}").unwrap();
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id }]);
    let answer = ask(&server, connect).await;
    let script = std::str::from_utf8(&answer.body).unwrap();
    assert!(script.contains(r"x\u2028y\u2029"), "{script}");
    assert_eq!(messages(&answer)[0]["data"], "x\u{2028}y\u{2029}");
}

/// Written into a script, it would set an object's prototype, and written twice it would be no script at all.
#[tokio::test(start_paused = true)]
async fn a_field_named_as_an_objects_prototype_is_one_like_any_other_and_breaks_no_script() {
    for data in [
        r#"{"__proto__":1,"__proto__":2}"#,
        r#"{"a":[{"__proto__":{"b":"\"\\\n"}}]}"#,
        r#"{"\u005f_proto__":1,"__proto\u005F_":2}"#,
        "{\n\"__proto__\"\r\n\t:\"x\u{2028}y\u{2029}</script>ä'`${}\"}",
        r#"[1,{"a":1,"b":"\u00e4"}]"#,
    ] {
        let answer = answer_with(data).await;
        let script = script(&answer);
        assert!(script.starts_with(r#"/**/f(JSON.parse("["#), "{script}");
        assert!(script.ends_with(r#"]"));"#), "{script}");
        assert!(!script.contains(['\n', '\r', '\u{2028}', '\u{2029}']), "{script}");
        assert_eq!(answer.length, Some(script.len() as u64));
        // It is passed on as it came, but for the separators.
        let expected = data.replace('\u{2028}', r"\u2028").replace('\u{2029}', r"\u2029");
        let argument = argument(&answer);
        assert!(argument.contains(&expected), "{argument}");
        assert_eq!(messages(&answer).last().unwrap()["channel"], "/meta/connect");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_script_reads_as_json_does_is_written_into_it() {
    for data in [
        r#"{"proto":"_proto_","a":1,"a":2}"#,
        r#"["\"\\\n\t/</script>"]"#,
        "{\n}",
    ] {
        let answer = answer_with(data).await;
        let script = script(&answer);
        assert!(script.starts_with(r#"/**/f([{"channel":"/a","data":"#), "{script}");
        assert!(script.contains(data), "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_is_no_name_is_refused_and_nothing_is_processed() {
    let server = server();
    let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0" }]);
    for bad in ["alert(1)", "a b", "", "<script>", &"a".repeat(65)] {
        let answer = send(&server, request(&query(bad, &[&handshake]))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.info.unwrap().outcome, Outcome::Refused(StatusCode::BAD_REQUEST));
        assert_eq!(answer.headers["content-type"], "application/json");
    }
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_names_no_callback_gets_the_one_of_faye() {
    let server = server();
    let answer = send(&server, request("message=%5B%5D")).await;
    assert_eq!(answer.body, "/**/jsonpcallback([]);");
}

#[tokio::test(start_paused = true)]
async fn spoilt_and_oversized_messages_are_refused_as_in_a_post() {
    let server = BayeuxServer::builder()
        .transports(Transports::all())
        .max_body_bytes(100)
        .build();
    let answer = send(&server, request("jsonp=f&message=%5B")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = send(&server, request(&format!("message={}", "a".repeat(100)))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn the_cookie_is_set_and_looked_at_as_in_a_post() {
    let server = server();
    let answer = ask(&server, json!([{ "channel": "/meta/handshake", "version": "1.0" }])).await;
    assert!(answer.new_cookie().unwrap().starts_with("BAYEUX_BROWSER="));
    let id = messages(&answer)[0]["clientId"].clone();
    let connect = json!([{ "channel": "/meta/connect", "clientId": id }]);
    let mut request = request(&query("f", &[&connect]));
    let other = format!("BAYEUX_BROWSER={}", "0".repeat(40)).parse().unwrap();
    request.headers_mut().insert(header::COOKIE, other);
    let answer = messages(&send(&server, request).await);
    assert_eq!(answer[0]["error"], "402::session_unknown");
}

#[tokio::test(start_paused = true)]
async fn it_is_off_by_default_and_its_requests_are_the_applications() {
    let server = BayeuxServer::new();
    let answer = ask(&server, json!([])).await;
    assert_eq!((answer.status, answer.info), (StatusCode::NOT_FOUND, None));
}

#[tokio::test(start_paused = true)]
async fn a_get_without_messages_is_the_applications() {
    let server = server();
    for uri in ["/cometd", "/cometd?jsonp=f", "/cometd/page?a=b"] {
        let answer = send(&server, Request::get(uri).body(Full::default()).unwrap()).await;
        assert_eq!((answer.status, answer.info), (StatusCode::NOT_FOUND, None), "{uri}");
    }
    let mut head = request("message=[]");
    *head.method_mut() = Method::HEAD;
    assert_eq!(send(&server, head).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_is_dropped_unsent_gives_its_messages_back() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    let connect = json!([{ "channel": "/meta/connect", "clientId": client.id }]);
    let service = BayeuxService::new(common::BASE, server.clone());
    let response = service.oneshot(request(&query("f", &[&connect]))).await.unwrap();
    drop(response);
    assert_eq!(server.stats().given_back_messages, 1);
    let service = BayeuxService::new(common::BASE, server.clone());
    let response = service.oneshot(request(&query("f", &[&connect]))).await.unwrap();
    assert_eq!(messages(&read(response).await)[0]["data"], 1);
}
