//! A good tower citizen: the layer makes nothing, the inner service notices nothing.

mod common;

use std::{
    convert::Infallible,
    fmt::{self, Debug},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use axum::{Router, extract::Request as AxumRequest, routing::get};
use bytes::Bytes;
use common::{Client, post};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bayeux::{
    Advice, AnswerInfo, BayeuxBuilder, BayeuxError, BayeuxLayer, BayeuxServer, BayeuxService, BrowserBinding,
    BrowserCookie, ChannelName, ClientId, Config, CustomEvent, DataError, DeliverError, EmptyBody, EndpointPaths,
    ErrorCounts, ErrorTexts, Event, EventStream, InvalidChannel, InvalidClientId, Message, NotFound, Outcome,
    OverflowPolicy, Paths, PublishError, Reason, ReasonCounts, Reconnect, ResponseBody, ResponseFuture, ServerSession,
    Stats, SubscribeError, Subscription, Transport, WeakBayeuxServer,
};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","version":"1.0"}]"#;

/// Handshakes and connects through services that are made anew for each request.
async fn assert_one_server<S, B>(server: &BayeuxServer, mut make: impl FnMut() -> S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Debug,
    B: Body<Data = Bytes>,
    B::Error: Debug,
{
    let before = server.session_count();
    let handshake = common::read(make().oneshot(post(HANDSHAKE)).await.unwrap()).await;
    let id = handshake.only()["clientId"].clone();
    let connect = json!([{ "channel": "/meta/connect", "clientId": id }]).to_string();
    let answer = common::read(make().oneshot(post(connect)).await.unwrap()).await;
    assert_eq!(answer.only()["successful"], true);
    assert_eq!(server.session_count(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_layer_applied_for_each_request_is_one_server() {
    let server = BayeuxServer::new();
    let layer = BayeuxLayer::new("/cometd", server.clone());
    assert_one_server(&server, || layer.layer(NotFound)).await;
    assert_one_server(&server, || layer.clone().layer(NotFound)).await;
}

#[tokio::test(start_paused = true)]
async fn a_layer_applied_twice_is_one_server() {
    let server = BayeuxServer::new();
    let layer = BayeuxLayer::new("/cometd", server.clone());
    assert_one_server(&server, || layer.layer(layer.layer(NotFound))).await;
    let routers = || {
        Router::<()>::new()
            .route("/", get(async || "home"))
            .layer(layer.clone())
            .layer(layer.clone())
    };
    let app = routers();
    assert_one_server(&server, || into_full(app.clone())).await;
}

/// An axum router takes its own body type.
fn into_full(
    router: Router,
) -> impl Service<Request<Full<Bytes>>, Response = Response<axum::body::Body>, Error = Infallible> {
    service_fn(move |request: Request<Full<Bytes>>| router.clone().oneshot(request.map(axum::body::Body::new)))
}

#[tokio::test(start_paused = true)]
async fn an_axum_router_with_routes_and_a_fallback_is_one_server() {
    let server = BayeuxServer::new();
    let app: Router = Router::new()
        .route("/", get(async || "home"))
        .route("/other", get(async || "other"))
        .fallback(async || (StatusCode::NOT_FOUND, "nothing here"))
        .layer(BayeuxLayer::new("/cometd", server.clone()));
    // Not finalised: axum applies the layer to the fallback once per request.
    assert_one_server(&server, || into_full(app.clone())).await;
    // Finalised.
    let finalised = app.clone().with_state(());
    assert_one_server(&server, || into_full(finalised.clone())).await;
    let home = app
        .clone()
        .oneshot(Request::get("/").body(axum::body::Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(common::read(home).await.body, "home");
    let missing = app
        .oneshot(Request::get("/cometd").body(axum::body::Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(
        common::read(missing).await.body,
        "nothing here",
        "GET is the application's"
    );
}

#[tokio::test(start_paused = true)]
async fn a_nested_router_with_a_fallback_serves_below_its_prefix() {
    let server = BayeuxServer::new();
    let api = Router::new()
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(BayeuxLayer::new("/cometd", server.clone()));
    let app: Router = Router::new().nest("/api", api);
    let at_prefix = || {
        let app = app.clone();
        service_fn(move |request: Request<Full<Bytes>>| {
            let (mut parts, body) = request.into_parts();
            parts.uri = "/api/cometd".parse().unwrap();
            app.clone()
                .oneshot(Request::from_parts(parts, axum::body::Body::new(body)))
        })
    };
    assert_one_server(&server, at_prefix).await;
}

#[tokio::test(start_paused = true)]
async fn merged_routers_with_the_same_server_are_one_server() {
    let server = BayeuxServer::new();
    let one = Router::new().route("/one", get(async || "one"));
    let two = Router::new().route("/two", get(async || "two"));
    let layer = BayeuxLayer::new("/cometd", server.clone());
    let app: Router = one.layer(layer.clone()).merge(two.layer(layer.clone())).layer(layer);
    assert_one_server(&server, || into_full(app.clone())).await;
    for path in ["/one", "/two"] {
        let response = app
            .clone()
            .oneshot(Request::get(path).body(axum::body::Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(common::read(response).await.body, path[1..]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_below_a_layer_of_another_path_shares_the_sessions() {
    let server = BayeuxServer::new();
    let inner = BayeuxLayer::new("/old", server.clone()).layer(NotFound);
    let service = BayeuxLayer::new("/new", server.clone()).layer(inner);
    let reply = common::read(service.clone().oneshot(on("/old", HANDSHAKE.into())).await.unwrap())
        .await
        .only();
    let connect = json!([{ "channel": "/meta/connect", "clientId": reply["clientId"] }]).to_string();
    let reply = common::read(service.oneshot(on("/new", connect)).await.unwrap())
        .await
        .only();
    assert_eq!(reply["successful"], true);
}

fn on(path: &str, body: String) -> Request<Full<Bytes>> {
    Request::post(path).body(Full::new(body.into())).unwrap()
}

#[derive(Clone, Debug, PartialEq)]
struct Tag(u32);

/// A body that is like no other: two frames and trailers, an error type of its own, and not `Unpin`.
struct OddBody {
    left: u32,
    _pinned: std::marker::PhantomPinned,
}

#[derive(Debug, PartialEq)]
struct OddError;

impl fmt::Display for OddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("odd")
    }
}

impl std::error::Error for OddError {}

impl Body for OddBody {
    type Data = Bytes;
    type Error = OddError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OddError>>> {
        // Counted by the size hint; this one just fails in the end.
        match self.left {
            0 => Poll::Ready(Some(Err(OddError))),
            1 => Poll::Ready(Some(Ok(Frame::trailers(HeaderMap::new())))),
            _ => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"odd"))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 99
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::from(self.left))
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_passes_untouched() {
    let inner = service_fn(async |request: Request<OddBody>| {
        assert_eq!(request.extensions().get(), Some(&Tag(7)));
        assert_eq!(request.headers()["x-a"], "b");
        assert_eq!(request.uri(), "/app?q=1");
        assert_eq!(request.version(), http::Version::HTTP_2);
        Ok::<_, OddError>(Response::new(Full::new(Bytes::from(request.body().left.to_string()))))
    });
    let service = BayeuxLayer::new("/cometd", BayeuxServer::new()).layer(inner);
    let request = Request::post("/app?q=1")
        .version(http::Version::HTTP_2)
        .header("x-a", "b")
        .extension(Tag(7))
        .body(OddBody {
            left: 42,
            _pinned: std::marker::PhantomPinned,
        })
        .unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "42");
}

#[tokio::test(start_paused = true)]
async fn the_response_passes_untouched() {
    let inner = |left| {
        service_fn(move |_: Request<Full<Bytes>>| async move {
            let body = OddBody {
                left,
                _pinned: std::marker::PhantomPinned,
            };
            let response = Response::builder()
                .status(299)
                .version(http::Version::HTTP_10)
                .extension(Tag(8));
            Ok::<_, Infallible>(response.header("x-c", "d").body(body).unwrap())
        })
    };
    let call = async |left| {
        let service = BayeuxLayer::new("/cometd", BayeuxServer::new()).layer(inner(left));
        service
            .oneshot(Request::get("/").body(Full::default()).unwrap())
            .await
            .unwrap()
    };
    let response = call(5).await;
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (299, http::Version::HTTP_10)
    );
    assert_eq!(response.extensions().get(), Some(&Tag(8)));
    assert!(response.extensions().get::<AnswerInfo>().is_none());
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert!(!response.body().is_end_stream());
    assert!(call(99).await.body().is_end_stream());
    let frame = Box::pin(response.into_body()).frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "odd");
    let frame = Box::pin(call(1).await.into_body()).frame().await.unwrap().unwrap();
    assert!(frame.is_trailers());
    let error = Box::pin(call(0).await.into_body()).frame().await.unwrap().unwrap_err();
    assert_eq!(error, OddError);
}

#[tokio::test(start_paused = true)]
async fn the_inner_error_keeps_its_type() {
    let inner = service_fn(async |_: Request<Full<Bytes>>| Err::<Response<Full<Bytes>>, _>(OddError));
    let service = BayeuxLayer::new("/cometd", BayeuxServer::new()).layer(inner);
    let result: Result<_, OddError> = service
        .clone()
        .oneshot(Request::get("/").body(Full::default()).unwrap())
        .await;
    assert_eq!(result.unwrap_err(), OddError);
    let answer = service.oneshot(post(HANDSHAKE)).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn our_faults_are_responses_never_errors() {
    let service = BayeuxService::new("/cometd", BayeuxServer::new());
    for body in ["", "[", "null", "[1]", "[{}]", r#"[{"channel":5}]"#, "\u{0}"] {
        let response = service.clone().oneshot(post(body)).await.unwrap();
        assert!(!response.status().is_server_error(), "{body}");
    }
    // A body that breaks off.
    let broken = http_body_util::StreamBody::new(futures_util::stream::iter([
        Ok(Frame::data(Bytes::from_static(b"[{"))),
        Err(OddError),
    ]));
    let response = service
        .oneshot(Request::post("/cometd").body(broken).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn alone_it_answers_404_to_everything_else() {
    let service = BayeuxService::new("/cometd", BayeuxServer::new());
    for request in [Request::post("/cometd2"), Request::get("/cometd"), Request::get("/")] {
        let response = service
            .clone()
            .oneshot(request.body(Full::<Bytes>::default()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert!(response.body().is_end_stream());
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_knows_its_size_and_end() {
    let server = BayeuxServer::new();
    let response = common::start(&server, post(HANDSHAKE)).await;
    // For the server to write down, when every layer outside has done with the body.
    assert!(!response.headers().contains_key("content-length"));
    let mut body = response.into_body();
    let length = body.size_hint().exact().unwrap();
    assert!(!body.is_end_stream());
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame.len() as u64, length, "one frame");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
    assert!(body.frame().await.is_none());
}

#[test]
fn a_default_body_is_empty_whatever_the_inner_body() {
    let body = ResponseBody::<OddBody>::default();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_request_body_may_belong_to_one_thread() {
    let here = Rc::new(());
    let request = post(HANDSHAKE).map(|body| {
        body.map_frame(move |frame| {
            let _here = &here;
            frame
        })
    });
    let service = BayeuxService::new(common::BASE, BayeuxServer::new());
    let answer = common::read(service.oneshot(request).await.unwrap()).await;
    assert_eq!(answer.only()["successful"], true);
}

#[tokio::test(start_paused = true)]
async fn request_bodies_may_come_in_pieces() {
    let server = BayeuxServer::new();
    let pieces: Vec<_> = HANDSHAKE
        .as_bytes()
        .chunks(7)
        .map(|piece| Ok::<_, OddError>(Frame::data(std::collections::VecDeque::from(piece.to_vec()))))
        .collect();
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
    let service = BayeuxService::new("/cometd", server.clone());
    let response = service
        .oneshot(Request::post("/cometd").body(body).unwrap())
        .await
        .unwrap();
    assert_eq!(common::read(response).await.only()["successful"], true);
}

#[test]
fn a_layer_is_applied_outside_of_a_runtime() {
    let server = BayeuxServer::new();
    let layer = BayeuxLayer::new("/cometd", server);
    drop(layer.layer(NotFound));
}

#[test]
fn the_inner_service_can_be_reached() {
    let mut service = BayeuxService::wrap("/cometd", BayeuxServer::new(), 5);
    assert_eq!(service.get_ref(), &5);
    *service.get_mut() = 6;
    assert_eq!(service.into_inner(), 6);
}

#[tokio::test(start_paused = true)]
async fn requests_that_differ_in_their_body_type_need_no_bounds_of_ours() {
    let server = BayeuxServer::new();
    let client = Client::connected(&server).await;
    // Not `Sync`, not `Unpin`, no error bounds.
    let body = http_body_util::StreamBody::new(futures_util::stream::once(async {
        let connect = std::cell::RefCell::new(Bytes::from(
            json!([{ "channel": "/meta/connect", "clientId": client.id, "advice": { "timeout": 0 } }]).to_string(),
        ));
        tokio::task::yield_now().await;
        Ok::<_, ()>(Frame::data(connect.take()))
    }));
    let service = BayeuxService::new("/cometd", server.clone());
    // The body borrows nothing, but is boxed because it is named nowhere.
    let body = Box::pin(into_static(body).await);
    let response = service
        .oneshot(Request::post("/cometd").body(body).unwrap())
        .await
        .unwrap();
    assert_eq!(common::read(response).await.only()["successful"], true);
}

/// Reads a body with any error into one that lives for ever.
async fn into_static<B: Body<Data = Bytes>>(body: B) -> Full<Bytes>
where
    B::Error: Debug,
{
    Full::new(body.collect().await.unwrap().to_bytes())
}

#[test]
fn public_types_keep_their_promises() {
    fn handle<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
    fn value<T: Debug + Send + Sync + Unpin + 'static>() {}
    fn error<T: std::error::Error + Send + Sync + Unpin + 'static>() {}
    fn future<T: Debug + Send + 'static>() {}

    handle::<BayeuxServer>();
    handle::<WeakBayeuxServer>();
    handle::<BayeuxBuilder>();
    handle::<BayeuxLayer>();
    handle::<BayeuxService>();
    handle::<BayeuxService<Router>>();
    handle::<Paths>();
    handle::<EndpointPaths>();
    handle::<Config>();
    handle::<BrowserCookie>();
    handle::<BrowserBinding>();
    handle::<ErrorTexts>();
    handle::<OverflowPolicy>();
    handle::<ServerSession>();
    handle::<Event>();
    handle::<CustomEvent>();
    handle::<Message>();
    handle::<ChannelName>();
    handle::<ClientId>();
    handle::<Advice>();
    handle::<Reconnect>();
    handle::<Reason>();
    handle::<ReasonCounts>();
    handle::<ErrorCounts>();
    handle::<Stats>();
    handle::<AnswerInfo>();
    handle::<Outcome>();
    handle::<Transport>();
    handle::<BayeuxError>();
    handle::<NotFound>();
    handle::<EmptyBody>();
    value::<EventStream>();
    value::<Subscription>();
    value::<ResponseBody<EmptyBody>>();
    future::<ResponseBody<axum::body::Body>>();
    future::<ResponseFuture<NotFound, Full<Bytes>>>();
    future::<ResponseFuture<Router, AxumRequest>>();
    error::<PublishError>();
    error::<SubscribeError>();
    error::<DeliverError>();
    error::<DataError>();
    error::<InvalidChannel>();
    error::<InvalidClientId>();
}
