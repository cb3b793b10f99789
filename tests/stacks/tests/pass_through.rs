//! What costs no allocation: a request of the application's on its way through, and each further subscriber of a
//! publish.

#[path = "../../common/mod.rs"]
mod common;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use allocation_counter::measure;
use common::{BASE, Client};
use http::{Request, Response};
use http_body::Body;
use serde_json::json;
use tower::{Layer, Service};
use tower_bayeux::{BayeuxLayer, BayeuxServer, EmptyBody};

/// An application that allocates nothing itself.
#[derive(Clone)]
struct App;

impl Service<Request<EmptyBody>> for App {
    type Response = Response<EmptyBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<EmptyBody>) -> Self::Future {
        ready(Ok(Response::new(EmptyBody)))
    }
}

fn request(path: &'static str) -> Request<EmptyBody> {
    let mut request = Request::new(EmptyBody);
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

/// Calls a service and reads the response to its end, with nothing but the service allocating.
fn run<S, B>(service: &mut S, request: Request<EmptyBody>)
where
    S: Service<Request<EmptyBody>, Response = Response<B>>,
    B: Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
        panic!("the application answers at once");
    };
    let body = pin!(response.into_body());
    assert!(matches!(body.poll_frame(&mut cx), Poll::Ready(None)));
}

#[test]
fn a_request_of_the_applications_allocates_nothing() {
    let mut service = BayeuxLayer::new(BASE, BayeuxServer::new()).layer(App);
    for path in ["/", "/cometd", "/cometd-admin", "/some/longer/path?with=query"] {
        let request = request(path);
        let allocations = measure(|| run(&mut service, request));
        assert_eq!(allocations.count_total, 0, "{path}");
    }
}

#[test]
fn a_clone_for_each_connection_or_request_allocates_nothing() {
    let service = BayeuxLayer::new(BASE, BayeuxServer::new()).layer(App);
    let request = request("/");
    let allocations = measure(|| run(&mut service.clone(), request));
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn applying_the_layer_allocates_nothing() {
    let layer = BayeuxLayer::new(BASE, BayeuxServer::new());
    let allocations = measure(|| drop(layer.layer(App)));
    assert_eq!(allocations.count_total, 0);
}

/// The allocations of one publish to so many subscribers whose queues have room, each of them reached by `patterns`.
async fn allocations_of_a_publish(subscribers: usize, patterns: &[&str]) -> u64 {
    let server = BayeuxServer::new();
    for _ in 0..subscribers {
        let client = Client::connected(&server).await;
        client
            .send(json!([{ "channel": "/meta/subscribe", "subscription": patterns }]))
            .await;
    }
    // Six messages leave room for a seventh in every queue, and warm whatever is kept between publishes.
    for number in 0..6 {
        server.publish("/a/b", &number).unwrap();
    }
    measure(|| server.publish("/a/b", &6).unwrap()).count_total
}

#[tokio::test(start_paused = true)]
async fn a_further_subscriber_costs_no_allocation() {
    let one = allocations_of_a_publish(1, &["/a/b"]).await;
    let many = allocations_of_a_publish(1000, &["/a/b"]).await;
    assert_eq!(one, many);
    assert!(one <= 4, "{one} allocations for the message itself");
}

#[tokio::test(start_paused = true)]
async fn a_further_subscriber_by_several_patterns_costs_no_allocation() {
    let patterns = ["/a/b", "/a/*", "/**"];
    let one = allocations_of_a_publish(1, &patterns).await;
    let many = allocations_of_a_publish(1000, &patterns).await;
    assert_eq!(one, many);
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_nobody_hears_costs_no_more() {
    let server = BayeuxServer::new();
    server.publish("/a/b", &1).unwrap();
    let allocations = measure(|| server.publish("/a/b", &1).unwrap()).count_total;
    assert!(allocations <= 2, "{allocations}");
}
