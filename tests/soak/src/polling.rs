//! A client that polls.

use std::time::Duration;

use rand::random_range;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    Error,
    check::{Sequence, Tally},
    http::Connection,
    life::{Crowd, Exit, Life, SILENCE},
};

/// One session, over one connection after the other.
struct Client {
    connection: Connection,
    id: Value,
    life: Life,
    acknowledges: bool,
    /// The last batch that came.
    batch: u64,
    sequence: Sequence,
}

/// What an answer to a connect means.
enum Told {
    /// Go on.
    Retry,
    /// The session is gone.
    Unknown,
}

pub(crate) async fn live(crowd: &mut Crowd, life: Life, acknowledges: bool) -> Result<(), Error> {
    let mut client = Client::start(crowd, life, acknowledges).await?;
    let here = crowd.clone();
    let ended = tokio::select! {
        told = client.stay(&here) => Some(told?),
        () = crowd.end_of(life) => None,
    };
    match (ended, life.exit) {
        (Some(_), _) => Tally::count(&crowd.tally.unknown),
        (None, Exit::Leave) => {
            // Its connect may be under way: hyper would answer in turn.
            let mut connection = Connection::open(crowd.address).await?;
            connection.ask(&json!([client.message("/meta/disconnect")])).await?;
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

impl Client {
    async fn start(crowd: &Crowd, life: Life, acknowledges: bool) -> Result<Self, Error> {
        let mut connection = Connection::open(crowd.address).await?;
        let handshake = json!([{
            "channel": "/meta/handshake", "version": "1.0", "supportedConnectionTypes": ["long-polling"],
            "ext": { "ack": acknowledges },
        }]);
        let id = connection.ask(&handshake).await?[0]["clientId"].clone();
        let mut client = Self {
            connection,
            id,
            life,
            acknowledges,
            batch: 0,
            sequence: Sequence::new(acknowledges),
        };
        for channel in ["room", "talk"] {
            let mut subscribe = client.message("/meta/subscribe");
            subscribe["subscription"] = format!("/{channel}/{}", life.room).into();
            client.connection.ask(&json!([subscribe])).await?;
        }
        Ok(client)
    }

    fn message(&self, channel: &str) -> Value {
        json!({ "channel": channel, "clientId": self.id })
    }

    /// Connects over and over, until the server does not know it any more. Now and then its connection breaks, whatever
    /// is under way.
    async fn stay(&mut self, crowd: &Crowd) -> Result<Told, Error> {
        loop {
            let breaks = Duration::from_millis(random_range(1_000..60_000));
            match timeout(breaks, self.connect_for_ever(crowd)).await {
                Ok(told) => return told,
                Err(_) => self.connect_anew(crowd).await?,
            }
        }
    }

    async fn connect_anew(&mut self, crowd: &Crowd) -> Result<(), Error> {
        self.sequence.breaks();
        Tally::count(&crowd.tally.reconnected);
        // The old one closes at once, or when the client has been back for long.
        let connection = Connection::open(crowd.address).await?;
        let old = std::mem::replace(&mut self.connection, connection);
        if random_range(0..4) > 0 {
            drop(old);
            sleep(Duration::from_millis(random_range(0..2_000))).await;
        } else {
            tokio::spawn(async move {
                sleep(SILENCE).await;
                drop(old);
            });
        }
        Ok(())
    }

    async fn connect_for_ever(&mut self, crowd: &Crowd) -> Result<Told, Error> {
        loop {
            let mut connect = self.message("/meta/connect");
            connect["connectionType"] = "long-polling".into();
            if self.acknowledges {
                connect["ext"]["ack"] = self.batch.into();
            }
            let answer = self.connection.ask(&json!([connect])).await?;
            if let Told::Unknown = self.read(&answer, crowd)? {
                return Ok(Told::Unknown);
            }
            if random_range(0..50) == 0 {
                let mut publish = self.message(&format!("/talk/{}", self.life.room));
                publish["data"] = "hello".into();
                self.connection.ask(&json!([publish])).await?;
            }
        }
    }

    fn read(&mut self, answer: &[Value], crowd: &Crowd) -> Result<Told, Error> {
        for message in answer {
            if let Some(number) = message["data"]["number"].as_u64() {
                self.sequence.arrived(number, &crowd.tally);
            }
        }
        let reply = answer.last().ok_or("an empty answer")?;
        if reply["successful"] == true {
            // The reply to a superseded connect is no batch.
            self.batch = reply["ext"]["ack"].as_u64().unwrap_or(self.batch);
            return Ok(Told::Retry);
        }
        match reply["advice"]["reconnect"].as_str() {
            Some("handshake") => Ok(Told::Unknown),
            _ => Err(reply.to_string().into()),
        }
    }
}
