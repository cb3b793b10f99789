//! Policies and extensions of the application on a socket.
#![cfg(feature = "websocket")]

mod common;
#[path = "common/socket.rs"]
mod socket;

use std::sync::{Arc, Mutex};

use common::Client;
use serde_json::json;
use socket::Socket;
use tower_bayeux::{
    BayeuxServer, MutableMessage, PolicyRequest, SecurityPolicy, Verdict,
    extension::{Extension, Fate, Incoming, IncomingContext, OutgoingContext},
};

/// Panics where a publish says so.
struct Touchy;

impl SecurityPolicy for Touchy {
    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        assert_ne!(request.channel(), "/panic", "on purpose");
        Verdict::grant()
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_closes_the_socket_with_1011_and_the_session_goes_on() {
    let server = BayeuxServer::builder().security_policy(Touchy).build();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let mut other = Socket::subscribed(&server, "/a").await;
    socket.hold("held").await;
    socket.send(json!({ "channel": "/panic", "data": 1 })).await;
    assert_eq!(socket.close_code().await, 1011);
    server.publish("/a", &1).unwrap();
    assert_eq!(other.message().await["data"], 1);
    let client = Client {
        server: server.clone(),
        id: socket.id,
        cookie: None,
    };
    assert_eq!(client.poll().await.events().len(), 1);
    let stats = server.stats();
    assert_eq!((stats.sessions, stats.held_connects), (2, 0));
}

/// Notes what it sees, and deletes what is called so.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl Noting {
    fn note(&self, direction: &str, message: &mut MutableMessage) {
        let channel = message.channel().unwrap_or_default();
        self.0.lock().unwrap().push(format!("{direction} {channel}"));
        message.set_field("seen", direction).unwrap();
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Extension for Noting {
    async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
        self.note("in", message);
        if message.channel().as_deref() == Some("/deleted") {
            return Incoming::Delete;
        }
        Incoming::Pass
    }

    fn outgoing(&self, message: &mut MutableMessage, _: OutgoingContext<'_>) -> Fate {
        self.note("out", message);
        if message.data::<String>().is_ok_and(|data| data == "deleted") {
            return Fate::Delete;
        }
        Fate::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn extensions_of_the_server_see_what_a_socket_sends_and_gets() {
    let server = BayeuxServer::new();
    let noting = Noting::default();
    server.add_extension(noting.clone());
    let mut socket = Socket::subscribed(&server, "/a").await;
    let expected = [
        "in /meta/handshake",
        "out /meta/handshake",
        "in /meta/connect",
        "out /meta/connect",
        "in /meta/subscribe",
        "out /meta/subscribe",
    ];
    assert_eq!(noting.taken(), expected);
    server.publish("/a", &1).unwrap();
    assert_eq!(socket.message().await["seen"], "out");
    let reply = socket.ask(json!({ "channel": "/deleted", "data": 1, "id": "d" })).await;
    assert_eq!(
        (&reply["error"], &reply["seen"]),
        (&json!("404::message_deleted"), &json!("out"))
    );
    assert_eq!(noting.taken(), ["out /a", "in /deleted", "out /deleted"]);
}

#[tokio::test(start_paused = true)]
async fn extensions_of_a_session_see_what_is_pushed_and_what_they_delete_leaves_no_empty_frame() {
    let server = BayeuxServer::new();
    let mut socket = Socket::subscribed(&server, "/a").await;
    let noting = Noting::default();
    socket.session().add_extension(noting.clone());
    server.publish("/a", "deleted").unwrap();
    server.publish("/a", "kept").unwrap();
    let message = socket.message().await;
    assert_eq!((&message["data"], &message["seen"]), (&json!("kept"), &json!("out")));
    assert_eq!(noting.taken(), ["out /a", "out /a"]);
    let stats = server.stats();
    assert_eq!((stats.queued_messages, stats.delivered_messages), (0, 1));
}
