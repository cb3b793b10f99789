//! The floor: hyper, and long polls that are answered with ready-made bytes. It speaks no protocol: it looks at fixed
//! places of the requests that `bayeux-load` writes, believes everything, has no timers, no limits and no cookies to check.
//! What it sends has the bytes that tower-bayeux sends, but for numbers in them that do not change here.

use std::{
    collections::HashMap,
    error::Error,
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError, RwLock},
    task::{Poll, Waker},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
    service::service_fn,
};

const CONNECT_REPLY: &str = r#"{"id":"0000","channel":"/meta/connect","successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":30000}}"#;
const CONNECT_ANSWER: &str = r#"[{"id":"0000","channel":"/meta/connect","successful":true,"advice":{"reconnect":"retry","interval":0,"timeout":30000}}]"#;

/// Where the channel begins in each request.
const CHANNEL: usize = r#"[{"channel":""#.len();
/// From the channel's end to the `clientId`, and its length.
const TO_ID: usize = r#"","clientId":""#.len();
const ID: usize = 40;

/// One client.
#[derive(Default)]
struct Client(Mutex<Slot>);

#[derive(Default)]
struct Slot {
    /// Events that wait, and whole answers with one event each, ready to be sent.
    events: Vec<(Bytes, Bytes)>,
    waker: Option<Waker>,
    is_connected: bool,
}

#[derive(Default)]
struct Clients {
    all: Vec<Arc<Client>>,
    free: Vec<usize>,
}

#[derive(Default)]
struct Floor {
    clients: RwLock<Clients>,
    channels: RwLock<HashMap<Box<str>, Vec<Arc<Client>>>>,
}

/// What to do about a request.
enum Step {
    Answer(Response<Full<Bytes>>),
    Connect { client: Arc<Client>, at_once: bool },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let floor = Arc::new(Floor::default());
    compare::serve(service_fn(move |request| {
        let floor = Arc::clone(&floor);
        async move { floor.answer(request).await }
    }))
    .await
}

impl Floor {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let body = request.into_body().collect().await?.to_bytes();
        let step = self.process(std::str::from_utf8(&body).unwrap_or_default());
        // It is a part of the connection's read buffer: held, it would cost another one.
        drop(body);
        match step {
            Step::Answer(response) => Ok(response),
            Step::Connect { client, at_once } => Ok(response(client.connect(at_once).await)),
        }
    }

    fn process(&self, text: &str) -> Step {
        let channel = text[CHANNEL..].split('"').next().unwrap_or_default();
        if channel == "/meta/handshake" {
            return Step::Answer(self.handshake());
        }
        let id = CHANNEL + channel.len() + TO_ID;
        let number: usize = text[id..id + ID].parse().unwrap_or_default();
        let answer = match channel {
            "/meta/connect" => {
                let client = self.client(number);
                let at_once = text.ends_with("0}}]");
                return Step::Connect { client, at_once };
            }
            "/meta/disconnect" => {
                self.disconnect(number);
                Bytes::from_static(br#"[{"id":"2","channel":"/meta/disconnect","successful":true}]"#)
            }
            "/meta/subscribe" => {
                let name = text.rsplit('"').nth(1).unwrap_or_default();
                let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
                channels.entry(name.into()).or_default().push(self.client(number));
                Bytes::from_static(
                    br#"[{"id":"2","channel":"/meta/subscribe","successful":true,"subscription":"/load/room/0"}]"#,
                )
            }
            _ => {
                let data = text[id + ID..].split_once(r#""data":"#).map_or("", |(_, data)| data);
                self.publish(
                    channel,
                    data.trim_end_matches(']').strip_suffix('}').unwrap_or_default(),
                );
                Bytes::from(format!(r#"[{{"id":"0000","channel":"{channel}","successful":true}}]"#))
            }
        };
        Step::Answer(response(answer))
    }

    fn client(&self, number: usize) -> Arc<Client> {
        Arc::clone(&self.clients.read().unwrap_or_else(PoisonError::into_inner).all[number])
    }

    fn handshake(&self) -> Response<Full<Bytes>> {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let number = clients.free.pop().unwrap_or(clients.all.len());
        if number == clients.all.len() {
            clients.all.push(Arc::default());
        }
        drop(clients);
        let mut response = response(Bytes::from(format!(
            r#"[{{"id":"1","channel":"/meta/handshake","successful":true,"clientId":"{number:040}","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["long-polling","cross-origin-long-polling"],"advice":{{"reconnect":"retry","interval":0,"timeout":30000}}}}]"#
        )));
        let cookie = "BAYEUX_BROWSER=18eb1bc84ed41665b6488efe3cfbd44771fc5ef4; HttpOnly; Path=/";
        response
            .headers_mut()
            .insert(SET_COOKIE, HeaderValue::from_static(cookie));
        response
    }

    fn disconnect(&self, number: usize) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.all[number] = Arc::default();
        clients.free.push(number);
    }

    /// Wakes all who are there with the same answer.
    fn publish(&self, channel: &str, data: &str) {
        let event = Bytes::from(format!(r#"{{"channel":"{channel}","data":{data}}}"#));
        let mut answer = Vec::with_capacity(event.len() + CONNECT_REPLY.len() + 3);
        answer.push(b'[');
        answer.extend_from_slice(&event);
        answer.push(b',');
        answer.extend_from_slice(CONNECT_REPLY.as_bytes());
        answer.push(b']');
        let answer = Bytes::from(answer);
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        for client in channels.get(channel).into_iter().flatten() {
            let mut slot = client.0.lock().unwrap_or_else(PoisonError::into_inner);
            slot.events.push((event.clone(), answer.clone()));
            let waker = slot.waker.take();
            drop(slot);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Client {
    async fn connect(&self, at_once: bool) -> Bytes {
        poll_fn(|cx| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.events.is_empty() && slot.is_connected && !at_once {
                slot.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            slot.is_connected = true;
            Poll::Ready(match &*slot.events {
                [] => Bytes::from_static(CONNECT_ANSWER.as_bytes()),
                [(_, answer)] => {
                    let answer = answer.clone();
                    slot.events.clear();
                    answer
                }
                _ => join(&std::mem::take(&mut slot.events)),
            })
        })
        .await
    }
}

fn join(events: &[(Bytes, Bytes)]) -> Bytes {
    let size: usize = events.iter().map(|(event, _)| event.len() + 1).sum();
    let mut answer = Vec::with_capacity(size + CONNECT_REPLY.len() + 2);
    answer.push(b'[');
    for (event, _) in events {
        answer.extend_from_slice(event);
        answer.push(b',');
    }
    answer.extend_from_slice(CONNECT_REPLY.as_bytes());
    answer.push(b']');
    answer.into()
}

fn response(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
