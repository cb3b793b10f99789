//! Whatever is sent, the server answers it and lives on.

mod common;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use common::{Answer, BASE, Client, Random, advice, pass, post, read, send};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService};

/// That a session and its server are well: what is published arrives.
async fn assert_alive(client: &Client) {
    client.subscribe("/alive").await;
    assert_eq!(client.publish("/alive", json!("yes")).await["successful"], true);
    let answer = client.poll().await;
    assert_eq!(answer.events(), [("/alive".to_owned(), json!("yes"))]);
    assert_eq!(answer.connect_reply()["advice"], advice("retry", 0, 30_000));
    let newcomer = Client::connected(&client.server).await;
    assert_eq!(newcomer.disconnect().await["successful"], true);
    assert_eq!(client.server.session_count(), 1);
}

/// That a body is refused as a whole, in the shape of a reply.
#[track_caller]
fn assert_refused(answer: &Answer, status: StatusCode, error: &str, case: &str) {
    assert_eq!(answer.status, status, "{case}");
    assert_eq!(answer.only(), json!({ "successful": false, "error": error }), "{case}");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_is_malformed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for body in [
        "",
        " ",
        "\n",
        "{",
        "[",
        "}",
        "]",
        "[{]",
        "[{}",
        "{}]",
        "[}",
        "[{},]",
        "[,]",
        "{,}",
        "[{}{}]",
        "{}{}",
        "[] []",
        "[{}] x",
        "{\"channel\":}",
        "{\"channel\"}",
        "{channel:\"/a\"}",
        "{'channel':'/a'}",
        "[{\"a\":01}]",
        "[{\"a\":tru}]",
        "[{\"a\":NaN}]",
        "[{\"a\":\"\n\"}]",
        "[{\"a\":\"\\x\"}]",
        "[{\"a\":\"\\u12\"}]",
        "[{\"a\":\"open}]",
        "[{\"a\":1.}]",
        "[{\"a\":-}]",
        "/*x*/[]",
        "[]//x",
        "\u{feff}\u{feff}[]",
        "<xml/>",
        "GET / HTTP/1.1",
    ] {
        assert_refused(
            &client.send_text(body).await,
            StatusCode::BAD_REQUEST,
            "400::message_malformed",
            body,
        );
    }
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn json_that_is_no_message_is_malformed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for body in [
        "null",
        "true",
        "5",
        "\"x\"",
        "[null]",
        "[5]",
        "[\"x\"]",
        "[[]]",
        "[[{}]]",
        "[{},null]",
        "[{\"channel\":\"/a\"},[]]",
    ] {
        assert_refused(
            &client.send_text(body).await,
            StatusCode::BAD_REQUEST,
            "400::message_malformed",
            body,
        );
    }
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_form_without_messages_is_malformed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for body in [
        "message",
        "message=",
        "message=x",
        "message=%",
        "x=[]",
        "Message=[]",
        "message=[]&message=",
        "&&&",
        "=",
        "message=%5B%7B%FF",
    ] {
        assert_refused(
            &client.send_text(body).await,
            StatusCode::BAD_REQUEST,
            "400::message_malformed",
            body,
        );
    }
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_body_that_is_malformed_no_message_is_processed() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let good = json!({ "channel": "/a", "clientId": client.id, "data": 1 });
    for body in [
        format!("[{good},"),
        format!("[{good},5]"),
        format!("[{good}]x"),
        format!("message=[{good}]&message={{"),
    ] {
        assert_eq!(
            client.send_text(body.clone()).await.status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    assert_eq!(client.poll().await.events(), []);
}

#[tokio::test(start_paused = true)]
async fn a_body_cut_off_anywhere_is_malformed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let body = json!([
        { "channel": "/a", "id": "1", "clientId": client.id, "data": { "x": [1, "\u{e4}", null] } },
        { "channel": "/meta/connect", "clientId": client.id, "advice": { "timeout": 0 } },
    ])
    .to_string();
    for end in 0..body.len() {
        let answer = client.send_text(body.as_bytes()[..end].to_vec()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{end}");
    }
    assert_eq!(client.send_text(body).await.status, StatusCode::OK);
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_utf_8_is_malformed() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for bad in [
        &b"\xff"[..],
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xc0\xaf",
    ] {
        for (before, after) in [
            (&b"[{\"channel\":\"/"[..], &b"\"}]"[..]),
            (b"[{\"data\":\"", b"\"}]"),
            (b"[{\"", b"\":1}]"),
            (b"[", b"]"),
        ] {
            let body = [before, bad, after].concat();
            let answer = client.send_text(body).await;
            assert_refused(
                &answer,
                StatusCode::BAD_REQUEST,
                "400::message_malformed",
                &format!("{bad:?}"),
            );
        }
    }
    let utf_16: Vec<u8> = "[{}]".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(client.send_text(utf_16).await.status, StatusCode::BAD_REQUEST);
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_field_of_a_wrong_type_fails_its_message_and_nothing_else() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let values = [
        json!(null),
        json!(true),
        json!(5),
        json!(1.5),
        json!("text"),
        json!([]),
        json!({}),
        json!([[{}]]),
    ];
    for channel in [
        "/a",
        "/meta/connect",
        "/meta/subscribe",
        "/meta/unsubscribe",
        "/service/x",
        "/meta/x",
    ] {
        for field in [
            "channel",
            "id",
            "clientId",
            "data",
            "ext",
            "advice",
            "subscription",
            "connectionType",
            "version",
        ] {
            for value in &values {
                let mut odd = json!({ "channel": channel, "clientId": client.id, "subscription": "/b" });
                odd[field] = value.clone();
                let good = json!({ "channel": "/a", "id": "good", "data": "good" });
                let answer = client.send(json!([odd, good])).await;
                assert_eq!(answer.status, StatusCode::OK, "{odd}");
                let messages = answer.messages();
                assert!(
                    messages.contains(&json!({ "channel": "/a", "id": "good", "successful": true })),
                    "{odd}"
                );
                for message in messages {
                    assert!(
                        message["successful"].is_boolean() || message.get("data").is_some(),
                        "{odd} {message}"
                    );
                }
                client.poll().await;
            }
        }
    }
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_without_any_field_is_told_that_its_channel_is_missing() {
    let server = BayeuxServer::new();
    for body in ["{}", "[{}]", "[{\"x\":1}]"] {
        let answer = send(&server, post(body)).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            answer.only(),
            json!({ "successful": false, "error": "400::channel_missing" })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn nesting_without_end_is_refused_and_overflows_no_stack() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for depth in [200, 10_000, 300_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for body in [
                nested.clone(),
                open.repeat(depth),
                format!(r#"[{{"channel":"/a","clientId":"{}","data":{nested}}}]"#, client.id),
                format!(r#"[{{"channel":{nested}}}]"#),
                format!(r#"[{{"channel":"/a","id":{nested},"ext":{nested}}}]"#),
                format!(r#"[{{"channel":"/meta/subscribe","subscription":{nested}}}]"#),
                format!("message={nested}"),
            ] {
                let status = client.send_text(body).await.status;
                let refused = [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE];
                assert!(refused.contains(&status), "{status} {open} {depth}");
            }
        }
    }
    assert_alive(&client).await;
}

/// Most JSON parsers stop at a depth of 128 or more. The whole answer is lost to a client whose parser stops.
#[tokio::test(start_paused = true)]
async fn data_is_never_passed_on_deeper_than_the_parsers_of_subscribers_go() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let mut accepted = 0;
    for depth in 100..140 {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let message = format!(r#"{{"channel":"/a","clientId":"{}","data":{nested}}}"#, client.id);
        for body in [message.clone(), format!("[{message}]"), format!("message={message}")] {
            if client.send_text(body).await.status == StatusCode::OK {
                accepted += 1;
                let answer = client.poll().await;
                let parsed: Result<Vec<Value>, _> = serde_json::from_slice(&answer.body);
                assert!(
                    parsed.is_ok(),
                    "data of depth {depth} was accepted, and spoils the answer: {parsed:?}"
                );
            }
        }
    }
    assert!(accepted > 0);
}

/// A lone surrogate is text to JavaScript and an error to strict parsers, which then lose the whole answer.
#[tokio::test(start_paused = true)]
async fn data_that_is_no_unicode_does_not_spoil_the_answers_of_subscribers() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    for text in [r"\ud800", r"\udc00", r"\ud800\ud800", r"x\udfffx", r"\ud83d\u0041"] {
        for data in [
            format!(r#""{text}""#),
            format!(r#"{{"{text}":1}}"#),
            format!(r#"[["{text}"]]"#),
        ] {
            let body = format!(r#"[{{"channel":"/a","clientId":"{}","data":{data}}}]"#, client.id);
            let status = client.send_text(body).await.status;
            assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&status));
            server.publish("/a", &"innocent").unwrap();
            let answer = client.poll().await;
            let parsed: Result<Vec<Value>, _> = serde_json::from_slice(&answer.body);
            assert!(parsed.is_ok(), "{data} was accepted, and spoils the answer: {parsed:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_refused_before_it_is_parsed() {
    let server = BayeuxServer::builder().max_body_bytes(10_000).build();
    let client = Client::connected(&server).await;
    let message = json!({ "channel": "/alive", "clientId": client.id, "data": "x".repeat(10_000) });
    for body in [
        message.to_string(),
        format!("[{message}]"),
        format!("message={message}"),
        "[".repeat(10_001),
        " ".repeat(20_000),
    ] {
        let answer = client.send_text(body).await;
        assert_refused(&answer, StatusCode::PAYLOAD_TOO_LARGE, "413::body_too_large", "large");
    }
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn too_many_messages_are_refused_and_none_of_them_processed() {
    let server = BayeuxServer::builder().max_batch(10).build();
    let client = Client::subscribed(&server, "/a").await;
    let message = json!({ "channel": "/a", "clientId": client.id, "data": 1 });
    let array = |count: usize| Value::from(vec![message.clone(); count]).to_string();
    let forms = vec![format!("message={message}"); 11].join("&");
    let halves = format!("message={}&message={}", array(6), array(5));
    for body in [array(11), array(1000), forms, halves] {
        let answer = client.send_text(body).await;
        assert_refused(&answer, StatusCode::PAYLOAD_TOO_LARGE, "413::batch_too_large", "many");
    }
    assert_eq!(client.poll().await.events(), []);
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_batch_of_nonsense_is_answered_message_by_message() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let batch: Vec<Value> = (0..4096)
        .map(|n| match n % 4 {
            0 => json!({}),
            1 => json!({ "channel": "/meta/connect", "clientId": "x" }),
            2 => json!({ "channel": "/meta/subscribe", "clientId": 5 }),
            _ => json!({ "channel": format!("/{}", "/".repeat(n % 100)) }),
        })
        .collect();
    let answer = client.send_text(Value::from(batch).to_string()).await;
    assert_eq!(answer.status, StatusCode::OK);
    let replies = answer.messages();
    assert_eq!(replies.len(), 4096);
    assert!(replies.iter().all(|reply| reply["successful"] == false));
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn hostile_channel_names_are_refused_and_echoed_as_harmless_text() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/**").await;
    let long = format!("/{}", "a/".repeat(5000));
    let segments = "/a".repeat(10_000);
    for name in [
        "/a\"},{\"channel\":\"/meta/connect\"",
        "/a\\",
        "/a\u{0}b",
        "/a\r\nSet-Cookie: x=1",
        "/a\u{2028}",
        "/\u{202e}",
        "/../../etc/passwd",
        "/a/./b",
        "/*/../*",
        "/**/**",
        "/meta/../meta/connect",
        "/%2e%2e",
        "/<script>",
        "/meta",
        "/service",
        "/meta/",
        " /a",
        "\u{feff}/a",
        &long,
        &segments,
    ] {
        let batch = json!([
            { "channel": name, "id": 1, "data": 1 },
            { "channel": "/meta/subscribe", "id": 2, "subscription": name },
            { "channel": "/meta/unsubscribe", "id": 3, "subscription": [name] },
        ]);
        let answer = client.send(batch).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers.len(), 3, "{:?}", answer.headers);
        let replies = answer.messages();
        assert_eq!(replies.len(), 3, "{name}");
        assert_eq!(replies[0]["channel"], name);
        assert_eq!(replies[1]["subscription"], name);
        assert_eq!(replies[2]["subscription"][0], name);
        for message in client.poll().await.messages() {
            assert!(
                message["channel"] == name || message["channel"] == "/meta/connect",
                "{message}"
            );
        }
    }
    assert_alive_with_extras(&client).await;
}

/// As `assert_alive`, for a client that also hears everything else.
async fn assert_alive_with_extras(client: &Client) {
    client.publish("/alive", json!("yes")).await;
    assert_eq!(client.poll().await.events(), [("/alive".to_owned(), json!("yes"))]);
}

#[tokio::test(start_paused = true)]
async fn hostile_ids_and_client_ids_come_to_nothing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for odd in [
        "\"},{\"",
        "\u{0}",
        "\\",
        "\u{2028}",
        "../../x",
        "${jndi:ldap://x}",
        "' OR 1=1 --",
    ] {
        let reply = client.ask(json!({ "channel": "/a", "id": odd })).await;
        assert_eq!(reply, json!({ "channel": "/a", "id": odd, "successful": true }));
        let reply = client.ask(json!({ "channel": "/a", "clientId": odd })).await;
        assert_eq!(reply["error"], "402::session_unknown");
    }
    assert_alive(&client).await;
}

/// A held connect owns a copy of its id.
#[tokio::test(start_paused = true)]
async fn an_id_has_a_length() {
    let client = Client::connected(&BayeuxServer::new()).await;
    for (length, is_fine) in [(254, true), (255, false), (100_000, false)] {
        let id = "9".repeat(length);
        let reply = client.ask(json!({ "channel": "/a", "id": id })).await;
        assert_eq!(reply["successful"], is_fine, "{length}");
        assert_eq!(reply.get("id").is_some(), is_fine, "{length}");
        if !is_fine {
            assert_eq!(reply["error"], "405::message_id_invalid");
        }
    }
    assert_alive(&client).await;
}

/// Many parsers read numbers into doubles, and give up on the whole answer where one does not fit.
#[tokio::test(start_paused = true)]
async fn numbers_beyond_a_double_are_refused() {
    let client = Client::subscribed(&BayeuxServer::new(), "/a").await;
    let digits = "9".repeat(400);
    for number in ["1e309", "-1E400", &digits] {
        let body = format!(r#"[{{"channel":"/a","clientId":"{}","data":[{number}]}}]"#, client.id);
        assert_eq!(client.send_text(body).await.status, StatusCode::BAD_REQUEST, "{number}");
    }
    for number in ["1e308", "-1.5E-400", "12345678901234567890"] {
        let body = format!(r#"[{{"channel":"/a","clientId":"{}","data":[{number}]}}]"#, client.id);
        assert_eq!(client.send_text(body).await.status, StatusCode::OK, "{number}");
        assert!(String::from_utf8_lossy(&client.poll().await.body).contains(number));
    }
}

#[tokio::test(start_paused = true)]
async fn hostile_cookies_and_headers_come_to_nothing() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let long = format!("BAYEUX_BROWSER={}", "f".repeat(100_000));
    let many = "BAYEUX_BROWSER=x; ".repeat(5000);
    for cookie in [
        &b""[..],
        b"=",
        b";",
        b";;;;",
        b"BAYEUX_BROWSER",
        b"BAYEUX_BROWSER=",
        b"BAYEUX_BROWSER==",
        b"BAYEUX_BROWSER=\"",
        b"BAYEUX_BROWSER=\"\"",
        b"BAYEUX_BROWSER=%ff%00",
        b"BAYEUX_BROWSER=\xff\xfe",
        b"\xff\xff\xff",
        "BAYEUX_BROWSER=\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}".as_bytes(),
        long.as_bytes(),
        many.as_bytes(),
    ] {
        for messages in [
            json!([{ "channel": "/meta/handshake" }]),
            json!([{ "channel": "/meta/connect", "clientId": client.id, "advice": { "timeout": 0 } }]),
        ] {
            let mut request = post(messages.to_string());
            request.headers_mut().append(header::COOKIE, HeaderValue::from_bytes(cookie).unwrap());
            request.headers_mut().append(header::COOKIE, HeaderValue::from_bytes(cookie).unwrap());
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_bytes(b"\xff").unwrap());
            request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("nonsense"));
            let answer = send(&server, request).await;
            assert_eq!(answer.status, StatusCode::OK, "{cookie:?}");
            answer.only();
        }
    }
    for session in server.sessions() {
        if session.id().to_string() != client.id {
            session.disconnect();
        }
    }
    assert_alive(&client).await;
}

/// A body that is fed by hand, of unknown length.
struct Fed(mpsc::UnboundedReceiver<Result<Bytes, &'static str>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

type Feeder = mpsc::UnboundedSender<Result<Bytes, &'static str>>;

fn fed(server: &BayeuxServer) -> (Feeder, tokio::task::JoinHandle<Answer>) {
    let (feeder, body) = mpsc::unbounded_channel();
    let service = BayeuxService::new(BASE, server.clone());
    let request = Request::post(BASE).body(Fed(body)).unwrap();
    let answer = tokio::spawn(async move { read(service.oneshot(request).await.unwrap()).await });
    (feeder, answer)
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_is_waited_for_as_long_as_configured_and_no_longer() {
    let server = BayeuxServer::builder().body_timeout(Duration::from_secs(12)).build();
    let client = Client::connected(&server).await;
    let started = Instant::now();
    let (feeder, answer) = fed(&server);
    let answer = answer.await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(12));
    assert_refused(&answer, StatusCode::REQUEST_TIMEOUT, "408::body_timeout", "slow");
    assert!(feeder.is_closed(), "nobody reads on");
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_gains_no_time_by_it() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let (feeder, answer) = fed(&server);
    let started = Instant::now();
    while feeder.send(Ok(Bytes::from_static(b" "))).is_ok() && started.elapsed() < Duration::from_secs(300) {
        pass(Duration::from_secs(1)).await;
    }
    assert_eq!(answer.await.unwrap().status, StatusCode::REQUEST_TIMEOUT);
    assert!(started.elapsed() <= Duration::from_secs(31), "{:?}", started.elapsed());
    let again = Client::connected(&server).await;
    assert_eq!(again.disconnect().await["successful"], true);
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_in_pieces_and_in_time_is_served() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let body = json!([{ "channel": "/a", "clientId": client.id, "data": "\u{e4}\u{1f600}" }]).to_string();
    let (feeder, answer) = fed(&server);
    for piece in body.as_bytes().chunks(7) {
        feeder.send(Ok(Bytes::copy_from_slice(piece))).unwrap();
        feeder.send(Ok(Bytes::new())).unwrap();
        pass(Duration::from_millis(500)).await;
    }
    drop(feeder);
    assert_eq!(answer.await.unwrap().only()["successful"], true);
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_without_announced_length_is_refused_as_soon_as_it_is_too_large() {
    let server = BayeuxServer::builder().max_body_bytes(10_000).build();
    let client = Client::connected(&server).await;
    let started = Instant::now();
    let (feeder, answer) = fed(&server);
    for _ in 0..11 {
        feeder.send(Ok(vec![b' '; 1000].into())).unwrap();
    }
    let answer = answer.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO, "not waiting for the rest");
    assert_refused(&answer, StatusCode::PAYLOAD_TOO_LARGE, "413::body_too_large", "chunked");
    assert!(feeder.is_closed());
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_does_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let message = json!([{ "channel": "/a", "clientId": client.id, "data": 1 }]).to_string();
    let (feeder, answer) = fed(&server);
    feeder.send(Ok(message.into())).unwrap();
    feeder.send(Err("connection reset")).unwrap();
    assert_eq!(answer.await.unwrap().status, StatusCode::BAD_REQUEST);
    assert_eq!(client.poll().await.events(), []);
    assert_alive(&client).await;
}

const METHODS: [Method; 8] = [
    Method::GET,
    Method::HEAD,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
    Method::OPTIONS,
    Method::TRACE,
    Method::CONNECT,
];

fn with_method(method: &Method, client: &Client) -> Request<Full<Bytes>> {
    let mut request = post(json!([{ "channel": "/alive", "clientId": client.id, "data": "no" }]).to_string());
    *request.method_mut() = method.clone();
    request
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stands_alone_has_nothing_at_other_methods() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for method in METHODS {
        let answer = send(&server, with_method(&method, &client)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method}");
        assert!(answer.body.is_empty(), "{method}");
        assert_eq!(answer.info, None, "{method}");
    }
    assert_alive(&client).await;
}

#[tokio::test(start_paused = true)]
async fn other_methods_on_our_path_are_for_the_application() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    for method in METHODS {
        let inner = tower::service_fn(async |request: Request<Full<Bytes>>| {
            let body = format!("{} {}", request.method(), request.uri().path());
            let response = Response::builder()
                .status(StatusCode::IM_A_TEAPOT)
                .body(Full::<Bytes>::new(body.into()));
            Ok::<_, Infallible>(response.unwrap())
        });
        let service = BayeuxService::wrap(BASE, server.clone(), inner);
        let answer = read(service.oneshot(with_method(&method, &client)).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
        assert_eq!(answer.body, format!("{method} {BASE}"));
        assert!(!answer.headers.contains_key(header::CACHE_CONTROL));
    }
    assert_alive(&client).await;
}

/// Requests to be spoilt. `ID` stands for a live client's id.
const SEEDS: [&str; 12] = [
    r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#,
    r#"[{"channel":"/meta/connect","id":"2","clientId":"ID","connectionType":"long-polling"}]"#,
    r#"[{"channel":"/meta/connect","id":2,"clientId":"ID","advice":{"timeout":0,"interval":10}}]"#,
    r#"[{"channel":"/meta/subscribe","id":"3","clientId":"ID","subscription":["/a/*","/b/**"]}]"#,
    r#"{"channel":"/meta/subscribe","id":"3","clientId":"ID","subscription":"/a"}"#,
    r#"[{"channel":"/meta/unsubscribe","id":"4","clientId":"ID","subscription":"/a/*"}]"#,
    r#"[{"channel":"/a/b","id":"5","clientId":"ID","data":{"x":[1,2.5,null,true,"text"]},"ext":{"k":"v"}}]"#,
    r#"[{"channel":"/service/x","id":"6","clientId":"ID","data":"text"}]"#,
    r#"[{"channel":"/meta/disconnect","id":"7","clientId":"ID"}]"#,
    r#"[{"channel":"/a","clientId":"ID","data":1},{"channel":"/meta/connect","clientId":"ID"},{"channel":"/b/c","clientId":"ID","data":2}]"#,
    "message=%5B%7B%22channel%22%3A%22%2Fa%22%2C%22clientId%22%3A%22ID%22%7D%5D&message={}",
    r#"[{"channel":"/meta/x","id":null,"clientId":"ID"},{"channel":"/a//b"},{"channel":5},{}]"#,
];

/// What mutations put in.
const TOKENS: [&str; 36] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "-1",
    "0",
    "1e9",
    "\"\"",
    "\"/**\"",
    "\"/meta/*\"",
    "/",
    "*",
    "**",
    "\"channel\"",
    "\"clientId\"",
    "\"id\"",
    "\"data\"",
    "\"advice\"",
    "\"subscription\"",
    "\"/meta/handshake\"",
    "\"/meta/connect\"",
    "\"/meta/disconnect\"",
    "ID",
    "\u{e4}",
    "\u{0}",
    "\u{feff}",
    "%5B",
    "&message=",
    " ",
    "\n",
];

fn mutate(seed: &str, random: &mut Random) -> Vec<u8> {
    let mut body = seed.as_bytes().to_vec();
    let at = |random: &mut Random, length: usize| usize::try_from(random.below(length as u64 + 1)).unwrap();
    for _ in 0..=random.below(4) {
        let from = at(random, body.len());
        let to = (from + at(random, 12)).min(body.len());
        let token = TOKENS[at(random, TOKENS.len() - 1)];
        match random.below(7) {
            0 => body.truncate(from),
            1 => drop(body.drain(from..to)),
            2 => drop(body.splice(from..to, token.bytes())),
            3 => drop(body.splice(from..from, token.bytes())),
            4 => {
                let piece = body[from..to].to_vec();
                let target = at(random, body.len());
                drop(body.splice(target..target, piece));
            }
            5 if from < body.len() => body[from] ^= 1 << random.below(8),
            6 if from < body.len() => body[from] = u8::try_from(random.below(256)).unwrap(),
            _ => {}
        }
    }
    body
}

#[tokio::test(start_paused = true)]
async fn thousands_of_spoilt_requests_are_each_answered_in_form_and_leave_nothing_behind() {
    let server = BayeuxServer::builder()
        .timeout(Duration::from_millis(5))
        .max_interval(Duration::from_secs(20))
        .max_body_bytes(4096)
        .max_batch(8)
        .max_subscriptions(20)
        .build();
    let mut random = Random(0x5EED);
    let mut client = Client::subscribed(&server, "/**").await;
    let mut statuses = [0_u32; 3];
    for round in 0..6000_usize {
        if server.session(&client.client_id()).is_none() {
            client = Client::subscribed(&server, "/**").await;
        }
        let seed = SEEDS[round % SEEDS.len()].replace("ID", &client.id);
        let body = mutate(&seed, &mut random);
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = client.send_text(body).await;
        let messages = answer.messages();
        match answer.status {
            StatusCode::OK => {
                statuses[0] += 1;
                for message in &messages {
                    let successful = message.get("successful").is_some_and(Value::is_boolean);
                    assert!(successful || message.get("data").is_some(), "{shown}: {message}");
                    if message["channel"] == "/meta/connect" || message["channel"] == "/meta/handshake" {
                        assert_eq!(
                            message["advice"].as_object().map_or(0, serde_json::Map::len),
                            3,
                            "{shown}: {message}"
                        );
                    }
                }
            }
            StatusCode::BAD_REQUEST => statuses[1] += 1,
            StatusCode::PAYLOAD_TOO_LARGE => statuses[2] += 1,
            status => panic!("{status}: {shown}"),
        }
    }
    assert!(
        statuses[0] > 500 && statuses[1] > 500,
        "the mutations are of use: {statuses:?}"
    );

    let client = Client::connected(&server).await;
    client.subscribe("/alive").await;
    client.publish("/alive", json!("yes")).await;
    assert_eq!(client.poll().await.events().len(), 1);
    pass(Duration::from_secs(90)).await;
    let stats = server.stats();
    assert_eq!((server.session_count(), server.channel_count()), (0, 0));
    assert_eq!(
        (stats.held_connects, stats.queued_messages, stats.queued_bytes),
        (0, 0, 0)
    );
    assert_eq!(stats.sessions_added, stats.sessions_removed.total());
}
