//! A proxy between clients and a server that does to each connection whatever networks do.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// What becomes of one connection. By default nothing: all bytes pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    /// How many bytes pass from the client to the server, and what happens then.
    pub up: Option<(usize, End)>,
    /// How many bytes pass from the server to the client, and what happens then.
    pub down: Option<(usize, End)>,
    /// How long each piece of data is kept.
    pub delay: Duration,
    /// Whether the server gets everything on a second connection, too, whose answers nobody reads.
    pub twice: bool,
}

/// How a direction ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Both sides see the connection closed.
    Close,
    /// Both sides see it reset.
    Reset,
    /// The receiver of this direction sees its end; the other direction goes on.
    HalfClose,
    /// Nothing passes any more, and nobody is told.
    Stall,
}

type Plan = Box<dyn FnMut() -> Fate + Send>;

#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    upstream: Arc<Mutex<SocketAddr>>,
    plan: Arc<Mutex<Plan>>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn open(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            upstream: Arc::new(Mutex::new(upstream)),
            plan: Arc::new(Mutex::new(Box::new(Fate::default))),
            cuts: Arc::default(),
        };
        tokio::spawn(proxy.clone().serve(listener));
        proxy
    }

    /// Asked for the fate of each new connection.
    pub fn plan(&self, plan: impl FnMut() -> Fate + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }

    /// Where new connections go.
    pub fn redirect(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap() = upstream;
    }

    /// How many connections have met with their fate so far.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Relaxed)
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let fate = (self.plan.lock().unwrap())();
            let upstream = *self.upstream.lock().unwrap();
            let cuts = Arc::clone(&self.cuts);
            tokio::spawn(async move {
                // Nobody there: the client sees its connection closed.
                if let Ok(server) = TcpStream::connect(upstream).await {
                    carry(client, server, fate, &cuts).await;
                }
            });
        }
    }
}

async fn carry(client: TcpStream, server: TcpStream, fate: Fate, cuts: &AtomicU64) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let second = if fate.twice {
        TcpStream::connect(server.peer_addr().unwrap()).await.ok()
    } else {
        None
    };
    let (mut from_client, to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    let mut to_servers = vec![to_server];
    if let Some(second) = second {
        let (mut answers, requests) = second.into_split();
        to_servers.push(requests);
        tokio::spawn(async move { copy(&mut answers, &mut sink()).await });
    }
    let mut to_clients = [to_client];
    tokio::select! {
        () = relay(&mut from_client, &mut to_servers, fate.up, fate.delay, cuts) => {}
        () = relay(&mut from_server, &mut to_clients, fate.down, fate.delay, cuts) => {}
    }
}

/// Carries one direction. The connection ends when it returns.
async fn relay(
    from: &mut OwnedReadHalf,
    to: &mut [OwnedWriteHalf],
    cut: Option<(usize, End)>,
    delay: Duration,
    cuts: &AtomicU64,
) {
    let (mut left, end) = cut.unwrap_or((usize::MAX, End::Close));
    let mut piece = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let passes = read.min(left);
        left -= passes;
        for writer in &mut *to {
            if writer.write_all(&piece[..passes]).await.is_err() {
                return;
            }
        }
        if left == 0 {
            cuts.fetch_add(1, Relaxed);
            return finish(from, to, end).await;
        }
    }
}

async fn finish(from: &OwnedReadHalf, to: &mut [OwnedWriteHalf], end: End) {
    match end {
        End::Close => {}
        End::Reset => {
            let _ = from.as_ref().set_zero_linger();
            for writer in to {
                let _ = writer.as_ref().set_zero_linger();
            }
        }
        End::HalfClose => {
            for writer in to {
                let _ = writer.shutdown().await;
            }
            pending::<()>().await;
        }
        End::Stall => pending::<()>().await,
    }
}
