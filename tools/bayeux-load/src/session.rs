//! One client: its session, its cookie, and the connections it sends on.

use std::{net::Ipv4Addr, rc::Rc, time::Duration};

use tokio::time::timeout;

use crate::{
    Error, Options, Target,
    http::Connection,
    message::{self, HANDSHAKE, Incoming},
};

/// The paths of one server.
#[derive(Debug)]
struct Paths {
    handshake: String,
    subscribe: String,
    connect: String,
    disconnect: String,
}

/// Where a client connects from and to.
#[derive(Debug)]
struct Way {
    target: Target,
    source: Option<Ipv4Addr>,
    paths: Paths,
    /// How long an answer may take that is not held.
    stall: Duration,
}

/// The ways that clients take in turn.
#[derive(Debug)]
pub(crate) struct Ways(Vec<Rc<Way>>);

impl Way {
    async fn connection(&self) -> Result<Connection, Error> {
        within(self.stall, Connection::open(&self.target, self.source)).await
    }
}

impl Ways {
    pub(crate) fn new(options: &Options) -> Self {
        let mut ways = Vec::new();
        for source in 0..options.sources {
            for target in &options.urls {
                let source = (options.sources > 1).then(|| Ipv4Addr::new(127, 0, 0, 2 + source));
                let path = |name: &str| {
                    let base = &target.path;
                    if options.endpoints {
                        format!("{base}/{name}")
                    } else {
                        base.clone()
                    }
                };
                let paths = Paths {
                    handshake: path("handshake"),
                    subscribe: path("subscribe"),
                    connect: path("connect"),
                    disconnect: path("disconnect"),
                };
                ways.push(Rc::new(Way {
                    target: target.clone(),
                    source,
                    paths,
                    stall: options.stall,
                }));
            }
        }
        Self(ways)
    }

    fn of(&self, client: u32) -> Rc<Way> {
        Rc::clone(&self.0[client as usize % self.0.len()])
    }
}

/// A session and one connection to use it on.
#[derive(Debug)]
pub(crate) struct Session {
    way: Rc<Way>,
    id: String,
    cookies: String,
    connection: Connection,
    requests: u64,
}

impl Session {
    /// Connects and handshakes. `client` is its number, which decides where it connects to.
    pub(crate) async fn start(ways: &Ways, client: u32) -> Result<Self, Error> {
        let way = ways.of(client);
        let connection = way.connection().await?;
        let mut session = Self {
            way,
            id: String::new(),
            cookies: String::new(),
            connection,
            requests: 2,
        };
        session.handshake().await?;
        session.connection.set_cookies(&session.cookies);
        Ok(session)
    }

    /// A new session in place of this one, on the same connection.
    pub(crate) async fn handshake(&mut self) -> Result<(), Error> {
        let request = self.connection.post(&self.way.paths.handshake, HANDSHAKE.as_bytes());
        let response = within(self.way.stall, request).await?;
        if response.status != 200 {
            return Err(format!("handshake: HTTP status {}", response.status).into());
        }
        let replies = message::parse(response.body)?;
        let reply = replies.first().ok_or("handshake: no reply")?;
        reply.check()?;
        self.id = reply.client_id.as_deref().ok_or("handshake: no clientId")?.to_owned();
        if self.cookies.is_empty() {
            self.cookies = response.cookies.join("; ");
        }
        Ok(())
    }

    /// Another connection for the same session.
    pub(crate) async fn again(&self) -> Result<Self, Error> {
        let mut connection = self.way.connection().await?;
        connection.set_cookies(&self.cookies);
        Ok(Self {
            way: Rc::clone(&self.way),
            id: self.id.clone(),
            cookies: self.cookies.clone(),
            connection,
            requests: 1_000_000,
        })
    }

    /// The session's id, as requests name it.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Numbers for so many messages.
    pub(crate) fn ids(&mut self, count: u64) -> u64 {
        self.requests += count;
        self.requests - count
    }

    pub(crate) async fn subscribe(&mut self, channel: &str) -> Result<(), Error> {
        let body = message::subscribe(&self.id, channel);
        let way = Rc::clone(&self.way);
        self.ask(&way.paths.subscribe, &body).await
    }

    /// A connect, held or not as the server likes.
    pub(crate) async fn connect(&mut self) -> Result<Vec<Incoming<'_>>, Error> {
        let id = self.ids(1);
        let body = message::connect(&self.id, id);
        let way = Rc::clone(&self.way);
        self.post(&way.paths.connect, &body).await
    }

    pub(crate) async fn connect_at_once(&mut self) -> Result<(), Error> {
        let id = self.ids(1);
        let body = message::connect_at_once(&self.id, id);
        let way = Rc::clone(&self.way);
        self.ask(&way.paths.connect, &body).await
    }

    /// Publishes a batch that is written already.
    pub(crate) async fn publish(&mut self, body: &str) -> Result<(), Error> {
        let way = Rc::clone(&self.way);
        // With endpoints, publishes go where connects go.
        self.ask(&way.paths.connect, body).await
    }

    pub(crate) async fn disconnect(&mut self) -> Result<(), Error> {
        let body = message::disconnect(&self.id);
        let way = Rc::clone(&self.way);
        self.ask(&way.paths.disconnect, &body).await
    }

    /// A request that is answered at once, and well.
    async fn ask(&mut self, path: &str, body: &str) -> Result<(), Error> {
        let stall = self.way.stall;
        all_accepted(&within(stall, self.post(path, body)).await?)
    }

    async fn post(&mut self, path: &str, body: &str) -> Result<Vec<Incoming<'_>>, Error> {
        let response = self.connection.post(path, body.as_bytes()).await?;
        if response.status != 200 {
            return Err(format!("HTTP status {}", response.status).into());
        }
        message::parse(response.body)
    }
}

async fn within<T, E: Into<Error>>(stall: Duration, request: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
    timeout(stall, request)
        .await
        .map_err(|_| format!("no answer within {stall:?}"))?
        .map_err(Into::into)
}

fn all_accepted(replies: &[Incoming<'_>]) -> Result<(), Error> {
    replies.iter().try_for_each(Incoming::check)
}
