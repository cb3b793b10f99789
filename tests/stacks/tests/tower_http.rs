//! Among the layers of tower and tower-http, outside and inside: each stack compiles and serves clients and the
//! application.

#[path = "../../common/mod.rs"]
mod common;

use std::{convert::Infallible, fmt::Debug, io::Read, time::Duration};

use bytes::Bytes;
use common::{BASE, Client, post};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_bayeux::{AnswerInfo, BayeuxLayer, BayeuxServer};
use tower_http::{
    ServiceBuilderExt,
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::{AllowCredentials, AllowHeaders, AllowMethods, AllowOrigin, CorsLayer},
    limit::RequestBodyLimitLayer,
    normalize_path::NormalizePathLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

type Req = Request<Full<Bytes>>;

const PAGE: &str = "a page that is long enough to be worth compressing, a page that is long enough";

async fn page(_: Req) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(PAGE.as_bytes()))))
}

async fn call<S, B>(service: &S, request: Req) -> common::Answer
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Debug,
    B: Body<Data = Bytes>,
    B::Error: Debug,
{
    common::read(service.clone().oneshot(request).await.unwrap()).await
}

/// Handshake, connects, subscribe, publish, a held poll that is answered, and a request of the application's.
async fn serves<S, B>(server: &BayeuxServer, service: S)
where
    S: Service<Req, Response = Response<B>> + Clone,
    S::Error: Debug,
    B: Body<Data = Bytes>,
    B::Error: Debug,
{
    let reply = call(&service, post(r#"[{"channel":"/meta/handshake","version":"1.0"}]"#))
        .await
        .only();
    let id = reply["clientId"].clone();
    let connect = || post(json!([{ "channel": "/meta/connect", "clientId": id }]).to_string());
    assert_eq!(call(&service, connect()).await.only()["successful"], true);
    let subscribe = json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]);
    assert_eq!(
        call(&service, post(subscribe.to_string())).await.only()["successful"],
        true
    );
    let started = Instant::now();
    let publisher = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let publish = json!([{ "channel": "/a", "clientId": id, "data": 1 }]);
        assert_eq!(
            call(&service, post(publish.to_string())).await.only()["successful"],
            true
        );
    };
    let (answer, ()) = tokio::join!(call(&service, connect()), publisher);
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    assert_eq!(answer.events(), [("/a".to_owned(), json!(1))]);
    let answer = call(&service, Request::get("/").body(Full::default()).unwrap()).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, PAGE.as_bytes()));
    assert_eq!(server.stats().delivered_messages, 1);
}

fn cors() -> CorsLayer {
    // With credentials nothing may be a wildcard: tower-http panics otherwise.
    CorsLayer::new()
        .allow_credentials(AllowCredentials::yes())
        .allow_origin(AllowOrigin::mirror_request())
        .allow_methods(AllowMethods::list([Method::GET, Method::POST, Method::OPTIONS]))
        .allow_headers(AllowHeaders::list([header::CONTENT_TYPE]))
}

#[tokio::test(start_paused = true)]
async fn with_everything_outside() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(cors())
        .layer(CatchPanicLayer::new())
        .layer(CompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(64 * 1024))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(60),
        ))
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page_of));
    // `RequestBodyLimit` changes the request body, so the application takes any.
    serves(&server, service).await;
}

async fn page_of<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    page(Request::default()).await
}

