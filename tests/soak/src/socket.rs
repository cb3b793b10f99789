//! A client that comes by WebSocket.

use std::{io, time::Duration};

use futures_util::{SinkExt, StreamExt};
use rand::random_range;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

use crate::{
    Error,
    check::{Sequence, Tally},
    life::{Crowd, Exit, Life, SILENCE},
};

type Socket = WebSocketStream<TcpStream>;

/// One session, over one socket after the other.
struct Client {
    socket: Socket,
    id: Value,
    sequence: Sequence,
}

pub(crate) async fn live(crowd: &mut Crowd, life: Life) -> Result<(), Error> {
    let mut client = Client::start(crowd, life).await?;
    let here = crowd.clone();
    let ended = tokio::select! {
        stayed = client.stay(&here) => Some(stayed?),
        () = crowd.end_of(life) => None,
    };
    match (ended, life.exit) {
        (Some(()), _) => Tally::count(&crowd.tally.unknown),
        (None, Exit::Leave) => {
            client.send("/meta/disconnect", None).await?;
            while let Some(Ok(_)) = client.socket.next().await {}
            Tally::count(&crowd.tally.left);
        }
        (None, Exit::Vanish) => Tally::count(&crowd.tally.vanished),
        (None, Exit::Stick) => {
            sleep(SILENCE).await;
            Tally::count(&crowd.tally.stuck);
        }
    }
    Ok(())
}

async fn open(crowd: &Crowd) -> Result<Socket, Error> {
    let stream = TcpStream::connect(crowd.address).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async(format!("ws://{}/cometd", crowd.address), stream).await?;
    Ok(socket)
}

impl Client {
    async fn start(crowd: &Crowd, life: Life) -> Result<Self, Error> {
        let mut client = Self {
            socket: open(crowd).await?,
            id: Value::Null,
            sequence: Sequence::new(false),
        };
        client.send("/meta/handshake", None).await?;
        client.id = client.next().await?.ok_or("no handshake")?[0]["clientId"].clone();
        client
            .send("/meta/subscribe", Some(&format!("/room/{}", life.room)))
            .await?;
        client.send("/meta/connect", None).await?;
        Ok(client)
    }

    async fn send(&mut self, channel: &str, subscription: Option<&str>) -> Result<(), Error> {
        let mut message = json!({ "channel": channel, "connectionType": "websocket" });
        if !self.id.is_null() {
            message["clientId"] = self.id.clone();
        }
        if let Some(subscription) = subscription {
            message["subscription"] = subscription.into();
        }
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    /// The messages of the next frame; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Value>>, Error> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(Some(serde_json::from_str(&text)?)),
                // A server that gets no answer to its pings closes it.
                Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Away => {
                    return Err(io::Error::from(io::ErrorKind::TimedOut).into());
                }
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }

    /// Listens until the server does not know it any more. Now and then the socket breaks.
    async fn stay(&mut self, crowd: &Crowd) -> Result<(), Error> {
        loop {
            let breaks = Duration::from_millis(random_range(1_000..60_000));
            match timeout(breaks, self.listen(crowd)).await {
                Ok(ended) => return ended,
                Err(_) => {
                    self.sequence.breaks();
                    Tally::count(&crowd.tally.reconnected);
                    self.socket = open(crowd).await?;
                    self.send("/meta/connect", None).await?;
                }
            }
        }
    }

    async fn listen(&mut self, crowd: &Crowd) -> Result<(), Error> {
        loop {
            let messages = self.next().await?.ok_or("the server has closed the socket")?;
            for message in messages {
                if let Some(number) = message["data"]["number"].as_u64() {
                    self.sequence.arrived(number, &crowd.tally);
                } else if message["channel"] == "/meta/connect" {
                    if message["successful"] != true {
                        return Ok(());
                    }
                    self.send("/meta/connect", None).await?;
                }
            }
        }
    }
}
