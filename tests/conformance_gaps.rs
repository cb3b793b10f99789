//! Small claims of `docs/conformance.md` that no other test makes.

mod common;

use common::{BASE, Client, post, read, send};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_bayeux::{BayeuxLayer, BayeuxServer, EmptyBody};
use tower_http::cors::CorsLayer;

const COOKIE: &str = "BAYEUX_BROWSER=00000000000000000000000000000000000000ff";

/// A browser whose connects are never held, with its first connect made.
async fn crowded() -> Client {
    let server = BayeuxServer::builder().max_held_per_browser(0).build();
    let mut handshake = post(json!([{ "channel": "/meta/handshake" }]).to_string());
    handshake
        .headers_mut()
        .insert(header::COOKIE, HeaderValue::from_static(COOKIE));
    let reply = send(&server, handshake).await.only();
    let client = Client {
        server,
        id: reply["clientId"].as_str().unwrap().to_owned(),
        cookie: Some(COOKIE.to_owned()),
    };
    client.connect().await;
    client.subscribe("/a").await;
    client
}

fn tells_of_others(reply: &Value) -> bool {
    reply["advice"].get("multiple-clients").is_some()
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_would_not_be_held_is_told_of_no_other_tabs() {
    let client = crowded().await;
    assert!(tells_of_others(&client.connect().await.only()));
    assert!(!tells_of_others(&client.poll().await.only()), "timeout 0");
    let batch = json!([{ "channel": "/meta/connect" }, { "channel": "/b", "data": 1 }]);
    client.send(batch).await;
    client.server.publish("/a", &1).unwrap();
    let answer = client.connect().await;
    assert_eq!(answer.events().len(), 1);
    assert!(!tells_of_others(&answer.connect_reply()), "a message was waiting");
}

#[tokio::test(start_paused = true)]
async fn answers_to_spoilt_requests_have_the_headers_of_cors_too() {
    let origin = HeaderValue::from_static("https://example.org");
    let app = service_fn(|_| async { Ok::<_, std::convert::Infallible>(Response::new(EmptyBody)) });
    let service = ServiceBuilder::new()
        .layer(CorsLayer::new().allow_origin(origin.clone()).allow_credentials(true))
        .layer(BayeuxLayer::new(BASE, BayeuxServer::new()))
        .service(app);
    for (body, status) in [
        ("no bayeux".to_owned(), StatusCode::BAD_REQUEST),
        (" ".repeat(2 * 1024 * 1024), StatusCode::PAYLOAD_TOO_LARGE),
        (json!([{ "channel": "/meta/connect" }]).to_string(), StatusCode::OK),
    ] {
        let mut request = post(body);
        request.headers_mut().insert(header::ORIGIN, origin.clone());
        let answer = read(service.clone().oneshot(request).await.unwrap()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], origin);
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }
}
