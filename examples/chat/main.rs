//! A chat for browsers: names, presence, history, and a page that survives a restart of the server.
//!
//! What it shows:
//!
//! - A page with a small Bayeux client written for it (`bayeux.js`, `transports.js`), served by axum next to the
//!   [`BayeuxLayer`]. It uses a WebSocket where one can be had, and long-polling elsewhere; the page says which.
//! - Clients talk to the server on `/service/**` channels, which no other client sees; the server checks what they
//!   say and publishes it to everybody.
//! - Presence from [`BayeuxServer::events`]: who came, who left, and whether they said goodbye.
//! - Session attributes keep each session's name; [`ServerSession::deliver`] brings newcomers up to date.
//!
//! ```text
//! cargo run --example chat --features websocket
//! ```
//!
//! Without the feature, the page polls.
//!
//! `PORT` is the port on 127.0.0.1 (default 8083; 0 picks a free one). What to try: open the page in two windows and
//! chat. Close one, and see it leave. Stop the server and start it again, and see the page come back by itself.
//!
//! | channel | from | to | data |
//! |---|---|---|---|
//! | `/service/join` | client | server | `{name}` |
//! | `/service/say` | client | server | `{text}` |
//! | `/welcome` | server | the client that joined | `{name}`, as the others will see it |
//! | `/history` | server | the client that subscribed to `/chat` | the last lines |
//! | `/chat` | server | everybody | a line: `{id, at, kind, name, text}` |
//! | `/members` | server | everybody | the names of all who are here |
//!
//! Any client may also publish to `/chat` or `/members` itself: this room keeps honest people in order, it does not
//! keep others out. The page shows whatever comes as plain text, so the worst they can do is lie.

#[path = "../shutdown/mod.rs"]
mod shutdown;

use std::{collections::VecDeque, env, error::Error, net::Ipv4Addr, time::Duration};
use std::{fmt, time::SystemTime};

use axum::{
    Router,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower_bayeux::{BayeuxLayer, BayeuxServer, Event, EventStream, Message, Reason, ServerSession, Subscription};

/// How many lines a newcomer gets to see.
const HISTORY: usize = 50;
const MAX_NAME_CHARS: usize = 24;
const MAX_TEXT_CHARS: usize = 2000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bayeux = BayeuxServer::builder()
        .timeout(Duration::from_secs(25))
        // A browser that vanished without a goodbye counts as gone after this long.
        .max_interval(Duration::from_secs(10))
        .build();

    // Opened before the first client can come, so that nothing is missed.
    let room = Room::new(bayeux.clone());
    let events = bayeux.events();
    let joins = bayeux.subscribe("/service/join")?;
    let texts = bayeux.subscribe("/service/say")?;
    tokio::spawn(room.run(events, joins, texts));

    let app = Router::new()
        .route("/", get(|| page("text/html", include_str!("index.html"))))
        .route("/chat.js", get(|| page("text/javascript", include_str!("chat.js"))))
        .route("/bayeux.js", get(|| page("text/javascript", include_str!("bayeux.js"))))
        .route(
            "/transports.js",
            get(|| page("text/javascript", include_str!("transports.js"))),
        )
        .route("/style.css", get(|| page("text/css", include_str!("style.css"))))
        .layer(BayeuxLayer::new("/cometd", bayeux.clone()));

    let port = env::var("PORT").map_or(Ok(8083), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}/", listener.local_addr()?);

    let stopping = bayeux.clone();
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown::signal().await;
            // Answers the held polls; axum would otherwise wait for each of them to run out.
            stopping.shutdown();
        })
        .await?;
    // axum does not wait for what has become a WebSocket. One whose client does not read is not waited for either.
    let _ = tokio::time::timeout(Duration::from_secs(5), bayeux.drained()).await;
    Ok(())
}

/// A file of the page, embedded in the binary.
async fn page(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, "default-src 'self'; img-src 'self' data:"),
    ];
    (headers, text)
}

#[derive(Deserialize)]
struct Join {
    name: String,
}

#[derive(Deserialize)]
struct Say {
    text: String,
}

#[derive(Serialize)]
struct Welcome<'a> {
    name: &'a str,
}

/// One line of the chat.
#[derive(Clone, Serialize)]
struct Line {
    /// Grows from line to line, also over a restart, so that a page can tell which lines it has.
    id: u64,
    /// Milliseconds since 1970.
    at: u64,
    kind: Kind,
    name: String,
    text: String,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Joined,
    Left,
    Lost,
}

