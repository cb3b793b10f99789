//! Which requests are Bayeux's, and which go inside.

mod common;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{ServiceExt, service_fn};
use tower_bayeux::{BayeuxServer, BayeuxService, Paths};

/// What became of a request.
#[derive(Debug, PartialEq)]
enum Went {
    ToBayeux,
    Inside,
}

use Went::{Inside, ToBayeux};

async fn went(paths: &Paths, method: Method, uri: &str) -> Went {
    let inner = service_fn(|request: Request<Full<Bytes>>| async move {
        // The inner service sees the request as it came.
        let seen = format!("{} {}", request.method(), request.uri());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(seen))))
    });
    let service = BayeuxService::wrap(paths.clone(), BayeuxServer::new(), inner);
    let request = Request::builder()
        .method(method.clone())
        .uri(uri)
        .body(Full::new(Bytes::from_static(
            br#"[{"channel":"/meta/handshake","version":"1.0"}]"#,
        )))
        .unwrap();
    let answer = common::read(service.oneshot(request).await.unwrap()).await;
    assert_eq!(answer.status, 200);
    if answer.info.is_some() {
        assert_eq!(answer.only()["channel"], "/meta/handshake", "{uri}");
        ToBayeux
    } else {
        assert_eq!(answer.body, format!("{method} {uri}"));
        Inside
    }
}

