//! The hot paths.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower_bayeux::{BayeuxLayer, BayeuxServer, MessageRate};
use tower_service::Service;

use crate::{Client, Meter, Server, now, post, sockets};

/// One round of a path.
pub(crate) type Round = Box<dyn FnMut(&mut dyn Meter)>;

/// One thing that a server does all day.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// Its name in the budgets.
    pub name: &'static str,
    /// What one round does so many times.
    pub units: u32,
    /// Prepares everything and returns one round, which can be repeated. Needs a runtime that is entered.
    pub set_up: fn() -> Round,
}

/// All paths.
pub const PATHS: &[Path] = &[
    path("publish_unheard_1k_channels", 100, || publish_unheard(1_000)),
    path("publish_unheard_100k_channels", 100, || publish_unheard(100_000)),
    path("fanout_100", 100, || fanout(100, 0)),
    path("fanout_1k", 1_000, || fanout(1_000, 0)),
    path("fanout_1k_to_filled_queues", 1_000, || fanout(1_000, 2)),
    path("fanout_10k", 10_000, || fanout(10_000, 0)),
    path("sockets_1k", 1_000, || sockets::fanout(1_000)),
    path("sockets_1k_without_bayeux", 1_000, || sockets::bare_fanout(1_000)),
    path("held_round", 100, held_round),
    path("handshake_disconnect", 50, handshake_disconnect),
    path("connect_at_once", 100, connect_at_once),
    path("connect_with_10_events", 50, connect_with_10_events),
    path("batch_of_10_publishes", 10, batch_of_10_publishes),
    path("inner_service_alone", 100, inner_service_alone),
    path("pass_through", 100, pass_through),
];

const fn path(name: &'static str, units: u32, set_up: fn() -> Round) -> Path {
    Path { name, units, set_up }
}

fn server() -> Server {
    // Clients that poll as often as they like.
    let unlimited = MessageRate::per_second(u32::MAX);
    Server::new(BayeuxServer::builder().connect_rate(unlimited).build())
}

/// What is published: the data of a chat message.
fn data() -> serde_json::Value {
    serde_json::json!({ "room": "a", "user": "b", "chat": "x".repeat(50) })
}

/// Sessions that all hear one channel, and have made their first connect.
fn crowd(server: &Server, size: usize) -> Vec<Client> {
    let one = |_| {
        let client = Client::new(server);
        client.subscribe(&["/load/room/0".to_owned()]);
        let _ = client.poll();
        client
    };
    (0..size).map(one).collect()
}

/// Nobody hears the channel, but others exist.
fn publish_unheard(channels: usize) -> Round {
    let server = server();
    let names: Vec<_> = (0..channels).map(|number| format!("/load/room/{number}")).collect();
    for names in names.chunks(100) {
        Client::new(&server).subscribe(names);
    }
    // Each name has luck of its own with the random seeds of the hash tables.
    let unheard: Vec<_> = (100..200).map(|number| format!("/load/elsewhere/{number}")).collect();
    Box::new(move |meter| {
        meter.measure(&mut || {
            for name in &unheard {
                let _ = black_box(server.bayeux.publish(name, "x"));
            }
        });
    })
}

/// One publish to the queues of so many sessions, in which so many messages lie already.
fn fanout(sessions: usize, queued: usize) -> Round {
    let server = server();
    let crowd = crowd(&server, sessions);
    let data = data();
    Box::new(move |meter| {
        for _ in 0..queued {
            let _ = server.bayeux.publish("/load/room/0", &data);
        }
        meter.measure(&mut || {
            let _ = black_box(server.bayeux.publish("/load/room/0", &data));
        });
        for client in &crowd {
            let _ = client.poll();
        }
    })
}

/// A publish to a hundred held connects, their answers, and their next connects until they are held again.
fn held_round() -> Round {
    let server = server();
    let crowd = crowd(&server, 100);
    let data = data();
    let mut held: Vec<_> = crowd.iter().map(|client| Some(client.hold())).collect();
    Box::new(move |meter| {
        meter.measure(&mut || {
            let _ = black_box(server.bayeux.publish("/load/room/0", &data));
            for (client, held) in crowd.iter().zip(&mut held) {
                if let Some(due) = held.take() {
                    let _ = black_box(Client::answer(due));
                }
                *held = Some(client.hold());
            }
        });
    })
}

fn handshake_disconnect() -> Round {
    let server = server();
    // A table with a single session in it would grow and shrink all the time.
    let others = crowd(&server, 1_000);
    let handshake = Bytes::from_static(
        br#"[{"channel":"/meta/handshake","id":"1","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["long-polling"],"advice":{"timeout":60000,"interval":0}}]"#,
    );
    Box::new(move |meter| {
        let _ = &others;
        for _ in 0..50 {
            let mut answer = Bytes::new();
            meter.measure(&mut || answer = server.ask(handshake.clone()));
            let disconnect = disconnect_of(&answer);
            meter.measure(&mut || {
                let _ = black_box(server.ask(disconnect.clone()));
            });
        }
    })
}

/// The disconnect of the session that a handshake has made.
fn disconnect_of(answer: &[u8]) -> Bytes {
    let reply: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let id = reply[0]["clientId"].as_str().unwrap_or_default();
    format!(r#"[{{"channel":"/meta/disconnect","clientId":"{id}","id":"2"}}]"#).into()
}

/// A connect that asks not to be held, and has nothing to fetch.
fn connect_at_once() -> Round {
    let server = server();
    let client = Client::new(&server);
    Box::new(move |meter| {
        meter.measure(&mut || {
            for _ in 0..100 {
                let _ = black_box(client.poll());
            }
        });
    })
}

fn connect_with_10_events() -> Round {
    let server = server();
    let crowd = crowd(&server, 50);
    let data = data();
    Box::new(move |meter| {
        for _ in 0..10 {
            let _ = server.bayeux.publish("/load/room/0", &data);
        }
        meter.measure(&mut || {
            for client in &crowd {
                let _ = black_box(client.poll());
            }
        });
    })
}

/// One request; nobody hears what is published.
fn batch_of_10_publishes() -> Round {
    let server = server();
    let client = Client::new(&server);
    let batch = client.batch("/load/room/0", 10);
    Box::new(move |meter| {
        meter.measure(&mut || {
            let _ = black_box(server.ask(batch.clone()));
        });
    })
}

/// The application's own service, as small as can be.
#[derive(Clone, Debug)]
struct Inner;

impl<B> Service<Request<B>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"hello")))))
    }
}

fn inner_service_alone() -> Round {
    requests_of_the_application(Inner)
}

fn pass_through() -> Round {
    requests_of_the_application(tower_bayeux_around(Inner))
}

fn tower_bayeux_around(inner: Inner) -> tower_bayeux::BayeuxService<Inner> {
    tower::Layer::layer(&BayeuxLayer::new("/cometd", BayeuxServer::new()), inner)
}

/// A hundred requests that are none of ours.
fn requests_of_the_application<S, B>(service: S) -> Round
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: http_body::Body<Data = Bytes, Error = Infallible> + Unpin,
{
    Box::new(move |meter| {
        let mut requests: Vec<_> = (0..100)
            .map(|_| {
                let mut request = post(Bytes::new());
                *request.uri_mut() = http::Uri::from_static("/another/path");
                request
            })
            .collect();
        let mut service = service.clone();
        meter.measure(&mut || {
            for request in requests.drain(..) {
                let _ = service.poll_ready(&mut Context::from_waker(std::task::Waker::noop()));
                let Ok(response) = now(service.call(request));
                let _ = black_box(now(response.into_body().frame()));
            }
        });
    })
}
