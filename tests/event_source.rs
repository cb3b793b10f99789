//! Event streams as Faye's clients use them: events down a stream, messages up by POST.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{Client, advice, pass, send};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_bayeux::{
    AnswerInfo, BayeuxServer, BayeuxService, MessageRate, Outcome, OverflowPolicy, Reason, Transport, Transports,
};

fn server() -> BayeuxServer {
    BayeuxServer::builder().transports(Transports::all()).build()
}

fn request(id: &str) -> Request<Full<Bytes>> {
    Request::get(format!("{}/{id}", common::BASE))
        .header(header::ACCEPT, "text/event-stream")
        .body(Full::default())
        .unwrap()
}

/// An open stream.
struct Stream(common::RawResponse);

impl Stream {
    async fn open(client: &Client) -> Self {
        let service = BayeuxService::new(common::BASE, client.server.clone());
        let mut stream = Self(service.oneshot(request(&client.id)).await.unwrap());
        assert_eq!(stream.0.status(), StatusCode::OK);
        assert_eq!(stream.chunk().await.unwrap(), "retry: 5000\n\n");
        stream
    }

    async fn chunk(&mut self) -> Option<String> {
        let frame = self.0.body_mut().frame().await?;
        let data = frame.unwrap().into_data().unwrap();
        Some(String::from_utf8(data.to_vec()).unwrap())
    }

    /// The messages of the next event.
    async fn messages(&mut self) -> Vec<Value> {
        let chunk = self.chunk().await.expect("the stream has ended");
        let data = chunk.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
        let data = data.unwrap_or_else(|| panic!("{chunk}"));
        assert!(!data.contains(['\n', '\r']), "{data}");
        serde_json::from_str(data).unwrap()
    }
}

fn heartbeat() -> Value {
    json!([{ "channel": "/meta/connect", "id": "h", "connectionType": "eventsource" }])
}

#[tokio::test(start_paused = true)]
async fn events_are_streamed_as_they_come() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &0).unwrap();
    let mut stream = Stream::open(&client).await;
    assert_eq!(stream.messages().await[0]["data"], 0);
    for number in 1..=3 {
        server.publish("/a", &number).unwrap();
        assert_eq!(stream.messages().await, [json!({ "channel": "/a", "data": number })]);
    }
    assert_eq!(server.stats().delivered_messages, 4);
    assert_eq!(server.stats().open_streams, 1);
    drop(stream);
    assert_eq!(server.stats().open_streams, 0);
}

#[tokio::test(start_paused = true)]
async fn the_response_is_an_event_stream_that_nothing_buffers() {
    let server = server();
    let client = Client::connected(&server).await;
    let stream = Stream::open(&client).await;
    let headers = stream.0.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(!headers.contains_key("content-length"));
    let info: &AnswerInfo = stream.0.extensions().get().unwrap();
    assert_eq!(
        (info.transport, info.outcome),
        (Transport::EventSource, Outcome::Opened)
    );
}

