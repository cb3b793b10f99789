//! Two users who are logged in, one of whom knows the `clientId` of the other's session.

mod common;

use common::{BASE, Client, post, send, start};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxServer, BrowserBinding, MutableMessage, PolicyRequest, SecurityPolicy, Transports, Verdict,
    extension::{Extension, Incoming, IncomingContext},
};

/// As a layer outside puts it into requests.
#[derive(Clone, PartialEq)]
struct User(&'static str);

struct Users;

impl SecurityPolicy for Users {
    async fn can_handshake(&self, request: PolicyRequest<'_>) -> Verdict {
        match request.request().extensions.get::<User>() {
            Some(user) => Verdict::grant().with_attribute(user.clone()),
            None => Verdict::deny(),
        }
    }
}

struct OwnSessions;

impl Extension for OwnSessions {
    async fn incoming(&self, _: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        let Some(session) = context.session() else {
            return Incoming::Pass;
        };
        let user = context.request().extensions.get::<User>();
        if user.is_some() && session.attribute::<User>().as_deref() == user {
            return Incoming::Pass;
        }
        Incoming::error("402::session_unknown")
    }
}

fn server(binding: BrowserBinding) -> BayeuxServer {
    BayeuxServer::builder()
        .transports(Transports::all())
        .browser_binding(binding)
        .security_policy(Users)
        .build()
}

async fn send_as(user: &'static str, server: &BayeuxServer, messages: Value, cookie: Option<&str>) -> common::Answer {
    let mut request = post(messages.to_string());
    request.extensions_mut().insert(User(user));
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
    }
    send(server, request).await
}

/// Ada's session, which hears `/secret` and has a message waiting.
async fn ada(server: &BayeuxServer) -> Client {
    let hello = json!([{ "channel": "/meta/handshake", "version": "1.0" }]);
    let answer = send_as("Ada", server, hello, None).await;
    let ada = Client {
        server: server.clone(),
        id: answer.only()["clientId"].as_str().unwrap().to_owned(),
        cookie: answer.new_cookie(),
    };
    for message in [
        json!({ "channel": "/meta/subscribe", "clientId": ada.id, "subscription": "/secret" }),
        json!({ "channel": "/meta/connect", "clientId": ada.id }),
    ] {
        let reply = send_as("Ada", server, json!([message]), ada.cookie.as_deref()).await;
        assert_eq!(reply.only()["successful"], true);
    }
    server.publish("/secret", &"for Ada alone").unwrap();
    ada
}

fn connect(ada: &Client) -> Value {
    json!([{ "channel": "/meta/connect", "clientId": ada.id }])
}

fn stream_of(ada: &Client) -> Request<Full<bytes::Bytes>> {
    let mut request = Request::get(format!("{BASE}/{}", ada.id))
        .header(header::ACCEPT, "text/event-stream")
        .body(Full::default())
        .unwrap();
    request.extensions_mut().insert(User("Bob"));
    request
}

#[tokio::test(start_paused = true)]
async fn by_itself_a_session_serves_another_user_who_knows_its_id() {
    let server = server(BrowserBinding::Off);
    let ada = ada(&server).await;
    let answer = send_as("Bob", &server, connect(&ada), None).await;
    assert_eq!(answer.events(), [("/secret".to_owned(), json!("for Ada alone"))]);
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_compares_users_refuses_every_message_of_the_other() {
    let server = server(BrowserBinding::Off);
    server.add_extension(OwnSessions);
    let ada = ada(&server).await;
    for message in [
        json!({ "channel": "/meta/connect", "clientId": ada.id }),
        json!({ "channel": "/meta/subscribe", "clientId": ada.id, "subscription": "/more" }),
        json!({ "channel": "/meta/unsubscribe", "clientId": ada.id, "subscription": "/secret" }),
        json!({ "channel": "/secret", "clientId": ada.id, "data": "forged" }),
        json!({ "channel": "/service/x", "clientId": ada.id }),
        json!({ "channel": "/meta/disconnect", "clientId": ada.id }),
    ] {
        let reply = send_as("Bob", &server, json!([message]), None).await.only();
        assert_eq!(reply["error"], "402::session_unknown", "{message}");
        assert_eq!(reply["successful"], false, "{message}");
    }
    let answer = send_as("Ada", &server, connect(&ada), None).await;
    assert_eq!(answer.events(), [("/secret".to_owned(), json!("for Ada alone"))]);
}

#[tokio::test(start_paused = true)]
async fn nor_is_the_stream_of_the_session_opened_for_the_other() {
    let server = server(BrowserBinding::Off);
    server.add_extension(OwnSessions);
    let ada = ada(&server).await;
    assert_eq!(send(&server, stream_of(&ada)).await.status, StatusCode::NOT_FOUND);
    let mut own = stream_of(&ada);
    own.extensions_mut().insert(User("Ada"));
    let mut stream = start(&server, own).await;
    assert_eq!(stream.status(), StatusCode::OK);
    let opening = stream.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(opening.into_data().unwrap(), "retry: 5000\n\n");
    let event = stream.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&event).contains("for Ada alone"));
}

