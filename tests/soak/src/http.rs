//! HTTP/1.1 from the client's side, as much of it as this server's answers need.

use std::{io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::Error;

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    pub(crate) async fn send(&mut self, messages: &Value) -> io::Result<()> {
        let body = messages.to_string();
        let head = format!(
            "POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all((head + &body).as_bytes()).await
    }

    pub(crate) async fn ask(&mut self, messages: &Value) -> Result<Vec<Value>, Error> {
        self.send(messages).await?;
        loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                let all = end + 4 + length(&self.received[..end])?;
                if self.received.len() >= all {
                    let answer = serde_json::from_slice(&self.received[end + 4..all])?;
                    self.received.drain(..all);
                    return Ok(answer);
                }
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

fn length(head: &[u8]) -> Result<usize, Error> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Ok(length.ok_or("an answer without a length")?.parse()?)
}
