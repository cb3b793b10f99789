//! Behind hyper, over real sockets: connections that break in every way.

mod common;

use std::{future::Future, net::SocketAddr, time::Duration};

use common::Client;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tower_bayeux::{BayeuxServer, BayeuxService, Reason, Stats};

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Fails a test instead of hanging it.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("this never happened")
}

/// Waits until the server's counters are as they should be.
#[track_caller]
fn until(server: &BayeuxServer, what: &'static str, condition: impl Fn(&Stats) -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    let server = server.clone();
    async move {
        let waiting = async {
            while !condition(&server.stats()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, waiting).await.is_err() {
            panic!("never: {what}, {caller}: {:?}", server.stats());
        }
    }
}

fn held(count: u64) -> impl Fn(&Stats) -> bool {
    move |stats| stats.held_connects == count
}

/// Serves on a socket of its own. Sessions live for 300 ms after their last connect; a hold lasts for ever.
struct Site {
    server: BayeuxServer,
    address: SocketAddr,
    stop: tokio::sync::watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Site {
    async fn open(half_close: bool) -> Self {
        Self::with(
            BayeuxServer::builder().max_interval(Duration::from_millis(300)),
            half_close,
        )
        .await
    }

    async fn with(builder: tower_bayeux::BayeuxBuilder, half_close: bool) -> Self {
        let server = builder.timeout(Duration::from_secs(3600)).build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let service = BayeuxService::new(common::BASE, server.clone());
        let serving = tokio::spawn(serve(listener, service, stopped, half_close));
        Self {
            server,
            address,
            stop,
            serving,
        }
    }

    async fn connect(&self) -> Socket {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Socket {
            stream,
            received: Vec::new(),
        }
    }

    /// A socket with a session that has connected once and subscribed to `/a`.
    async fn client(&self) -> (Socket, Value) {
        let mut socket = self.connect().await;
        let reply = socket
            .ask(&json!([{ "channel": "/meta/handshake", "version": "1.0" }]))
            .await;
        let id = reply[0]["clientId"].clone();
        socket.ask(&connect(&id)).await;
        socket
            .ask(&json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]))
            .await;
        (socket, id)
    }

    /// As [`client`](Self::client), its next connect held.
    async fn held_client(&self) -> (Socket, Value) {
        let before = self.server.stats().held_connects;
        let (mut socket, id) = self.client().await;
        socket.send(&connect(&id)).await;
        until(&self.server, "held", held(before + 1)).await;
        (socket, id)
    }

    async fn expired(&self) {
        until(&self.server, "the session expires", |stats| {
            stats.sessions_removed.count(Reason::Expired) == 1
        })
        .await;
        assert_eq!(self.server.session_count(), 0);
        assert!(self.server.channels().is_empty());
    }
}

async fn serve(
    listener: TcpListener,
    service: BayeuxService,
    mut stopped: tokio::sync::watch::Receiver<bool>,
    half_close: bool,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            _ = stopped.changed() => break,
        };
        stream.set_nodelay(true).unwrap();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().half_close(half_close).pipeline_flush(true);
        let service = TowerToHyperService::new(service.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _ = connection.await;
        });
    }
    graceful.shutdown().await;
}

fn connect(id: &Value) -> Value {
    json!([{ "channel": "/meta/connect", "clientId": id }])
}

