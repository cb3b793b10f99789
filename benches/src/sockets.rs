//! WebSockets over connections in memory that swallow what is written: a publish to a thousand of them, and the same frames
//! sent by the same library with no Bayeux at all.

use std::{
    collections::VecDeque,
    hint::black_box,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use futures_util::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::Runtime,
    sync::broadcast,
    task::yield_now,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message, Utf8Bytes,
        protocol::{Role, WebSocketConfig},
    },
};
use tower_bayeux::{BayeuxServer, BayeuxService};

use crate::{Meter, runtime};

/// The server's end of a connection: what the client sends is put in, what the server writes is counted, and kept for as
/// long as somebody wants to read it.
#[derive(Clone, Default)]
struct Line(Arc<Shared>);

#[derive(Default)]
struct Shared {
    incoming: Mutex<(VecDeque<u8>, Option<Waker>)>,
    answers: Mutex<Option<Vec<u8>>>,
    /// Bytes that all lines have swallowed.
    swallowed: Arc<AtomicUsize>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn new(swallowed: &Arc<AtomicUsize>) -> Self {
        Self(Arc::new(Shared {
            answers: Mutex::new(Some(Vec::new())),
            swallowed: Arc::clone(swallowed),
            ..Shared::default()
        }))
    }

    fn put(&self, bytes: &[u8]) {
        let mut incoming = lock(&self.0.incoming);
        incoming.0.extend(bytes);
        let waker = incoming.1.take();
        drop(incoming);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Sends a text frame, masked by zeroes.
    fn say(&self, text: &str) {
        let size = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.put(&[&[0x81, 0x80 | 126, size[0], size[1], 0, 0, 0, 0], text.as_bytes()].concat());
    }

    /// What the server has answered, once it has `end` in it.
    async fn answer(&self, end: &str) -> String {
        loop {
            if let Some(answer) = self.answer_with(end) {
                return answer;
            }
            yield_now().await;
        }
    }

    fn answer_with(&self, end: &str) -> Option<String> {
        let mut answers = lock(&self.0.answers);
        let kept = answers.get_or_insert_default();
        let answer = String::from_utf8_lossy(kept).into_owned();
        answer.contains(end).then(|| {
            kept.clear();
            answer
        })
    }

    /// From now on, what is written is counted and forgotten.
    fn stop_keeping(&self) {
        *lock(&self.0.answers) = None;
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut incoming = lock(&self.0.incoming);
        if incoming.0.is_empty() {
            incoming.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let size = incoming.0.len().min(buffer.remaining());
        incoming.0.drain(..size).for_each(|byte| buffer.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(kept) = &mut *lock(&self.0.answers) {
            kept.extend_from_slice(bytes);
        }
        self.0.swallowed.fetch_add(bytes.len(), Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A runtime, and how many bytes its lines have swallowed.
struct Crowd {
    runtime: Runtime,
    swallowed: Arc<AtomicUsize>,
    /// Of one frame to each line.
    round: usize,
}

impl Crowd {
    fn new(sockets: usize, json: &str) -> Self {
        let header = if json.len() < 126 { 2 } else { 4 };
        Self {
            runtime: runtime(),
            swallowed: Arc::default(),
            round: sockets * (header + json.len()),
        }
    }

    /// Lets the tasks run until each line has got its frame.
    fn measure(&self, meter: &mut dyn Meter, publish: impl Fn()) {
        let end = self.swallowed.load(Relaxed) + self.round;
        meter.measure(&mut || {
            self.runtime.block_on(async {
                publish();
                while self.swallowed.load(Relaxed) < end {
                    yield_now().await;
                }
            });
        });
        assert_eq!(self.swallowed.load(Relaxed), end, "something else was written");
    }
}

fn data() -> serde_json::Value {
    serde_json::json!({ "room": "a", "user": "b", "chat": "x".repeat(50) })
}

fn json() -> String {
    serde_json::json!([{ "channel": "/load/room/0", "data": data() }]).to_string()
}

const UPGRADE: &str = "GET /cometd HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A publish to so many sockets, all of them subscribed, each with a connect that is held.
pub(crate) fn fanout(sockets: usize) -> crate::paths::Round {
    let crowd = Crowd::new(sockets, &json());
    let bayeux = crowd.runtime.block_on(async {
        let bayeux = BayeuxServer::builder().max_sessions(usize::MAX).build();
        for _ in 0..sockets {
            subscribe(&bayeux, &crowd.swallowed).await;
        }
        bayeux
    });
    let data = data();
    Box::new(move |meter| {
        crowd.measure(meter, || {
            let _ = black_box(bayeux.publish("/load/room/0", &data));
        });
    })
}

async fn subscribe(bayeux: &BayeuxServer, swallowed: &Arc<AtomicUsize>) {
    let line = Line::new(swallowed);
    let service = TowerToHyperService::new(BayeuxService::new("/cometd", bayeux.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(line.clone()), service);
    tokio::spawn(connection.with_upgrades());
    line.put(UPGRADE.as_bytes());
    line.answer("\r\n\r\n").await;
    line.say(r#"[{"channel":"/meta/handshake","id":"1","version":"1.0"}]"#);
    let reply = line.answer("clientId").await;
    let id = reply
        .split("\"clientId\":\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let id = id.unwrap_or_default();
    line.say(&format!(
        r#"[{{"channel":"/meta/subscribe","clientId":"{id}","id":"2","subscription":"/load/room/0"}}]"#
    ));
    line.answer("/meta/subscribe").await;
    let connect = format!(r#"[{{"channel":"/meta/connect","clientId":"{id}","id":"3"}}]"#);
    line.say(&connect);
    line.answer("/meta/connect").await;
    let held = bayeux.stats().held_connects;
    line.say(&connect);
    while bayeux.stats().held_connects == held {
        yield_now().await;
    }
    line.stop_keeping();
}

/// The same frame to so many sockets of the same library, set as ours are: each has a task that reads, and sends whatever
/// is broadcast.
pub(crate) fn bare_fanout(sockets: usize) -> crate::paths::Round {
    let crowd = Crowd::new(sockets, &json());
    let (sender, _) = broadcast::channel(16);
    crowd.runtime.block_on(async {
        for _ in 0..sockets {
            let line = Line::new(&crowd.swallowed);
            line.stop_keeping();
            tokio::spawn(serve_bare(line, sender.subscribe()));
        }
        yield_now().await;
    });
    let frame = Utf8Bytes::from(json());
    Box::new(move |meter| {
        crowd.measure(meter, || {
            let _ = black_box(sender.send(frame.clone()));
        });
    })
}

async fn serve_bare(line: Line, mut frames: broadcast::Receiver<Utf8Bytes>) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0);
    let mut socket = WebSocketStream::from_raw_socket(line, Role::Server, Some(config)).await;
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Ok(frame) = frame else { return };
                if socket.send(Message::Text(frame)).await.is_err() {
                    return;
                }
            }
            incoming = socket.next() => {
                if incoming.is_none() {
                    return;
                }
            }
        }
    }
}
