//! Who may do what: a security policy, rules that hang on channels, and a backend that publishes without a session.
//!
//! What it shows:
//!
//! - A [`SecurityPolicy`] lets those in who bring a token in the `ext` of their handshake, tells them who they are in
//!   the `ext` of its reply, and tells others what is missing. It also has a word on what may be said in a chat.
//! - [`Grant`]s on channels: everybody may talk in `/chat/…`; on `/news/…` everybody may listen, and only the backend
//!   may publish, which a rule of its own sees to; everything else is closed.
//! - The backend POSTs each piece of news once, with no handshake, for which the server must be told to take such
//!   messages ([`unconnected_publish`](tower_bayeux::BayeuxBuilder::unconnected_publish)). It is known by its
//!   `Authorization` header.
//! - A client that did not get the reply to a message, and therefore sends it again, is not heard twice
//!   ([`duplicate_window`](tower_bayeux::BayeuxBuilder::duplicate_window)).
//!
//! ```text
//! cargo run --example policy
//! ```
//!
//! `PORT` is the port on 127.0.0.1 (default 8087; 0 picks a free one). The tokens are `ada-secret` and `bob-secret`,
//! and `backend-secret` for the backend. What to try:
//!
//! ```text
//! URL=http://127.0.0.1:8087/cometd
//! post() { curl -s "$URL" -H 'content-type: application/json' "$@"; echo; }
//! connect() { post -d '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]'; }
//!
//! post -d '[{"channel":"/meta/handshake","version":"1.0"}]' # 403, and what is missing
//! post -d '[{"channel":"/meta/handshake","version":"1.0","ext":{"token":"ada-secret"}}]'
//! ID=... # the clientId of that answer, which also says "ext":{"user":"Ada"}
//!
//! post -d '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":["/chat/tea","/news/*"]}]'
//! post -d '[{"channel":"/meta/subscribe","clientId":"'$ID'","subscription":"/**"}]'  # 403
//! post -d '[{"channel":"/elsewhere","clientId":"'$ID'","data":"hello"}]'             # 403
//! post -d '[{"channel":"/news/today","clientId":"'$ID'","data":"I know better"}]'    # 403
//! post -d '[{"channel":"/chat/tea","clientId":"'$ID'","id":"1","data":"HELLO"}]'     # 403: no shouting
//! post -d '[{"channel":"/chat/tea","clientId":"'$ID'","id":"2","data":"hello"}]'
//! post -d '[{"channel":"/chat/tea","clientId":"'$ID'","id":"2","data":"hello"}]'     # fine, but not heard again
//!
//! # The backend has no clientId. Without its token: 403.
//! post -d '[{"channel":"/news/today","data":"rain"}]'
//! post -H 'authorization: Bearer backend-secret' -d '[{"channel":"/news/today","data":"rain"}]'
//!
//! connect # "hello" once, and "rain"
//! ```

mod shutdown;

use std::{env, error::Error, net::Ipv4Addr};

use axum::{
    Router,
    http::{header::AUTHORIZATION, request::Parts},
    routing::get,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_bayeux::{
    Authorization, BayeuxLayer, BayeuxServer, Grant, Operation, PolicyRequest, SecurityPolicy, Verdict,
};

/// The demo's user table: token and name.
const USERS: [(&str, &str); 2] = [("ada-secret", "Ada"), ("bob-secret", "Bob")];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::builder()
        .security_policy(Members)
        .unconnected_publish(true)
        .duplicate_window(100)
        .build();

    // A channel without rules is free. This one is on all of them, so whatever no other rule grants is refused.
    bayeux.authorize("/**", Grant::NONE)?;
    bayeux.authorize("/chat/*", Grant::ALL)?;
    bayeux.authorize("/news/*", Grant::CREATE | Grant::SUBSCRIBE)?;
    bayeux.authorize("/news/*", |operation: Operation, request: &PolicyRequest<'_>| {
        if operation == Operation::Publish && is_backend(request.request()) {
            return Authorization::Grant;
        }
        Authorization::Ignore
    })?;

    let app = Router::new()
        .route("/", get(|| async { "Bayeux is spoken at /cometd\n" }))
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()));

    let port = env::var("PORT").map_or(Ok(8087), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/cometd", listener.local_addr()?);

    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown::signal().await;
            bayeux.shutdown();
        })
        .await?;
    Ok(())
}

/// The policy: members only, and no shouting. Asked before the rules on channels.
struct Members;

/// What members put into the `ext` of their handshake.
#[derive(Deserialize)]
struct Credentials {
    token: String,
}

impl SecurityPolicy for Members {
    /// A real one would look the token up in constant time, in a database or a signature; it may wait for that.
    async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
        let Ok(Credentials { token }) = request.ext() else {
            return Verdict::deny().with_ext("missing", "ext.token");
        };
        match USERS.iter().find(|(known, _)| *known == token) {
            Some((_, name)) => Verdict::grant().with_ext("user", name),
            None => Verdict::deny().with_ext("unknown", "ext.token"),
        }
    }

    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        // A message without a session: whoever sent it was never asked for a token.
        if request.session().is_none() && !is_backend(request.request()) {
            return Verdict::deny_because("no_token");
        }
        match request.data::<String>() {
            Ok(text) if is_shouted(&text) => Verdict::deny_because("no_shouting"),
            _ => Verdict::grant(),
        }
    }
}

/// Whether a request comes from the backend.
fn is_backend(request: &Parts) -> bool {
    request
        .headers
        .get(AUTHORIZATION)
        .is_some_and(|token| token == "Bearer backend-secret")
}

fn is_shouted(text: &str) -> bool {
    text.chars().any(char::is_uppercase) && !text.chars().any(char::is_lowercase)
}
