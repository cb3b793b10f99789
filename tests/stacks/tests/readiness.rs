//! Readiness: clients are served however busy the application is, and the application never misses what a client's
//! request has reserved.

#[path = "../../common/mod.rs"]
mod common;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use common::{BASE, Client, post, read};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use tokio::sync::Notify;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{
    Layer, Service, ServiceExt,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
};
use tower_bayeux::{BayeuxLayer, BayeuxServer, BayeuxService};
use tower_test::mock::{self, Mock};

type Req = Request<Full<Bytes>>;
type Res = Response<Full<Bytes>>;
type Inner = Mock<Req, Res>;

fn layer() -> BayeuxLayer {
    BayeuxLayer::new(BASE, BayeuxServer::new())
}

fn handshake() -> Req {
    post(r#"[{"channel":"/meta/handshake","version":"1.0"}]"#)
}

fn app(path: &str) -> Req {
    Request::get(path).body(Full::default()).unwrap()
}

fn respond(text: &'static str) -> Res {
    Response::new(Full::new(Bytes::from_static(text.as_bytes())))
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_inner_service_is() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(app("/x")));
    assert_pending!(response.poll());
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.uri(), "/x");
    send.send_response(respond("x"));
    assert!(response.is_woken());
    let response = assert_ready_ok!(response.poll());
    assert_eq!(read(response).await.body, "x");
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_inner_service_is_not() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    assert_ready_ok!(service.poll_ready());
    let answer = read(service.call(handshake()).await.unwrap()).await;
    assert_eq!(answer.only()["successful"], true);
    assert!(
        matches!(handle.poll_request(), Poll::Pending),
        "the inner service saw nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn an_app_request_waits_in_its_own_future_until_the_inner_service_is_ready() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    let mut waiting = task::spawn(service.call(app("/waits")));
    assert_pending!(waiting.poll());
    // Clients are served meanwhile.
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
        let answer = read(service.call(handshake()).await.unwrap()).await;
        assert_eq!(answer.only()["successful"], true);
    }
    assert_pending!(waiting.poll());
    handle.allow(1);
    assert!(waiting.is_woken());
    assert_pending!(waiting.poll());
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.uri(), "/waits");
    send.send_response(respond("at last"));
    let response = assert_ready_ok!(waiting.poll());
    assert_eq!(read(response).await.body, "at last");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_is_told_by_poll_ready() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    handle.send_error("broken");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_reaches_a_request_that_waits_for_it() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    handle.allow(0);
    assert_ready_ok!(service.poll_ready());
    let mut waiting = task::spawn(service.call(app("/")));
    assert_pending!(waiting.poll());
    handle.send_error("broken");
    let error = assert_ready_err!(waiting.poll());
    assert_eq!(error.to_string(), "broken");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_call_is_returned() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(app("/")));
    assert_pending!(response.poll());
    handle.next_request().await.unwrap().1.send_error("refused");
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.to_string(), "refused");
}

#[tokio::test(start_paused = true)]
async fn a_clone_does_not_think_it_is_ready() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    assert_ready_ok!(service.poll_ready());
    // A mock panics if it is called without having said that it is ready.
    let mut clone = service.get_ref().clone();
    let mut response = task::spawn(clone.call(app("/clone")));
    assert_pending!(response.poll());
    handle.next_request().await.unwrap().1.send_response(respond("clone"));
    assert_ready_ok!(response.poll());
}

#[tokio::test(start_paused = true)]
async fn readiness_is_for_one_request() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    assert_ready_ok!(service.poll_ready());
    for path in ["/1", "/2"] {
        // The second time without asking again: it waits for the inner service itself.
        let mut response = task::spawn(service.call(app(path)));
        assert_pending!(response.poll());
        let (request, send) = handle.next_request().await.unwrap();
        assert_eq!(request.uri(), path);
        send.send_response(respond("ok"));
        assert_ready_ok!(response.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn a_bayeux_request_calls_the_inner_service_not_even_after_readiness() {
    let (mut service, mut handle) = mock::spawn_layer::<Req, Res, _>(layer());
    handle.allow(1);
    for _ in 0..3 {
        assert_ready_ok!(service.poll_ready());
        read(service.call(handshake()).await.unwrap()).await;
    }
    assert!(matches!(handle.poll_request(), Poll::Pending));
    // The one request that it allows is the application's.
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(app("/")));
    assert_pending!(response.poll());
    handle.next_request().await.unwrap().1.send_response(respond("ok"));
    assert_ready_ok!(response.poll());
}

/// An application that answers when told to, one request at a time.
fn limited(
    release: &Arc<Notify>,
) -> ConcurrencyLimit<impl Service<Req, Response = Res, Error = Infallible, Future: Send> + Clone> {
    let release = Arc::clone(release);
    ConcurrencyLimitLayer::new(1).layer(service_fn(move |_: Req| {
        let release = Arc::clone(&release);
        async move {
            release.notified().await;
            Ok(respond("app"))
        }
    }))
}

fn ready<S: Service<Req>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn a_held_connect_takes_no_permit_from_the_application() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    let release = Arc::new(Notify::new());
    let mut service = BayeuxService::wrap(BASE, server.clone(), limited(&release));
    assert_ready_ok!(ready(&mut service));
    let connect = client.request(json!([{ "channel": "/meta/connect" }]));
    let mut held = task::spawn(service.call(connect));
    assert_pending!(held.poll());
    // Served by the same service, and by a clone as of another connection.
    for mut service in [service.clone(), service] {
        assert_ready_ok!(ready(&mut service));
        let mut response = task::spawn(service.call(app("/")));
        assert_pending!(response.poll());
        release.notify_one();
        let response = assert_ready_ok!(response.poll());
        assert_eq!(read(response).await.body, "app");
    }
    assert_eq!(server.stats().held_connects, 1);
}