async fn posts(paths: impl Into<Paths>, uris: &[(&str, Went)]) {
    let paths = paths.into();
    for (uri, expected) in uris {
        assert_eq!(went(&paths, Method::POST, uri).await, *expected, "{uri} with {paths:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_path_and_everything_below_it_is_ours() {
    for base in ["/cometd", "/cometd/"] {
        posts(
            base,
            &[
                ("/cometd", ToBayeux),
                ("/cometd/", ToBayeux),
                ("/cometd/handshake", ToBayeux),
                ("/cometd/connect", ToBayeux),
                ("/cometd/disconnect/", ToBayeux),
                ("/cometd/a/b/c", ToBayeux),
                ("/cometd?jsonp=x", ToBayeux),
                ("/cometd/?x", ToBayeux),
                ("http://example.org/cometd", ToBayeux),
            ],
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn neighbours_of_a_base_path_go_inside() {
    posts(
        "/cometd",
        &[
            ("/cometd-admin", Inside),
            ("/cometd-admin/handshake", Inside),
            ("/cometdx", Inside),
            ("/cometd.html", Inside),
            ("/comet", Inside),
            ("/", Inside),
            ("/a/cometd", Inside),
            ("/Cometd", Inside),
            ("//cometd", Inside),
            ("/?/cometd", Inside),
            ("/cometd%2Fx", Inside),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_base_path_may_have_several_segments() {
    posts(
        String::from("/api/v1/cometd"),
        &[
            ("/api/v1/cometd/connect", ToBayeux),
            ("/api/v1", Inside),
            ("/api/v1/cometd2", Inside),
            ("/cometd", Inside),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_root_takes_every_path() {
    for base in ["", "/"] {
        posts(base, &[("/", ToBayeux), ("/handshake", ToBayeux), ("/a/b", ToBayeux)]).await;
        assert_eq!(went(&Paths::base(base), Method::GET, "/").await, Inside);
    }
}

#[tokio::test(start_paused = true)]
async fn every_method_but_post_goes_inside() {
    let methods = [
        Method::GET,
        Method::OPTIONS,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::PATCH,
        Method::CONNECT,
        Method::TRACE,
        Method::from_bytes(b"POSTER").unwrap(),
    ];
    for method in methods {
        for uri in ["/cometd", "/cometd/connect"] {
            assert_eq!(
                went(&Paths::base("/cometd"), method.clone(), uri).await,
                Inside,
                "{method} {uri}"
            );
        }
        assert_eq!(
            went(&Paths::endpoints().into(), method.clone(), "/connect").await,
            Inside
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_authority_form_or_asterisk_is_no_path_of_ours() {
    assert_eq!(went(&Paths::base("/cometd"), Method::POST, "*").await, Inside);
    assert_eq!(went(&Paths::base("/cometd"), Method::POST, "cometd:80").await, Inside);
}

#[tokio::test(start_paused = true)]
async fn four_endpoints_have_base_paths_of_their_own() {
    let paths = Paths::endpoints()
        .handshake("/node/0")
        .subscribe("/node/1")
        .connect("/node/2/")
        .disconnect("/node/3");
    posts(
        paths,
        &[
            ("/node/0/handshake", ToBayeux),
            ("/node/1", ToBayeux),
            ("/node/1/", ToBayeux),
            ("/node/1/subscribe", ToBayeux),
            ("/node/1/unsubscribe", ToBayeux),
            ("/node/1/publish", ToBayeux),
            ("/node/2/connect", ToBayeux),
            ("/node/2/connect/", ToBayeux),
            ("/node/3/disconnect", ToBayeux),
            ("/node/0", Inside),
            ("/node/0/connect", Inside),
            ("/node/1/connect", Inside),
            ("/node/1/x", Inside),
            ("/node/1x", Inside),
            ("/node/2", Inside),
            ("/node/2/connect/x", Inside),
            ("/node/2/connectx", Inside),
            ("/node/3", Inside),
            ("/node", Inside),
            ("/", Inside),
            ("/handshake", Inside),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn four_endpoints_are_at_the_root_unless_told_otherwise() {
    posts(
        Paths::endpoints(),
        &[
            ("/handshake", ToBayeux),
            ("/connect", ToBayeux),
            ("/disconnect", ToBayeux),
            ("/subscribe", ToBayeux),
            ("/", ToBayeux),
            ("/other", Inside),
            ("/handshake/x", Inside),
        ],
    )
    .await;
}

/// The path decides whether a request is ours, the messages decide what it does.
#[tokio::test(start_paused = true)]
async fn a_session_is_served_on_all_paths_of_its_server() {
    let server = BayeuxServer::new();
    let paths: Paths = Paths::endpoints()
        .handshake("/h")
        .connect("/c")
        .subscribe("/s")
        .disconnect("/d")
        .into();
    let send = async |uri: &str, body: serde_json::Value| {
        let request = Request::post(uri)
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let service = BayeuxService::new(paths.clone(), server.clone());
        common::read(service.oneshot(request).await.unwrap()).await.only()
    };
    let reply = send(
        "/h/handshake",
        json!([{ "channel": "/meta/handshake", "version": "1.0" }]),
    )
    .await;
    let id = reply["clientId"].clone();
    for (uri, message) in [
        ("/c/connect", json!({ "channel": "/meta/connect", "clientId": id })),
        (
            "/s",
            json!({ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }),
        ),
        // Clients that know one URL only send everything there.
        ("/h/handshake", json!({ "channel": "/a", "clientId": id, "data": 1 })),
        ("/s/publish", json!({ "channel": "/meta/connect", "clientId": id })),
        (
            "/d/disconnect",
            json!({ "channel": "/meta/disconnect", "clientId": id }),
        ),
    ] {
        let channel = message["channel"].clone();
        let request = Request::post(uri)
            .body(Full::new(Bytes::from(json!([message]).to_string())))
            .unwrap();
        let service = BayeuxService::new(paths.clone(), server.clone());
        let answer = common::read(service.oneshot(request).await.unwrap()).await;
        let reply = answer.messages().pop().unwrap();
        assert_eq!(
            (&reply["channel"], &reply["successful"]),
            (&channel, &json!(true)),
            "{uri}: {reply}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn paths_serve_several_layers_one_server() {
    let server = BayeuxServer::new();
    let inner = BayeuxService::new("/old", server.clone());
    let both = BayeuxService::wrap("/new", server.clone(), inner);
    for uri in ["/old", "/new/x"] {
        let request = Request::post(uri)
            .body(Full::new(Bytes::from_static(br#"[{"channel":"/meta/handshake"}]"#)))
            .unwrap();
        let answer = common::read(both.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.only()["successful"], true);
    }
    assert_eq!(server.session_count(), 2);
}
