//! Whatever user code does in whichever hook, nobody else notices: every hook, every deed.

mod common;

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use common::{Client, finishes};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tower_bayeux::{
    Authorization, BayeuxServer, Event, MutableMessage, Operation, PolicyRequest, SecurityPolicy, ServerSession,
    Verdict,
    call::{Answer, Call, CallError, FromCall, IntoAnswer},
    extension::{Extension, Fate, Incoming, IncomingContext, OutgoingContext},
    listener::{DataFilter, MessageContext},
};

/// What user code does when its hook is called for a message on a bad channel.
type Deed = Arc<dyn Fn(&BayeuxServer, Option<&ServerSession>) + Send + Sync>;

/// A deed on its way into a hook. The server comes later: some hooks are set before there is one.
#[derive(Clone)]
struct Trap {
    deed: Deed,
    server: Arc<Mutex<Option<BayeuxServer>>>,
}

impl Trap {
    /// The deed, if this concerns a bad channel; not again from within it.
    fn spring(&self, channel: &str, session: Option<&ServerSession>) {
        if !channel.contains("bad") {
            return;
        }
        let server = self.server.lock().unwrap().take();
        if let Some(server) = server {
            (self.deed)(&server, session);
        }
    }

    fn arm(&self, server: &BayeuxServer) {
        *self.server.lock().unwrap() = Some(server.clone());
    }

    fn disarm(&self) {
        self.server.lock().unwrap().take();
    }
}

impl SecurityPolicy for Trap {
    async fn can_create(&self, request: PolicyRequest<'_>) -> Verdict {
        self.spring(request.channel(), request.session());
        Verdict::grant()
    }

    async fn can_publish(&self, request: PolicyRequest<'_>) -> Verdict {
        self.spring(request.channel(), request.session());
        Verdict::grant()
    }
}

/// On the way in.
struct In(Trap);

impl Extension for In {
    async fn incoming(&self, message: &mut MutableMessage, context: IncomingContext<'_>) -> Incoming {
        self.0.spring(&message.channel().unwrap_or_default(), context.session());
        Incoming::Pass
    }
}

/// On the way out.
struct Out(Trap);

impl Extension for Out {
    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        self.0.spring(
            &message.channel().unwrap_or_default(),
            context.session().or(context.sender()),
        );
        Fate::Pass
    }
}

thread_local! {
    /// For hooks that are types.
    static TRAP: Mutex<Option<Trap>> = const { Mutex::new(None) };
}

fn spring_here(channel: &str, session: Option<&ServerSession>) {
    let trap = TRAP.with(|trap| trap.lock().unwrap().clone());
    if let Some(trap) = trap {
        trap.spring(channel, session);
    }
}

struct Argument;

impl FromCall for Argument {
    async fn from_call(call: &Call<'_>) -> Result<Self, CallError> {
        spring_here(call.channel(), call.session());
        Ok(Self)
    }
}

struct Returned;

impl IntoAnswer for Returned {
    fn into_answer(self) -> Answer {
        spring_here("/bad", None);
        Answer::success(&Written)
    }
}

struct Written;

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        spring_here("/bad", None);
        serializer.serialize_unit()
    }
}

/// Puts a trap into one hook of a server.
type Hook = (&'static str, fn(&Trap) -> BayeuxServer);

const HOOKS: &[Hook] = &[
    ("policy", |trap| {
        BayeuxServer::builder().security_policy(trap.clone()).build()
    }),
    ("authorizer", |trap| {
        let trap = trap.clone();
        let rule = move |_: Operation, request: &PolicyRequest<'_>| {
            trap.spring(request.channel(), request.session());
            Authorization::Grant
        };
        with(|server| {
            let _ = server.authorize("/**", rule).unwrap();
        })
    }),
    ("extension, in", |trap| {
        with(|server| server.add_extension(In(trap.clone())))
    }),
    ("extension, out", |trap| {
        with(|server| server.add_extension(Out(trap.clone())))
    }),
    ("extension of a session", |trap| {
        with(|server| server.add_extension(ForEach(trap.clone())))
    }),
    ("listener", |trap| {
        let trap = trap.clone();
        let listener = move |_: &mut MutableMessage, context: &MessageContext<'_>| {
            trap.spring(context.channel(), context.sender());
            Fate::Pass
        };
        with(|server| server.on_message("/**", listener).unwrap())
    }),
    ("filter", |trap| {
        let trap = trap.clone();
        let filter = DataFilter::new(move |text: &str| {
            trap.spring(text, None);
            Some(Cow::Borrowed(text))
        });
        with(|server| server.on_message("/**", filter).unwrap())
    }),
    ("service", |trap| {
        let trap = trap.clone();
        let service = move |session: ServerSession| {
            let trap = trap.clone();
            async move {
                tokio::task::yield_now().await;
                trap.spring("/bad", Some(&session));
            }
        };
        with(|server| server.service("/bad/*", service).unwrap())
    }),
    ("argument", |_| {
        with(|server| server.service("/bad/*", |_: Argument| async {}).unwrap())
    }),
    ("answer", |_| {
        with(|server| server.service("/bad/*", || async { Returned }).unwrap())
    }),
];

