//! Whose pages may use the server.

mod common;

use bytes::Bytes;
use common::{BASE, post, send};
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use serde_json::json;
use tower::ServiceExt;
use tower_bayeux::{BayeuxServer, BayeuxService, Origins, Reason, Transports};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn server(origins: Origins) -> BayeuxServer {
    BayeuxServer::builder()
        .transports(Transports::all())
        .origins(origins)
        .build()
}

/// A handshake with these headers, to `chat.example:8080`.
async fn status(server: &BayeuxServer, headers: &[(HeaderName, &str)]) -> StatusCode {
    let request = post(json!([{ "channel": "/meta/handshake" }]).to_string());
    status_of(server, request, headers).await
}

/// The same by JSONP.
async fn script(server: &BayeuxServer, headers: &[(HeaderName, &str)]) -> StatusCode {
    let uri = format!("{BASE}?jsonp=f&message=%5B%7B%22channel%22:%22/meta/handshake%22%7D%5D");
    let request = Request::get(uri).body(Full::default()).unwrap();
    status_of(server, request, headers).await
}

async fn status_of(
    server: &BayeuxServer,
    mut request: Request<Full<Bytes>>,
    headers: &[(HeaderName, &str)],
) -> StatusCode {
    request
        .headers_mut()
        .insert(header::HOST, HeaderValue::from_static("chat.example:8080"));
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    send(server, request).await.status
}

