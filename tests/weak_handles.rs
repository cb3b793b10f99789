//! What a server owns reaches it by a weak handle, and does not keep it alive.

mod common;

use std::sync::{Arc, OnceLock, Weak};

use common::Client;
use serde_json::{Value, json};
use tower_bayeux::{
    BayeuxLayer, BayeuxServer, MutableMessage, Operation, PolicyRequest, SecurityPolicy, Verdict, WeakBayeuxServer,
    extension::{Extension, Fate, Incoming, IncomingContext},
    listener::MessageContext,
};

/// Has a listener tell the audit of all orders; what it returns ends with the listener.
fn audit(server: &BayeuxServer) -> Weak<()> {
    let weak = server.downgrade();
    let kept = Arc::new(());
    let ends = Arc::downgrade(&kept);
    let listener = move |_: &mut MutableMessage, context: &MessageContext<'_>| {
        let _ = &kept;
        let server = weak.upgrade().expect("it is publishing");
        server.publish("/audit", context.channel()).unwrap();
        Fate::Pass
    };
    server.on_message("/orders/*", listener).unwrap();
    ends
}

#[tokio::test(start_paused = true)]
async fn a_listener_publishes_by_a_weak_handle_and_the_server_ends_all_the_same() {
    let server = BayeuxServer::new();
    let listener = audit(&server);
    let mut audit = server.subscribe("/audit").unwrap();
    let client = Client::connected(&server).await;
    client.publish("/orders/1", json!("tea")).await;
    server.publish("/orders/2", "coffee").unwrap();
    for channel in ["/orders/1", "/orders/2"] {
        assert_eq!(audit.recv().await.unwrap().data::<String>().unwrap(), channel);
    }
    let weak = server.downgrade();
    assert_eq!(weak.upgrade().unwrap().session_count(), 1);
    drop(client);
    assert!(listener.upgrade().is_some());
    drop(server);
    assert!(listener.upgrade().is_none(), "the server lives on");
    assert!(weak.upgrade().is_none());
    assert!(audit.recv().await.is_none());
}

#[test]
fn layers_keep_a_server_alive_and_weak_handles_do_not() {
    let server = BayeuxServer::new();
    let weak = server.downgrade().clone();
    let layer = BayeuxLayer::new("/cometd", server);
    let kept = weak.upgrade().unwrap();
    drop(layer);
    assert!(weak.upgrade().is_some());
    drop(kept);
    assert!(weak.upgrade().is_none());
}

/// Says on a channel that it was asked.
struct Tells(Arc<OnceLock<WeakBayeuxServer>>);

impl Tells {
    fn tell(&self, what: &str) {
        let server = self.0.get().and_then(WeakBayeuxServer::upgrade).unwrap();
        server.publish("/told", what).unwrap();
    }
}

impl SecurityPolicy for Tells {
    async fn can_publish(&self, _: PolicyRequest<'_>) -> Verdict {
        self.tell("policy");
        Verdict::grant()
    }
}

impl Extension for Tells {
    async fn incoming(&self, message: &mut MutableMessage, _: IncomingContext<'_>) -> Incoming {
        if !message.is_meta() {
            self.tell("extension");
        }
        Incoming::Pass
    }
}

#[tokio::test(start_paused = true)]
async fn policies_authorizers_and_extensions_reach_the_server_and_it_ends_all_the_same() {
    let place = Arc::new(OnceLock::new());
    let server = BayeuxServer::builder()
        .security_policy(Tells(Arc::clone(&place)))
        .build();
    place.set(server.downgrade()).unwrap();
    server.add_extension(Tells(Arc::clone(&place)));
    let weak = server.downgrade();
    let authorizer = move |_: Operation, _: &PolicyRequest<'_>| {
        assert!(weak.upgrade().is_some());
        tower_bayeux::Authorization::Grant
    };
    server.authorize("/**", authorizer).unwrap();
    let mut told = server.subscribe("/told").unwrap();
    let client = Client::connected(&server).await;
    assert_eq!(client.publish("/a", json!(1)).await["successful"], true);
    for who in ["extension", "policy"] {
        assert_eq!(told.recv().await.unwrap().data::<Value>().unwrap(), who);
    }
    drop((client, server));
    assert!(place.get().unwrap().upgrade().is_none());
}