/// Gives each session an extension of its own.
struct ForEach(Trap);

impl Extension for ForEach {
    fn outgoing(&self, message: &mut MutableMessage, context: OutgoingContext<'_>) -> Fate {
        if let Some(session) = context.session()
            && message.channel().as_deref() == Some("/meta/handshake")
        {
            session.add_extension(Out(self.0.clone()));
        }
        Fate::Pass
    }
}

fn with(set: impl FnOnce(&BayeuxServer)) -> BayeuxServer {
    let server = BayeuxServer::new();
    set(&server);
    server
}

fn deeds() -> Vec<(&'static str, Deed)> {
    vec![
        ("panics", Arc::new(|_, _| panic!("on purpose"))),
        (
            "disconnects",
            Arc::new(|server, session| match session {
                Some(session) => session.disconnect(),
                None => server.publish("/left/alone", &1).unwrap(),
            }),
        ),
        (
            "publishes on the same channel",
            Arc::new(|server, _| server.publish("/bad/a", "bad again").unwrap()),
        ),
        (
            "publishes to everybody",
            Arc::new(|server, _| {
                server.publish("/all", "from a hook").unwrap();
                for session in server.sessions() {
                    let _ = session.deliver("/all", "from a hook");
                }
            }),
        ),
        (
            "calls everything",
            Arc::new(|server, session| {
                drop(server.subscribe("/**").unwrap());
                drop(server.events());
                server.emit("an event");
                server.authorize("/nobody", tower_bayeux::Grant::ALL).unwrap();
                server.service("/nobody", || async {}).unwrap();
                server
                    .on_message("/nobody", |_: &mut MutableMessage, _: &MessageContext<'_>| Fate::Pass)
                    .unwrap();
                let _ = (
                    server.channels(),
                    server.stats(),
                    server.session_count(),
                    server.subscriber_count("/bad/a"),
                );
                if let Some(session) = session {
                    session.insert_attribute(1_u8);
                    let _ = (session.subscriptions(), session.is_active());
                }
            }),
        ),
        ("shuts the server down", Arc::new(|server, _| server.shutdown())),
    ]
}

/// A client whose messages spring the trap. Whatever becomes of its requests is its own affair.
async fn misbehave(client: Client) {
    let publish = json!([{ "channel": "/bad/a", "data": "bad" }, { "channel": "/good/a", "data": "from the bad one" }]);
    client.send(publish).await;
    client.poll().await;
}

async fn scenario(what: &str, trap: &Trap, server: &BayeuxServer) {
    let other = Client::subscribed(server, "/good/*").await;
    let bad = Client::subscribed(server, "/bad/*").await;
    let sessions = server.session_count();
    trap.arm(server);
    let misbehaved = tokio::spawn(misbehave(bad.clone()));
    let _ = misbehaved.await;
    // What goes out sees the message once more when it is fetched.
    let _ = tokio::spawn(misbehave(bad.clone())).await;
    trap.disarm();

    assert_eq!(
        other.publish("/good/b", json!("later")).await["successful"],
        true,
        "{what}"
    );
    server.publish("/good/c", "from the server").unwrap();
    let heard = other.poll().await.events();
    let heard: Vec<_> = heard
        .iter()
        .filter(|(channel, _)| channel.starts_with("/good/"))
        .collect();
    assert_eq!(
        heard[heard.len() - 2..],
        [
            &("/good/b".to_owned(), json!("later")),
            &("/good/c".to_owned(), json!("from the server")),
        ],
        "{what}"
    );
    assert!(server.session_count() >= sessions - 1, "{what}");
    let queued: u64 = server.stats().queued_messages;
    assert!(queued < 10, "{what}: {queued} messages queued");
}

#[test]
fn no_deed_in_any_hook_harms_anybody_else() {
    finishes("a deed in a hook", || {
        for (hook, install) in HOOKS {
            for (name, deed) in deeds() {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .start_paused(true)
                    .build();
                runtime.unwrap().block_on(async {
                    let trap = Trap {
                        deed,
                        server: Arc::default(),
                    };
                    TRAP.with(|here| *here.lock().unwrap() = Some(trap.clone()));
                    let server = install(&trap);
                    scenario(&format!("{hook} {name}"), &trap, &server).await;
                    TRAP.with(|here| here.lock().unwrap().take());
                });
            }
        }
    });
}

#[test]
fn every_hook_is_called() {
    for (hook, install) in HOOKS {
        let sprung = Arc::new(Mutex::new(false));
        let springing = Arc::clone(&sprung);
        let deed: Deed = Arc::new(move |_, _| *springing.lock().unwrap() = true);
        let trap = Trap {
            deed,
            server: Arc::default(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            TRAP.with(|here| *here.lock().unwrap() = Some(trap.clone()));
            let server = install(&trap);
            scenario(hook, &trap, &server).await;
            TRAP.with(|here| here.lock().unwrap().take());
        });
        assert!(*sprung.lock().unwrap(), "{hook}");
    }
}

/// A deed that blocks its thread until it is let go, and says that it has begun.
fn blocking() -> (Deed, Receiver<()>, SyncSender<()>) {
    let (begun, has_begun) = sync_channel(1);
    let (release, released) = sync_channel(1);
    let released = Mutex::new(released);
    let deed: Deed = Arc::new(move |_, _| {
        begun.send(()).unwrap();
        let _ = released.lock().unwrap().recv_timeout(Duration::from_secs(20));
    });
    (deed, has_begun, release)
}

#[test]
fn code_that_blocks_its_thread_delays_its_own_request_only() {
    // Hooks that are types look for their trap on their own thread, which is not that of the request here.
    let hooks = HOOKS.iter().filter(|(hook, _)| !matches!(*hook, "argument" | "answer"));
    for (hook, install) in hooks {
        let (deed, has_begun, release) = blocking();
        let trap = Trap {
            deed,
            server: Arc::default(),
        };
        let server = install(&trap);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let (other, bad) = runtime.block_on(async {
            let other = Client::subscribed(&server, "/good/*").await;
            (other, Client::subscribed(&server, "/bad/*").await)
        });
        trap.arm(&server);
        let blocked = runtime.spawn(misbehave(bad));
        has_begun
            .recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("{hook}: it was not called"));
        runtime.block_on(async {
            assert_eq!(other.publish("/good/b", json!(1)).await["successful"], true, "{hook}");
            server.publish("/good/c", &2).unwrap();
            let heard: Vec<Value> = other.poll().await.events().into_iter().map(|(_, data)| data).collect();
            assert_eq!(heard, [1, 2], "{hook}");
        });
        assert!(!blocked.is_finished(), "{hook}");
        release.send(()).unwrap();
        runtime.block_on(blocked).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_events_that_panics_or_sleeps_holds_nobody_up() {
    let server = BayeuxServer::builder().events_capacity(4).build();
    let mut panicking = server.events();
    let reader = tokio::spawn(async move {
        while let Some(event) = panicking.recv().await {
            assert!(!matches!(event, Event::Subscribed { .. }), "on purpose");
        }
    });
    let _asleep = server.events();
    for number in 0..10 {
        let client = Client::subscribed(&server, "/a").await;
        server.publish("/a", &number).unwrap();
        assert_eq!(client.poll().await.events().len(), 1);
    }
    assert!(reader.await.unwrap_err().is_panic());
    assert_eq!(server.session_count(), 10);
}