#[tokio::test(start_paused = true)]
async fn with_normalize_path_around_all() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(NormalizePathLayer::trim_trailing_slash())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    serves(&server, service.clone()).await;
    let mut request = post(r#"[{"channel":"/meta/handshake"}]"#);
    *request.uri_mut() = "/cometd/".parse().unwrap();
    assert_eq!(call(&service, request).await.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn with_compression_inside() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .layer(CompressionLayer::new())
        .service(service_fn(page));
    serves(&server, service.clone()).await;
    let request = Request::get("/")
        .header(header::ACCEPT_ENCODING, "gzip")
        .body(Full::default())
        .unwrap();
    let answer = call(&service, request).await;
    assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(gunzip(&answer.body), PAGE);
}

#[tokio::test(start_paused = true)]
async fn with_a_timeout_inside_that_cuts_the_application_alone() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .timeout(Duration::from_millis(10))
        .service(service_fn(async |request: Req| {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
            page(request).await
        }));
    // The error type of the inner stack stays what it is.
    let result: Result<_, BoxError> = service
        .clone()
        .oneshot(Request::get("/slow").body(Full::default()).unwrap())
        .await;
    assert!(result.unwrap_err().is::<tower::timeout::error::Elapsed>());
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_concurrency_limit_inside() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .concurrency_limit(1)
        .service(service_fn(page));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn with_load_shed_inside_that_sheds_the_application_alone() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .load_shed()
        .concurrency_limit(1)
        .service(service_fn(page));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_buffer_inside() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .buffer(1)
        .rate_limit(1, Duration::from_millis(1))
        .service(service_fn(page));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_buffer_outside() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .buffer(16)
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn with_a_concurrency_limit_and_load_shed_outside() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(10)
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn boxed_and_cloned() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .boxed_clone()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn with_bodies_mapped_on_both_sides() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .map_response_body(http_body_util::combinators::UnsyncBoxBody::new)
        .map_request_body(|body: Full<Bytes>| body.boxed_unsync())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page_of));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn in_axum_with_everything() {
    let server = BayeuxServer::new();
    let app = axum::Router::new()
        .route("/", axum::routing::get(async || PAGE))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_millis(10),
        ))
        .layer(CompressionLayer::new())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .layer(
            ServiceBuilder::new()
                .layer(TraceLayer::new_for_http())
                .layer(cors())
                .layer(CatchPanicLayer::new())
                .layer(RequestBodyLimitLayer::new(64 * 1024))
                .layer(TimeoutLayer::with_status_code(
                    StatusCode::REQUEST_TIMEOUT,
                    Duration::from_secs(60),
                )),
        );
    let service = service_fn(move |request: Req| app.clone().oneshot(request.map(axum::body::Body::new)));
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_that_is_shorter_than_the_hold_cuts_the_poll_and_loses_nothing() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(5),
        ))
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    let connect = || client.request(json!([{ "channel": "/meta/connect" }]));
    let started = Instant::now();
    let answer = call(&service, connect()).await;
    assert_eq!(
        (answer.status, started.elapsed()),
        (StatusCode::REQUEST_TIMEOUT, Duration::from_secs(5))
    );
    assert!(answer.body.is_empty());
    assert_eq!(server.stats().held_connects, 0);
    server.publish("/a", "kept").unwrap();
    let answer = call(&service, connect()).await;
    assert_eq!(answer.events(), [("/a".to_owned(), json!("kept"))]);
    assert_eq!(server.stats().lost_messages, 0);
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn compression_outside_compresses_answers() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &"x".repeat(1000)).unwrap();
    let service = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    let mut connect = client.request(json!([{ "channel": "/meta/connect" }]));
    connect
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let answer = call(&service, connect).await;
    assert_eq!(answer.headers[header::CONTENT_ENCODING], "gzip");
    assert!(!answer.headers.contains_key(header::CONTENT_LENGTH));
    assert!(answer.body.len() < 300);
    let messages: Vec<Value> = serde_json::from_str(&gunzip(&answer.body)).unwrap();
    assert_eq!(messages[0]["data"], "x".repeat(1000));
    assert_eq!(server.stats().delivered_messages, 1);
}

#[tokio::test(start_paused = true)]
async fn a_compressed_answer_dropped_unread_goes_back() {
    let server = BayeuxServer::new();
    let client = Client::subscribed(&server, "/a").await;
    server.publish("/a", &1).unwrap();
    let service = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    let mut connect = client.request(json!([{ "channel": "/meta/connect" }]));
    connect
        .headers_mut()
        .insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    drop(service.oneshot(connect).await.unwrap());
    assert_eq!(client.poll().await.events().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn cors_outside_answers_preflights_and_marks_answers() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(cors())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    let preflight = Request::options(BASE)
        .header(header::ORIGIN, "https://example.org")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type")
        .body(Full::default())
        .unwrap();
    let answer = call(&service, preflight).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.info.is_none());
    assert_eq!(
        answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://example.org"
    );
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    let mut handshake = post(r#"[{"channel":"/meta/handshake"}]"#);
    handshake
        .headers_mut()
        .insert(header::ORIGIN, HeaderValue::from_static("https://example.org"));
    let answer = call(&service, handshake).await;
    assert_eq!(answer.only()["successful"], true);
    assert!(answer.new_cookie().is_some());
    assert_eq!(
        answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        "https://example.org"
    );
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
}

#[tokio::test(start_paused = true)]
async fn cors_inside_answers_preflights_too() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .layer(cors())
        .service(service_fn(page));
    let preflight = Request::options(BASE)
        .header(header::ORIGIN, "https://example.org")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .body(Full::default())
        .unwrap();
    let answer = call(&service, preflight).await;
    assert!(
        answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        "OPTIONS goes inside"
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_limit_outside_refuses_what_is_too_large() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(RequestBodyLimitLayer::new(100))
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page_of));
    let announced = call(&service, post(vec![b'['; 101])).await;
    // Without a length in the headers the limit is found while the body is read.
    assert!(announced.status.is_client_error(), "{}", announced.status);
    // Why a body has failed is not asked: its error may be of any type.
    assert_eq!(server.stats().malformed_requests, 1);
    let answer = call(&service, post(r#"[{"channel":"/meta/handshake"}]"#)).await;
    assert_eq!(answer.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn catch_panic_outside_leaves_the_server_alive() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(async |request: Req| {
            assert!(request.uri().path() != "/panic", "in user code");
            page(request).await
        }));
    let answer = call(&service, Request::get("/panic").body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    serves(&server, service).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_outside_can_tell_answers_from_the_applications_responses() {
    let server = BayeuxServer::new();
    let service = ServiceBuilder::new()
        .map_response(|mut response: Response<_>| {
            let ours = response.extensions().get::<AnswerInfo>().is_some();
            response
                .headers_mut()
                .insert("x-bayeux", HeaderValue::from_static(if ours { "yes" } else { "no" }));
            response
        })
        .layer(BayeuxLayer::new(BASE, server.clone()))
        .service(service_fn(page));
    let answer = call(&service, post("[]")).await;
    assert_eq!(answer.headers["x-bayeux"], "yes");
    let answer = call(&service, Request::get("/").body(Full::default()).unwrap()).await;
    assert_eq!(answer.headers["x-bayeux"], "no");
}