#[tokio::test(start_paused = true)]
async fn by_default_any_page_may() {
    let server = BayeuxServer::new();
    assert_eq!(
        status(&server, &[(header::ORIGIN, "https://evil.example")]).await,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn own_pages_are_told_by_the_host_with_its_port_unless_they_are_listed() {
    let page = (header::ORIGIN, "http://chat.example:8080");
    let behind_a_proxy = [page.clone(), (header::HOST, "chat.example")];
    let own = server(Origins::own());
    assert_eq!(status(&own, &[page]).await, StatusCode::OK);
    assert_eq!(status(&own, &behind_a_proxy).await, StatusCode::FORBIDDEN);
    let listed = server(Origins::own().and("http://chat.example:8080"));
    assert_eq!(status(&listed, &behind_a_proxy).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn pages_of_the_host_and_those_that_are_listed_may_and_no_others() {
    let server = server(Origins::own().and("https://friend.example"));
    for origin in [
        "http://chat.example:8080",
        "https://CHAT.example:8080",
        "https://friend.example",
    ] {
        assert_eq!(
            status(&server, &[(header::ORIGIN, origin)]).await,
            StatusCode::OK,
            "{origin}"
        );
    }
    let others = [
        "https://evil.example",
        "http://chat.example",
        "http://chat.example:8081",
        "http://friend.example",
        "https://friend.example.evil.example",
        "https://evil.example/chat.example:8080",
        "null",
        "",
    ];
    for origin in others {
        assert_eq!(
            status(&server, &[(header::ORIGIN, origin)]).await,
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    assert_eq!(server.stats().limited.count(Reason::OriginDenied), others.len() as u64);
    assert_eq!(server.session_count(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_own_port_of_a_scheme_need_not_be_said() {
    let server = server(Origins::own());
    for (host, origin, expected) in [
        ("chat.example", "https://chat.example", StatusCode::OK),
        ("chat.example:443", "https://chat.example", StatusCode::OK),
        ("chat.example:80", "http://chat.example", StatusCode::OK),
        ("chat.example:80", "https://chat.example", StatusCode::FORBIDDEN),
    ] {
        let headers = [(header::HOST, host), (header::ORIGIN, origin)];
        assert_eq!(status(&server, &headers).await, expected, "{host} {origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_no_pages_may() {
    let server = server(Origins::own());
    assert_eq!(status(&server, &[]).await, StatusCode::OK);
    assert_eq!(status(&server, &[(SEC_FETCH_SITE, "none")]).await, StatusCode::OK);
    assert_eq!(
        status(&server, &[(SEC_FETCH_SITE, "same-origin")]).await,
        StatusCode::OK
    );
}

#[tokio::test(start_paused = true)]
async fn a_function_may_say_yes_to_others() {
    let server = server(
        Origins::own().and_if(|request, origin| request.uri.path() == BASE && origin.ends_with(".friend.example")),
    );
    let of = async |origin| status(&server, &[(header::ORIGIN, origin)]).await;
    assert_eq!(of("https://a.friend.example").await, StatusCode::OK);
    assert_eq!(of("https://a.evil.example").await, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_says_no() {
    let server = server(Origins::own().and_if(|_, _| panic!("in a check of origins")));
    for _ in 0..2 {
        let stranger = [(header::ORIGIN, "https://a.friend.example")];
        assert_eq!(status(&server, &stranger).await, StatusCode::FORBIDDEN);
        assert_eq!(status(&server, &[]).await, StatusCode::OK);
    }
}

/// Browsers send no `Origin` with a script, and CORS does not apply to it.
#[tokio::test(start_paused = true)]
async fn a_script_of_another_site_is_told_by_what_browsers_say_of_it() {
    let server = server(Origins::own().and("https://friend.example"));
    for (site, referer, expected) in [
        ("same-origin", None, StatusCode::OK),
        ("cross-site", None, StatusCode::FORBIDDEN),
        ("cross-site", Some("https://evil.example/"), StatusCode::FORBIDDEN),
        ("cross-site", Some("https://friend.example/page?x=1"), StatusCode::OK),
    ] {
        let referer = referer.map(|referer| (header::REFERER, referer));
        let headers: Vec<_> = [(SEC_FETCH_SITE, site)].into_iter().chain(referer).collect();
        assert_eq!(script(&server, &headers).await, expected, "{headers:?}");
    }
}

/// Browsers send no `Sec-Fetch-Site` over plain HTTP, older ones never do, and a page may keep `Referer` to itself.
#[tokio::test(start_paused = true)]
async fn a_script_of_which_browsers_say_less_is_told_by_its_referer_and_refused_without_one() {
    let server = server(Origins::own().and("http://friend.example").and_if(|_, _| true));
    assert_eq!(
        script(&server, &[]).await,
        StatusCode::FORBIDDEN,
        "no function is asked"
    );
    let server = self::server(Origins::own().and("http://friend.example"));
    for (referer, expected) in [
        ("http://chat.example:8080/page", StatusCode::OK),
        ("http://friend.example/", StatusCode::OK),
        ("http://evil.example/", StatusCode::FORBIDDEN),
        ("http://evil.example/?http://chat.example:8080/", StatusCode::FORBIDDEN),
        ("http://chat.example:8080@evil.example/", StatusCode::FORBIDDEN),
        ("about:blank", StatusCode::FORBIDDEN),
        ("/page", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
    ] {
        let headers = [(header::REFERER, referer)];
        assert_eq!(script(&server, &headers).await, expected, "{referer}");
        assert_eq!(status(&server, &headers).await, expected, "{referer}");
    }
    assert_eq!(script(&server, &[]).await, StatusCode::FORBIDDEN);
    assert_eq!(
        status(&server, &[]).await,
        StatusCode::OK,
        "a program that is no browser"
    );
}

#[tokio::test(start_paused = true)]
async fn where_any_page_may_a_script_need_not_say_whose_it_is() {
    let server = BayeuxServer::builder().transports(Transports::all()).build();
    assert_eq!(script(&server, &[]).await, StatusCode::OK);
    let stranger = [(header::REFERER, "http://evil.example/")];
    assert_eq!(script(&server, &stranger).await, StatusCode::OK);
}

/// A page can ask for it without an `Origin`, as for a script; it is not shown the answer, but the messages would be gone.
#[tokio::test(start_paused = true)]
async fn an_event_stream_is_told_by_its_referer_and_refused_without_one() {
    let server = server(Origins::own());
    let client = common::Client::handshake(&server).await;
    let stream = async |headers: &[(HeaderName, &str)]| {
        let mut request = Request::get(format!("{BASE}/{}", client.id)).header(header::HOST, "chat.example:8080");
        request = request.header(header::ACCEPT, "text/event-stream");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let service = BayeuxService::new(BASE, server.clone());
        let answer = service.oneshot(request.body(Full::<Bytes>::default()).unwrap()).await;
        answer.unwrap().status()
    };
    assert_eq!(stream(&[]).await, StatusCode::FORBIDDEN);
    let stranger = [(header::REFERER, "http://evil.example/")];
    assert_eq!(stream(&stranger).await, StatusCode::FORBIDDEN);
    let own = [(header::REFERER, "http://chat.example:8080/page")];
    assert_eq!(stream(&own).await, StatusCode::OK);
    assert_eq!(stream(&[(SEC_FETCH_SITE, "same-origin")]).await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn event_streams_and_sockets_are_refused_likewise() {
    let server = server(Origins::own());
    let client = common::Client::handshake(&server).await;
    let stream = Request::get(format!("{BASE}/{}", client.id)).header(header::ACCEPT, "text/event-stream");
    let socket = Request::get(BASE)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
    // Without the feature it is no request of ours.
    let requests = [Some(stream), cfg!(feature = "websocket").then_some(socket)];
    for request in requests.into_iter().flatten() {
        let request = request.header(header::ORIGIN, "https://evil.example");
        let answer = send(&server, request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.only()["error"], "403::origin_denied");
    }
}