#[tokio::test(start_paused = true)]
async fn a_connect_beside_the_stream_is_a_heartbeat_that_disturbs_nothing() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    server.publish("/a", &1).unwrap();
    let reply = client.send(heartbeat()).await.only();
    assert_eq!(reply["advice"], advice("retry", 30_000, 0));
    assert_eq!((&reply["successful"], &reply["id"]), (&json!(true), &json!("h")));
    assert_eq!(stream.messages().await[0]["data"], 1);
    server.publish("/a", &2).unwrap();
    assert_eq!(stream.messages().await[0]["data"], 2);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_that_come_too_fast_are_spaced_and_the_stream_goes_on() {
    let rate = MessageRate::per_second(1).burst(1);
    let server = BayeuxServer::builder()
        .transports(Transports::all())
        .connect_rate(rate)
        .build();
    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(client.send(heartbeat()).await.only()["successful"], true);
    }
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let reading = tokio::spawn(async move { stream.messages().await });
    pass(Duration::from_secs(1)).await;
    client.send(heartbeat()).await;
    client.send(heartbeat()).await;
    server.publish("/a", &1).unwrap();
    let published = Instant::now();
    assert_eq!(reading.await.unwrap()[0]["data"], 1);
    assert_eq!(published.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_without_a_stream_returns_at_once_with_what_is_queued() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    let answer = client.send(heartbeat()).await;
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
    assert_eq!(client.send(heartbeat()).await.only()["advice"]["timeout"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_lives_as_long_as_its_stream_and_max_interval() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let stream = Stream::open(&client).await;
    common::pass(Duration::from_secs(3600)).await;
    assert_eq!(server.session_count(), 1);
    drop(stream);
    common::pass(Duration::from_secs(29)).await;
    assert_eq!(server.session_count(), 1);
    common::pass(Duration::from_secs(3)).await;
    assert_eq!(server.session_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_by_comments() {
    let server = server();
    let client = Client::connected(&server).await;
    let mut stream = Stream::open(&client).await;
    let before = tokio::time::Instant::now();
    assert_eq!(stream.chunk().await.unwrap(), ":\n\n");
    assert_eq!(before.elapsed().as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_session_gets_no_stream_and_any_other_path_is_the_applications() {
    let server = server();
    let answer = send(&server, request(&"0".repeat(40))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.only()["error"], "402::session_unknown");
    assert_eq!(server.stats().open_streams, 0);
    let answer = send(&server, request("ticker")).await;
    assert_eq!((answer.status, answer.info), (StatusCode::NOT_FOUND, None));
}

#[tokio::test(start_paused = true)]
async fn another_browser_gets_no_stream() {
    let server = server();
    let client = Client::connected(&server).await;
    let mut request = request(&client.id);
    let other = format!("BAYEUX_BROWSER={}", "0".repeat(40)).parse().unwrap();
    request.headers_mut().insert(header::COOKIE, other);
    assert_eq!(send(&server, request).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_acknowledges_gets_no_stream() {
    let server = server();
    let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0", "ext": { "ack": true } }]);
    let reply = common::send_json(&server, handshake).await.only();
    let answer = send(&server, request(reply["clientId"].as_str().unwrap())).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn it_is_off_by_default() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let answer = send(&server, request(&client.id)).await;
    assert_eq!((answer.status, answer.info), (StatusCode::NOT_FOUND, None));
}

#[tokio::test(start_paused = true)]
async fn the_newest_stream_wins() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut older = Stream::open(&client).await;
    let mut newer = Stream::open(&client).await;
    server.publish("/a", &1).unwrap();
    assert_eq!(older.chunk().await, None);
    drop(older);
    assert_eq!(newer.messages().await[0]["data"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_session() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    assert_eq!(client.disconnect().await["successful"], true);
    assert_eq!(stream.chunk().await, None);

    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    server.publish("/a", &1).unwrap();
    client.session().disconnect();
    let messages = stream.messages().await;
    assert_eq!(
        (&messages[0]["data"], &messages[1]["channel"]),
        (&json!(1), &json!("/meta/disconnect"))
    );
    assert_eq!(stream.chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_the_stream_once_everything_is_out() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    server.publish("/a", &1).unwrap();
    server.shutdown();
    assert_eq!(stream.messages().await[0]["data"], 1);
    assert_eq!(stream.chunk().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_shutdown_does_not_keep_the_stream_open() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    for number in 0..100 {
        server.publish("/a", &number).unwrap();
    }
    server.shutdown();
    let mut messages = stream.messages().await;
    for number in 100..110 {
        server.publish("/a", &number).unwrap();
    }
    messages.extend(stream.messages().await);
    assert_eq!(messages.len(), 100);
    assert_eq!(stream.chunk().await, None);
    assert_eq!(client.poll().await.events().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn connects_of_a_client_that_acknowledges_bring_its_events() {
    let server = server();
    let handshake = json!([{ "channel": "/meta/handshake", "version": "1.0", "ext": { "ack": true } }]);
    let reply = common::send_json(&server, handshake).await.only();
    let client = Client {
        server: server.clone(),
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: None,
    };
    client.poll().await;
    client.subscribe("/a").await;
    let connect = json!([{ "channel": "/meta/connect", "connectionType": "eventsource", "ext": { "ack": 1 } }]);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send(connect).await }
    });
    common::yield_until(|| server.stats().held_connects == 1).await;
    server.publish("/a", &1).unwrap();
    let answer = waiting.await.unwrap();
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
    assert_eq!(answer.connect_reply()["ext"]["ack"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_extension_deletes_leaves_no_empty_event() {
    use tower_bayeux::{MutableMessage, extension};
    struct Deleting;

    impl extension::Extension for Deleting {
        fn outgoing(&self, message: &mut MutableMessage, _: extension::OutgoingContext<'_>) -> extension::Fate {
            match message.data::<u8>() {
                Ok(1) => extension::Fate::Delete,
                _ => extension::Fate::Pass,
            }
        }
    }

    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    client.session().add_extension(Deleting);
    let mut stream = Stream::open(&client).await;
    server.publish("/a", &1).unwrap();
    assert_eq!(stream.chunk().await.unwrap(), ":\n\n", "nothing but the sign of life");
    server.publish("/a", &2).unwrap();
    assert_eq!(stream.messages().await[0]["data"], 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_stays_in_the_bounded_queue_and_survives_the_stream() {
    let server = BayeuxServer::builder()
        .transports(Transports::all())
        .max_queue_messages(2)
        .overflow(OverflowPolicy::DropOldest)
        .build();
    let client = Client::subscribed(&server, "/a").await;
    let stream = Stream::open(&client).await;
    for number in 1..=5 {
        server.publish("/a", &number).unwrap();
    }
    assert_eq!(server.stats().queued_messages, 2);
    assert_eq!(server.stats().dropped_messages.count(Reason::OldestDropped), 3);
    drop(stream);
    let events = client.poll().await.events();
    assert_eq!(events, [("/a".to_owned(), json!(4)), ("/a".to_owned(), json!(5))]);
}

#[tokio::test(start_paused = true)]
async fn line_ends_in_data_do_not_end_the_event() {
    let server = server();
    let client = Client::subscribed(&server, "/a").await;
    let mut stream = Stream::open(&client).await;
    let body = format!(
        "[{{\"channel\":\"/a\",\"clientId\":\"{}\",\"data\":[1,\r\n\n2]}}]",
        client.id
    );
    client.send_text(body).await;
    assert_eq!(stream.messages().await[0]["data"], json!([1, 2]));
}