struct Socket {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Socket {
    fn request(messages: &Value) -> Vec<u8> {
        let body = messages.to_string();
        format!(
            "POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    async fn send(&mut self, messages: &Value) {
        self.stream.write_all(&Self::request(messages)).await.unwrap();
    }

    /// The next answer; `None` if the connection was closed instead.
    async fn answer(&mut self) -> Option<Value> {
        soon(async {
            loop {
                if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                    let head = String::from_utf8_lossy(&self.received[..end]).to_lowercase();
                    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                    let all = end + 4 + length.parse::<usize>().unwrap();
                    if self.received.len() >= all {
                        let answer = serde_json::from_slice(&self.received[end + 4..all]).unwrap();
                        self.received.drain(..all);
                        return Some(answer);
                    }
                }
                match self.stream.read_buf(&mut self.received).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    async fn ask(&mut self, messages: &Value) -> Value {
        self.send(messages).await;
        self.answer().await.expect("closed without an answer")
    }
}

#[tokio::test]
async fn a_session_is_served_over_one_connection() {
    let site = Site::open(false).await;
    let (mut socket, _) = site.held_client().await;
    site.server.publish("/a", "hello").unwrap();
    let answer = socket.answer().await.unwrap();
    assert_eq!(answer[0], json!({ "channel": "/a", "data": "hello" }));
    assert_eq!(answer[1]["channel"], "/meta/connect");
}

#[tokio::test]
async fn a_client_that_closes_while_held_is_noticed_and_its_session_expires() {
    let site = Site::open(false).await;
    let (socket, _) = site.held_client().await;
    drop(socket);
    until(&site.server, "client gone", |stats| {
        stats.connects_ended.count(Reason::ClientGone) == 1
    })
    .await;
    assert_eq!(site.server.stats().held_connects, 0);
    site.expired().await;
}

#[tokio::test]
async fn a_client_that_resets_while_held_is_noticed_and_its_session_expires() {
    let site = Site::open(false).await;
    let (socket, _) = site.held_client().await;
    socket.stream.set_zero_linger().unwrap();
    drop(socket);
    until(&site.server, "client gone", |stats| {
        stats.connects_ended.count(Reason::ClientGone) == 1
    })
    .await;
    site.expired().await;
}

#[tokio::test]
async fn what_is_published_after_the_client_has_gone_is_there_when_it_comes_back() {
    let site = Site::with(BayeuxServer::builder(), false).await;
    let (socket, id) = site.held_client().await;
    drop(socket);
    until(&site.server, "client gone", held(0)).await;
    site.server.publish("/a", "kept").unwrap();
    let mut socket = site.connect().await;
    assert_eq!(socket.ask(&connect(&id)).await[0]["data"], "kept");
}

#[tokio::test]
async fn a_half_closed_connection_counts_as_gone() {
    let site = Site::open(false).await;
    let (mut socket, _) = site.held_client().await;
    socket.stream.shutdown().await.unwrap();
    until(&site.server, "client gone", |stats| {
        stats.connects_ended.count(Reason::ClientGone) == 1
    })
    .await;
    site.expired().await;
}

#[tokio::test]
async fn a_half_closed_connection_is_served_where_hyper_is_told_so() {
    let site = Site::open(true).await;
    let (mut socket, _) = site.held_client().await;
    socket.stream.shutdown().await.unwrap();
    // Gives the end of the stream time to arrive, if it is to be noticed; what must happen does not hang on it.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.server.stats().held_connects, 1);
    site.server.publish("/a", "still here").unwrap();
    assert_eq!(socket.answer().await.unwrap()[0]["data"], "still here");
    site.expired().await;
}

/// hyper does not notice the end of a connection that has sent stray bytes after its request. The message counts as
/// delivered or lost, and the session expires all the same.
#[tokio::test]
async fn stray_bytes_after_the_body_hide_the_end_but_hang_nothing() {
    let site = Site::open(false).await;
    let (mut socket, id) = site.client().await;
    let mut bytes = Socket::request(&connect(&id));
    bytes.extend_from_slice(b"\r\n");
    socket.stream.write_all(&bytes).await.unwrap();
    until(&site.server, "held", held(1)).await;
    drop(socket);
    site.server.publish("/a", "to nobody").unwrap();
    until(&site.server, "answered", held(0)).await;
    site.expired().await;
    let stats = site.server.stats();
    let accounted = stats.delivered_messages + stats.lost_messages + stats.dropped_messages.total();
    assert_eq!((accounted, stats.queued_messages), (1, 0), "{stats:?}");
}

#[tokio::test]
async fn a_request_that_breaks_off_in_its_body_changes_nothing() {
    let site = Site::open(false).await;
    let (mut socket, id) = site.client().await;
    let ended = site.server.stats().connects_ended.total();
    let bytes = Socket::request(&connect(&id));
    socket.stream.write_all(&bytes[..bytes.len() - 5]).await.unwrap();
    drop(socket);
    site.expired().await;
    assert_eq!(site.server.stats().connects_ended.total(), ended);
}

#[tokio::test]
async fn an_answer_larger_than_any_buffer_is_delivered_whole() {
    let site = Site::open(false).await;
    let (mut socket, _) = site.held_client().await;
    let large = "x".repeat(4 * 1024 * 1024);
    site.server.publish("/a", &large).unwrap();
    assert_eq!(socket.answer().await.unwrap()[0]["data"], large);
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_blocks_nobody() {
    let site = Site::with(BayeuxServer::builder(), false).await;
    let (stuck, _) = site.held_client().await;
    let (mut reader, id) = site.client().await;
    let large = "x".repeat(1024 * 1024);
    for _ in 0..5 {
        site.server.publish("/a", &large).unwrap();
        assert_eq!(reader.ask(&connect(&id)).await[0]["data"], large);
    }
    drop(stuck);
}

#[tokio::test]
async fn requests_may_be_pipelined() {
    let site = Site::open(false).await;
    let (mut socket, id) = site.client().await;
    let mut bytes = Vec::new();
    for number in 0..5 {
        bytes.extend(Socket::request(
            &json!([{ "channel": "/a", "clientId": id, "data": number, "id": number }]),
        ));
    }
    bytes.extend(Socket::request(&connect(&id)));
    socket.stream.write_all(&bytes).await.unwrap();
    for number in 0..5 {
        assert_eq!(socket.answer().await.unwrap()[0]["id"], number);
    }
    let answer = socket.answer().await.unwrap();
    let data: Vec<_> = (0..5).map(|index| answer[index]["data"].as_u64().unwrap()).collect();
    assert_eq!(data, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_request_pipelined_behind_a_held_connect_is_served_after_it() {
    let site = Site::open(false).await;
    let (mut socket, id) = site.held_client().await;
    socket
        .send(&json!([{ "channel": "/b", "clientId": id, "id": "behind" }]))
        .await;
    site.server.publish("/a", 1.to_string().as_str()).unwrap();
    assert_eq!(socket.answer().await.unwrap()[0]["data"], "1");
    assert_eq!(socket.answer().await.unwrap()[0]["id"], "behind");
}

#[tokio::test]
async fn a_session_may_use_many_connections() {
    let site = Site::open(false).await;
    let (mut first, id) = site.held_client().await;
    let mut second = site.connect().await;
    let reply = second
        .ask(&json!([{ "channel": "/a", "clientId": id, "data": 1 }]))
        .await;
    assert_eq!(reply[0]["successful"], true);
    assert_eq!(first.answer().await.unwrap()[0]["data"], 1);
    // The newer connect wins, from wherever it comes.
    first.send(&connect(&id)).await;
    until(&site.server, "held", held(1)).await;
    second.send(&connect(&id)).await;
    assert_eq!(first.answer().await.unwrap()[0]["successful"], true);
    until(&site.server, "held", held(1)).await;
    site.server.publish("/a", &2).unwrap();
    assert_eq!(second.answer().await.unwrap()[0]["data"], 2);
}

#[tokio::test]
async fn a_graceful_shutdown_does_not_wait_for_held_connects() {
    let site = Site::open(false).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(site.held_client().await);
    }
    site.server.shutdown();
    site.stop.send(true).unwrap();
    soon(site.serving).await.unwrap();
    for (mut socket, _) in clients {
        let answer = socket.answer().await.expect("closed without an answer");
        assert_eq!(answer[0]["successful"], true);
        assert_eq!(answer[0]["advice"]["reconnect"], "retry");
    }
    assert_eq!(site.server.stats().held_connects, 0);
}

#[tokio::test]
async fn a_hundred_clients_that_come_and_go_leave_nothing_behind() {
    let site = Site::open(false).await;
    let mut sockets = Vec::new();
    for _ in 0..100 {
        sockets.push(site.held_client().await.0);
    }
    for (index, socket) in sockets.into_iter().enumerate() {
        if index % 2 == 0 {
            socket.stream.set_zero_linger().unwrap();
        }
        drop(socket);
    }
    until(&site.server, "all expire", |stats| {
        stats.sessions_removed.count(Reason::Expired) == 100
    })
    .await;
    let stats = site.server.stats();
    assert_eq!((stats.sessions, stats.held_connects, stats.queued_messages), (0, 0, 0));
    assert_eq!(stats.connects_ended.count(Reason::ClientGone), 100);
}

#[tokio::test]
async fn the_in_process_client_and_the_socket_share_the_server() {
    let site = Site::open(false).await;
    let (mut socket, _) = site.held_client().await;
    let other = Client::connected(&site.server).await;
    other.publish("/a", json!("across")).await;
    assert_eq!(socket.answer().await.unwrap()[0]["data"], "across");
}