#[tokio::test(start_paused = true)]
async fn connects_are_served_while_the_application_is_saturated() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let release = Arc::new(Notify::new());
    let mut service = BayeuxService::wrap(BASE, server.clone(), limited(&release));
    assert_ready_ok!(ready(&mut service));
    let mut busy = task::spawn(service.call(app("/busy")));
    assert_pending!(busy.poll());

    assert_ready_ok!(ready(&mut service));
    let mut held = task::spawn(service.call(client.request(json!([{ "channel": "/meta/connect" }]))));
    assert_pending!(held.poll());
    server.publish("/a", &1).unwrap();
    assert!(held.is_woken());
    let answer = read(assert_ready_ok!(held.poll())).await;
    assert_eq!(answer.events().len(), 1);
}

/// The service waited for a permit on behalf of a request that turned out to be a client's. When the permit comes, it
/// is the application's, not an idle service's.
#[tokio::test(start_paused = true)]
async fn a_bayeux_request_gives_up_the_place_in_the_queue_too() {
    let server = BayeuxServer::new();
    let release = Arc::new(Notify::new());
    let mut connection = BayeuxService::wrap(BASE, server.clone(), limited(&release));
    let mut another = connection.clone();
    assert_ready_ok!(ready(&mut connection));
    let mut busy = task::spawn(connection.call(app("/busy")));
    assert_pending!(busy.poll());

    // Saturated: the inner service queues for a permit.
    assert_ready_ok!(ready(&mut connection));
    read(connection.call(handshake()).await.unwrap()).await;
    // Now an application's request comes on another connection.
    assert_ready_ok!(ready(&mut another));
    let mut waiting = task::spawn(another.call(app("/waiting")));
    assert_pending!(waiting.poll());

    release.notify_one();
    assert_ready_ok!(busy.poll());
    drop(busy);
    release.notify_one();
    let response = assert_ready!(waiting.poll(), "the permit went to a service that needs none").unwrap();
    assert_eq!(read(response).await.body, "app");
    drop(connection);
}

/// The request that waits is the one that stands in the queue: not one place behind its own service.
#[tokio::test(start_paused = true)]
async fn an_app_request_waits_in_the_place_that_its_service_had_in_the_queue() {
    let release = Arc::new(Notify::new());
    let mut service = BayeuxService::wrap(BASE, BayeuxServer::new(), limited(&release));
    assert_ready_ok!(ready(&mut service));
    let mut busy = task::spawn(service.call(app("/busy")));
    assert_pending!(busy.poll());
    assert_ready_ok!(ready(&mut service));
    let mut waiting = task::spawn(service.call(app("/waiting")));
    assert_pending!(waiting.poll());

    release.notify_one();
    assert_ready_ok!(busy.poll());
    drop(busy);
    release.notify_one();
    let response = assert_ready!(waiting.poll(), "the permit went to the service that waits no more").unwrap();
    assert_eq!(read(response).await.body, "app");
}

#[tokio::test(start_paused = true)]
async fn many_requests_of_both_kinds_share_a_limited_application() {
    let server = BayeuxServer::new();
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let inner = ConcurrencyLimitLayer::new(1).layer(service_fn(move |_: Req| {
        let count = Arc::clone(&count);
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            *count.lock().unwrap() += 1;
            Ok::<_, Infallible>(respond("app"))
        }
    }));
    let mut service = BayeuxService::wrap(BASE, server.clone(), inner);
    let mut requests = Vec::new();
    for index in 0..60 {
        // One service for all, as a load balancer would have it.
        let request = if index % 3 == 0 { handshake() } else { app("/") };
        let response = service.ready().await.unwrap().call(request);
        requests.push(tokio::spawn(async move { read(response.await.unwrap()).await.status }));
    }
    let all = async {
        for request in requests {
            assert_eq!(request.await.unwrap(), 200);
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("some request waits for ever");
    assert_eq!(*seen.lock().unwrap(), 40);
    assert_eq!(server.session_count(), 20);
}

#[test]
fn the_inner_service_needs_no_more_than_clone() {
    fn assert_service<S: Service<Req>>(_: &S) {}
    let inner: Inner = mock::pair().0;
    assert_service(&layer().layer(inner));
}