#[tokio::test(start_paused = true)]
async fn nor_does_the_other_get_what_waits_with_the_farewell() {
    let server = server(BrowserBinding::Off);
    server.add_extension(OwnSessions);
    let ada = ada(&server).await;
    ada.session().disconnect();
    let refused = send_as("Bob", &server, connect(&ada), None).await.only();
    assert_eq!(refused["error"], "402::session_unknown");
    let answer = send_as("Ada", &server, connect(&ada), None).await;
    assert_eq!(answer.events()[0], ("/secret".to_owned(), json!("for Ada alone")));
}

#[cfg(feature = "websocket")]
#[tokio::test(start_paused = true)]
async fn a_socket_gets_nothing_of_a_session_all_of_whose_messages_on_it_are_refused() {
    let server = server(BrowserBinding::Off);
    server.add_extension(OwnSessions);
    let ada = ada(&server).await;
    let mut socket = socket::Socket::open(&server).await;
    for channel in ["/x", "/meta/connect", "/meta/unsubscribe"] {
        let message = json!({ "channel": channel, "clientId": ada.id, "subscription": "/x" });
        assert_eq!(socket.ask(message).await["error"], "402::session_unknown");
    }
    assert!(socket.is_silent().await);
    let answer = send_as("Ada", &server, connect(&ada), None).await;
    assert_eq!(answer.events(), [("/secret".to_owned(), json!("for Ada alone"))]);
}

#[cfg(feature = "websocket")]
#[tokio::test(start_paused = true)]
async fn nor_of_one_whose_publish_on_it_the_policy_denies() {
    struct Silence;
    impl SecurityPolicy for Silence {
        async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
            Verdict::deny()
        }
    }
    let server = BayeuxServer::builder()
        .browser_binding(BrowserBinding::Off)
        .security_policy(Silence)
        .build();
    let ada = Client::subscribed(&server, "/secret").await;
    server.publish("/secret", &"for Ada alone").unwrap();
    let mut socket = socket::Socket::open(&server).await;
    let reply = socket.ask(json!({ "channel": "/x", "clientId": ada.id })).await;
    assert_eq!(reply["successful"], false);
    assert!(socket.is_silent().await);
    // Once something is granted, it is the session's.
    let unsubscribe = json!({ "channel": "/meta/unsubscribe", "clientId": ada.id, "subscription": "/x" });
    socket.send(unsubscribe).await;
    let first = socket.message().await;
    let second = socket.message().await;
    assert!(first["successful"] == true || second["successful"] == true);
    assert!(first["data"] == "for Ada alone" || second["data"] == "for Ada alone");
}

#[tokio::test(start_paused = true)]
async fn where_the_cookie_is_required_nothing_is_pushed_to_another_user_either() {
    let server = server(BrowserBinding::Required);
    server.add_extension(OwnSessions);
    let ada = ada(&server).await;
    assert_eq!(send(&server, stream_of(&ada)).await.status, StatusCode::NOT_FOUND);
    #[cfg(feature = "websocket")]
    {
        let mut socket = socket::Socket::open(&server).await;
        let reply = socket.ask(json!({ "channel": "/x", "clientId": ada.id })).await;
        assert_eq!(reply["error"], "402::session_unknown");
        assert!(socket.is_silent().await);
    }
    let answer = send_as("Ada", &server, connect(&ada), ada.cookie.as_deref()).await;
    assert_eq!(answer.events(), [("/secret".to_owned(), json!("for Ada alone"))]);
}

#[cfg(feature = "websocket")]
#[path = "common/socket.rs"]
mod socket;