/// The session attribute that makes a session a member.
struct Member {
    name: String,
}

/// The one task that decides what is said, so that every line has its place in one order.
struct Room {
    bayeux: BayeuxServer,
    history: VecDeque<Line>,
    last_id: u64,
}

impl Room {
    fn new(bayeux: BayeuxServer) -> Self {
        Self {
            bayeux,
            history: VecDeque::with_capacity(HISTORY),
            last_id: 0,
        }
    }

    async fn run(mut self, mut events: EventStream, mut joins: Subscription, mut texts: Subscription) {
        loop {
            tokio::select! {
                Some(event) = events.recv() => self.on_event(event),
                Some(message) = joins.recv() => self.on_join(&message),
                Some(message) = texts.recv() => self.on_say(&message),
                else => break,
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Subscribed { session, channels, .. } => {
                for channel in channels {
                    match channel.as_str() {
                        "/chat" => deliver(&session, "/history", &self.history),
                        "/members" => deliver(&session, "/members", &self.names()),
                        _ => {}
                    }
                }
            }
            Event::SessionRemoved { session, reason, .. } => {
                if let Some(member) = session.attribute::<Member>() {
                    let kind = if matches!(reason, Reason::Expired) {
                        Kind::Lost
                    } else {
                        Kind::Left
                    };
                    self.publish_line(kind, &member.name, String::new());
                    self.publish_names();
                }
            }
            // Too busy to hear of everybody: tell once who is left.
            Event::Missed(_) => self.publish_names(),
            _ => {}
        }
    }

    fn on_join(&mut self, message: &Message) {
        let (Some(session), Ok(join)) = (message.sender(), message.data::<Join>()) else {
            return;
        };
        let wanted = clean(&join.name, MAX_NAME_CHARS);
        if wanted.is_empty() || session.attribute::<Member>().is_some() {
            return;
        }
        let name = self.free_name(&wanted);
        session.insert_attribute(Member { name: name.clone() });
        deliver(session, "/welcome", &Welcome { name: &name });
        self.publish_line(Kind::Joined, &name, String::new());
        self.publish_names();
    }

    fn on_say(&mut self, message: &Message) {
        let (Some(session), Ok(say)) = (message.sender(), message.data::<Say>()) else {
            return;
        };
        let Some(member) = session.attribute::<Member>() else {
            return;
        };
        let text = clean(&say.text, MAX_TEXT_CHARS);
        if !text.is_empty() {
            self.publish_line(Kind::Text, &member.name, text);
        }
    }

    /// Who is here, in alphabetical order.
    fn names(&self) -> Vec<String> {
        let sessions = self.bayeux.sessions();
        let members = sessions.iter().filter_map(ServerSession::attribute::<Member>);
        let mut names: Vec<_> = members.map(|member| member.name.clone()).collect();
        names.sort_by_key(|name| name.to_lowercase());
        names
    }

    /// The wanted name, or the first of "name 2", "name 3", ... that nobody has.
    fn free_name(&self, wanted: &str) -> String {
        let taken = self.names();
        let candidates = (2_u32..).map(|n| format!("{wanted} {n}"));
        std::iter::once(wanted.to_owned())
            .chain(candidates)
            .find(|name| !taken.contains(name))
            .unwrap_or_default()
    }

    fn publish_names(&self) {
        publish(&self.bayeux, "/members", &self.names());
    }

    fn publish_line(&mut self, kind: Kind, name: &str, text: String) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let at = u64::try_from(now.as_millis()).unwrap_or_default();
        self.last_id = at.max(self.last_id + 1);
        let line = Line {
            id: self.last_id,
            at,
            kind,
            name: name.to_owned(),
            text,
        };
        publish(&self.bayeux, "/chat", &line);
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(line);
    }
}

/// What a client sent, without control characters and not too long. That it may look like HTML does not matter: the
/// page never reads it as such.
fn clean(text: &str, max_chars: usize) -> String {
    let visible = text.trim().chars().filter(|c| !c.is_control() || *c == '\n');
    visible.take(max_chars).collect()
}

fn publish(bayeux: &BayeuxServer, channel: &str, data: &impl Serialize) {
    report(channel, bayeux.publish(channel, data));
}

fn deliver(session: &ServerSession, channel: &str, data: &impl Serialize) {
    report(channel, session.deliver(channel, data));
}

fn report(channel: &str, result: Result<(), impl fmt::Display>) {
    if let Err(error) = result {
        eprintln!("{channel}: {error}");
    }
}
