//! Who is it? Authentication in front of the Bayeux layer, and a session that knows its user and serves nobody else.
//!
//! What it shows:
//!
//! - An ordinary axum middleware checks `Authorization: Bearer <token>`, answers 401 or puts a `User` into the
//!   request's extensions. It stands *outside* the [`BayeuxLayer`], so no request reaches Bayeux without a user.
//! - A [`SecurityPolicy`] takes the `User` out of the request that makes a session, and keeps it as a session attribute.
//! - An [`Extension`] compares the `User` of each later request with that of the session: by itself, a session serves
//!   whoever knows its `clientId`, with anybody's token.
//! - A task reads [`BayeuxServer::events`] and greets each new session, alone, with
//!   [`deliver`](tower_bayeux::ServerSession::deliver).
//! - A `/service/whoami` channel: the client asks by publishing, and only that client gets the answer.
//! - `POST /logout` ends every session of the caller, from any of the caller's devices.
//!
//! ```text
//! cargo run --example auth
//! ```
//!
//! `PORT` is the port on 127.0.0.1 (default 8084; 0 picks a free one). The tokens are `ada-secret` and `bob-secret`.
//! What to try:
//!
//! ```text
//! URL=http://127.0.0.1:8084
//! post() { curl -s "$URL/$1" -H "authorization: Bearer ${TOKEN:-ada-secret}" -d "$2"; echo; }
//!
//! curl -si -X POST "$URL/cometd" -d '[]' # 401
//!
//! post cometd '[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["long-polling"]}]'
//! ID=... # the clientId of that answer
//!
//! post cometd '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' # the greeting
//! TOKEN=bob-secret post cometd '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' # 402
//! TOKEN=bob-secret post cometd '[{"channel":"/service/whoami","clientId":"'$ID'"}]' # 402
//! post cometd '[{"channel":"/service/whoami","clientId":"'$ID'"}]'
//! post cometd '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' # the answer
//! post logout ''
//! post cometd '[{"channel":"/meta/connect","clientId":"'$ID'","connectionType":"long-polling"}]' # go away: none
//! ```

mod shutdown;

use std::{env, error::Error, net::Ipv4Addr};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use serde::Serialize;
use tokio::net::TcpListener;
use tower_bayeux::{
    BayeuxLayer, BayeuxServer, Event, EventStream, MutableMessage, PolicyRequest, SecurityPolicy, Subscription,
    Transport, Transports, Verdict,
    extension::{Extension, Incoming, IncomingContext},
};

/// The demo's user table: token, name, role.
const USERS: [(&str, &str, &str); 2] = [("ada-secret", "Ada", "admin"), ("bob-secret", "Bob", "guest")];

/// The authenticated user, in the extensions of a request and in the attributes of a session.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct User {
    name: &'static str,
    role: &'static str,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::builder()
        // Browsers set no `Authorization` on a socket, so the layer outside would refuse every one.
        .transports(Transports::default().without(Transport::WebSocket))
        .security_policy(Users)
        .build();
    bayeux.add_extension(OwnSessions);

    tokio::spawn(greet(bayeux.events()));
    tokio::spawn(answer_whoami(bayeux.subscribe("/service/whoami")?));

    let app = Router::new()
        .route("/", get(home))
        .route("/logout", post(logout))
        .with_state(bayeux.clone())
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()))
        // The last layer is the outermost one: nothing gets past it without a user.
        .layer(middleware::from_fn(authenticate));

    let port = env::var("PORT").map_or(Ok(8084), |port| port.parse())?;
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

/// Lets requests with a known token pass, with their [`User`] attached.
///
/// A real one would look the token up in constant time, in a database or a signature.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let user = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .and_then(|token| USERS.iter().find(|(known, ..)| *known == token))
        .map(|&(_, name, role)| User { name, role })
        .ok_or(StatusCode::UNAUTHORIZED)?;
    request.extensions_mut().insert(user);
    Ok(next.run(request).await)
}

/// Gives every new session the user whose request makes it.
struct Users;

impl SecurityPolicy for Users {
    async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
        match request.request().extensions.get::<User>() {
            Some(user) => Verdict::grant().with_attribute(user.clone()),
            // Not possible while `authenticate` stands in front; if it ever does not, refuse.
            None => Verdict::deny(),
        }
    }
}

/// Refuses messages that name the session of another user. A policy would not do: it is not asked about connects, which
/// are what brings the session's messages.
struct OwnSessions;

impl Extension for OwnSessions {
    async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        let Some(session) = context.session() else {
            return Incoming::Pass;
        };
        let user = context.request().extensions.get::<User>();
        if user.is_some() && session.attribute::<User>().as_deref() == user {
            return Incoming::Pass;
        }
        // As if there were no such session.
        let mut reply = MutableMessage::default();
        let _ = reply.set_field("error", "402::session_unknown");
        if message.channel().as_deref() == Some("/meta/connect") {
            let advice = serde_json::json!({ "reconnect": "handshake", "interval": 2000 });
            let _ = reply.set_field("advice", &advice);
        }
        Incoming::Answer(reply)
    }
}

/// Greets every new session.
async fn greet(mut events: EventStream) {
    while let Some(event) = events.recv().await {
        match event {
            Event::SessionAdded { session, .. } => {
                let Some(user) = session.attribute::<User>() else {
                    continue;
                };
                println!("{} is here", user.name);
                if let Err(error) = session.deliver("/greeting", &format!("Welcome, {}!", user.name)) {
                    eprintln!("cannot greet {}: {error}", user.name);
                }
            }
            Event::SessionRemoved { session, reason, .. } => {
                if let Some(user) = session.attribute::<User>() {
                    println!("{} is gone: {reason:?}", user.name);
                }
            }
            _ => {}
        }
    }
}

/// Answers what clients publish to `/service/whoami`, each on its own session.
async fn answer_whoami(mut questions: Subscription) {
    while let Some(question) = questions.recv().await {
        let Some(session) = question.sender() else {
            continue;
        };
        // A session that ended meanwhile needs no answer.
        let _ = session.deliver("/service/whoami", &session.attribute::<User>().as_deref());
    }
}

/// `GET /`: the same user, in an ordinary handler.
async fn home(axum::Extension(user): axum::Extension<User>) -> String {
    format!("You are {}, {}.\n", user.name, user.role)
}

/// `POST /logout`: ends every session of the caller.
async fn logout(State(bayeux): State<BayeuxServer>, axum::Extension(user): axum::Extension<User>) -> String {
    let mut ended = 0;
    for session in bayeux.sessions() {
        if session.attribute::<User>().as_deref() == Some(&user) {
            session.disconnect();
            ended += 1;
        }
    }
    format!("{ended} session(s) ended\n")
}
