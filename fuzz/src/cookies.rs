//! Cookie headers.

use http::{HeaderValue, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_bayeux::BayeuxServer;

use crate::world::{ask, check_left_behind, in_paused_time, post, replace, send, server};

/// The `Cookie` headers of a request, one a line.
pub fn cookies(input: &[u8]) {
    in_paused_time(async {
        let server = server(false);
        let (reply, cookie) = ask(&server, json!({ "channel": "/meta/handshake" }), None).await;
        let cookie = cookie.expect("a cookie");
        let value = cookie.split('=').nth(1).expect("a value");
        let headers = replace(input, value);
        let id = &reply["clientId"];
        // From here on, the session is bound to its cookie.
        ask(
            &server,
            json!({ "channel": "/meta/connect", "clientId": id }),
            Some(&cookie),
        )
        .await;

        // Nobody gets at it who does not have the cookie.
        let publish = send_with(&server, &headers, &json!({ "channel": "/a", "clientId": id })).await;
        let has_it = String::from_utf8_lossy(&headers).to_lowercase().contains(value);
        assert!(has_it || publish["successful"] == false, "{publish}");

        // A handshake is never refused for its cookies.
        let handshake = send_with(&server, &headers, &json!({ "channel": "/meta/handshake" })).await;
        assert_eq!(handshake["successful"], true, "{handshake}");
        check_left_behind(&server).await;
    });
}

async fn send_with(server: &BayeuxServer, headers: &[u8], message: &Value) -> Value {
    let mut request: Request<Full<_>> = post(message.to_string());
    for line in headers.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            request.headers_mut().append(header::COOKIE, value);
        }
    }
    let answer = send(server, request).await;
    let mut messages = answer.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.remove(0)
}
