//! Requests of several clients, broken connections, publishes and passing time, in any order.

use std::{future::Future, pin::Pin, task::Context, task::Poll, task::Waker, time::Duration};

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::{task::unconstrained, time::sleep};
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, EmptyBody, OverflowPolicy, Publication, ResponseBody, ServerSession};

use crate::{
    answer::{self, Answer},
    scenario::{Fate, Name, Scenario, Step, data},
    world::{BASE, builder, check_bounds, check_left_behind, in_paused_time, post, server},
};

type Body = ResponseBody<EmptyBody>;
type InFlight = Pin<Box<dyn Future<Output = Response<Body>>>>;

/// More steps than this show nothing new.
const MAX_STEPS: usize = 64;

/// Bytes that a [`Scenario`] is made from.
pub fn sequences(input: &[u8]) {
    let Ok(scenario) = Scenario::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    in_paused_time(async {
        let server = if scenario.overflow_ends {
            builder().overflow(OverflowPolicy::Disconnect).build()
        } else {
            server(scenario.extended)
        };
        let mut stage = Stage::new(server);
        for step in scenario.steps.iter().take(MAX_STEPS) {
            stage.play(step).await;
            check_bounds(&stage.server);
        }
        let Stage {
            server,
            requests,
            streams,
            ..
        } = stage;
        drop((requests, streams));
        check_left_behind(&server).await;
    });
}

/// A server and all who deal with it.
struct Stage {
    server: BayeuxServer,
    /// Ids of clients, live or gone.
    clients: Vec<String>,
    requests: Vec<InFlight>,
    streams: Vec<Body>,
}

impl Stage {
    fn new(server: BayeuxServer) -> Self {
        // One that never handshook.
        let clients = vec!["0".repeat(40)];
        Self {
            server,
            clients,
            requests: Vec::new(),
            streams: Vec::new(),
        }
    }

    async fn play(&mut self, step: &Step) {
        match step {
            Step::Handshake { acknowledges } => self.handshake(*acknowledges).await,
            Step::Send { client, messages, fate } => {
                let client = self.client(*client);
                let messages: Vec<Value> = messages.iter().map(|draft| draft.message(client)).collect();
                let request = self.start(post(Value::from(messages).to_string()));
                self.meet(request, *fate).await;
            }
            Step::GoOn { request, fate } => {
                if let Some(request) = pick(*request, self.requests.len()) {
                    let request = self.requests.swap_remove(request);
                    self.meet(request, *fate).await;
                }
            }
            Step::OpenStream { client } => self.open_stream(*client).await,
            Step::ReadStream { stream } => self.read_stream(*stream),
            Step::CloseStream { stream } => {
                if let Some(stream) = pick(*stream, self.streams.len()) {
                    self.streams.swap_remove(stream);
                }
            }
            Step::Publish { channel, size, lazy } => self.publish(*channel, *size, *lazy),
            Step::Deliver { client, channel } => {
                if let Some(session) = self.session(*client) {
                    let _refused = session.deliver(channel.as_str(), &1);
                }
            }
            Step::Disconnect { client } => {
                if let Some(session) = self.session(*client) {
                    session.disconnect();
                }
            }
            Step::SetTimes {
                client,
                timeout,
                interval,
                max_interval,
            } => {
                let time = |tens: &Option<u8>| tens.map(|tens| Duration::from_millis(u64::from(tens) * 10));
                if let Some(session) = self.session(*client) {
                    session.set_timeout(time(timeout));
                    session.set_interval(time(interval));
                    session.set_max_interval(time(max_interval));
                }
            }
            Step::Pass { millis } => sleep(Duration::from_millis((*millis).into())).await,
            Step::Shutdown => self.server.shutdown(),
        }
    }

    fn client(&self, number: u8) -> &str {
        pick(number, self.clients.len()).map_or("", |client| &*self.clients[client])
    }

    fn session(&self, client: u8) -> Option<ServerSession> {
        self.server.session(&self.client(client).parse().ok()?)
    }

    async fn handshake(&mut self, acknowledges: bool) {
        let handshake = json!({ "channel": "/meta/handshake", "version": "1.0", "ext": { "ack": acknowledges } });
        let response = self.start(post(handshake.to_string())).await;
        let reply = Answer::read(response).await.messages().remove(0);
        // There may be as many sessions as there may be.
        if let Some(id) = reply["clientId"].as_str() {
            self.clients.push(id.to_owned());
        }
    }

    fn publish(&self, channel: Name, size: u16, lazy: bool) {
        let publication = Publication::new(channel.as_str(), &data(size));
        let _refused = publication.and_then(|publication| self.server.send(publication.lazy(lazy)));
    }

    /// A request that is not polled yet. It is pending only where the server makes it wait.
    fn start(&self, request: Request<Full<Bytes>>) -> InFlight {
        let service = BayeuxService::new(BASE, self.server.clone());
        let response = service.oneshot(request);
        Box::pin(unconstrained(async {
            response.await.unwrap_or_else(|never| match never {})
        }))
    }

    async fn meet(&mut self, mut request: InFlight, fate: Fate) {
        match fate {
            Fate::Unpolled => {}
            Fate::Answered => check(request.await).await,
            Fate::AnswerDropped => drop(request.await),
            Fate::Dropped | Fate::Kept => match poll_once(&mut request) {
                Poll::Ready(response) => check(response).await,
                Poll::Pending if matches!(fate, Fate::Kept) => self.requests.push(request),
                Poll::Pending => {}
            },
        }
    }

    async fn open_stream(&mut self, client: u8) {
        let mut request = post("");
        *request.method_mut() = http::Method::GET;
        *request.uri_mut() = format!("{BASE}/{}", self.client(client)).parse().expect("a path");
        let accept = "text/event-stream".parse().expect("a header");
        request.headers_mut().insert(http::header::ACCEPT, accept);
        let response = self.start(request).await;
        if response.status() == StatusCode::OK {
            self.streams.push(response.into_body());
        } else {
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
        }
    }

    /// Reads what there is at once; forgets a stream that has ended.
    fn read_stream(&mut self, stream: u8) {
        let Some(index) = pick(stream, self.streams.len()) else {
            return;
        };
        let mut frame = self.streams[index].frame();
        match poll_once(&mut frame) {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => check_events(&frame.into_data().expect("no trailers")),
            Poll::Ready(None) => drop(self.streams.swap_remove(index)),
        }
    }
}

/// Any number names one of so many, if there is one.
fn pick(number: u8, count: usize) -> Option<usize> {
    usize::from(number).checked_rem(count)
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

async fn check(response: Response<Body>) {
    Answer::read(response).await.messages();
}

/// Each event of a stream is one line with an array of messages.
fn check_events(text: &[u8]) {
    let text = std::str::from_utf8(text).expect("UTF-8");
    assert!(text.ends_with("\n\n"), "{text:?}");
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(json) = line.strip_prefix("data: ") {
            answer::messages(StatusCode::OK, json.as_bytes());
        } else {
            assert!(line == ":" || line.starts_with("retry:"), "{line:?}");
        }
    }
}
