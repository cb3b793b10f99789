//! HTTP/1.1 from the client's side, one request at a time: no more than a Bayeux server needs, so that the tool stays
//! cheaper than what it measures.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::Target;

const MAX_HEADERS: usize = 32;

/// A connection that is kept alive.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    head: String,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Whether an answer has yet to come, or to come to its end.
    waits: bool,
}

/// An answer; the body lies in the connection until the next request.
#[derive(Debug)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    /// `name=value` of each cookie that is set.
    pub(crate) cookies: Vec<String>,
    pub(crate) body: &'a [u8],
}

#[derive(Debug)]
struct Head {
    status: u16,
    cookies: Vec<String>,
    length: Length,
    /// Where the body begins.
    end: usize,
}

#[derive(Clone, Copy, Debug)]
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    pub(crate) async fn open(target: &Target, source: Option<Ipv4Addr>) -> io::Result<Self> {
        let socket = match target.address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = source.filter(|_| target.address.is_ipv4()) {
            choose_port_late(&socket);
            socket.bind((source, 0).into())?;
        }
        socket.set_nodelay(true)?;
        // Connections are closed with a reset: else each would keep its port for a minute, and the next run lack it.
        socket.set_zero_linger()?;
        Ok(Self {
            stream: socket.connect(target.address).await?,
            head: format!(
                " HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n",
                target.host
            ),
            out: Vec::new(),
            input: Vec::new(),
            waits: false,
        })
    }

    /// Sends these cookies (`a=b; c=d`) from now on.
    pub(crate) fn set_cookies(&mut self, cookies: &str) {
        if !cookies.is_empty() {
            self.head.push_str("cookie: ");
            self.head.push_str(cookies);
            self.head.push_str("\r\n");
        }
    }

    /// Sends a body to a path and waits for the answer.
    pub(crate) async fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Response<'_>> {
        if self.waits {
            return Err(io::Error::other(
                "an earlier request on this connection was not answered",
            ));
        }
        self.waits = true;
        self.out.clear();
        self.out.extend_from_slice(b"POST ");
        self.out.extend_from_slice(path.as_bytes());
        self.out.extend_from_slice(self.head.as_bytes());
        self.out
            .extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        self.out.extend_from_slice(body);
        self.stream.write_all(&self.out).await?;
        self.input.clear();
        let head = self.read_head().await?;
        let body = match head.length {
            Length::Known(length) => {
                while self.input.len() < head.end + length {
                    self.fill().await?;
                }
                &self.input[head.end..head.end + length]
            }
            Length::Chunked => {
                let end = self.read_chunks(head.end).await?;
                &self.input[head.end..end]
            }
        };
        self.waits = false;
        Ok(Response {
            status: head.status,
            cookies: head.cookies,
            body,
        })
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )),
            _ => Ok(()),
        }
    }

    async fn read_head(&mut self) -> io::Result<Head> {
        loop {
            self.fill().await?;
            if let Some(head) = parse_head(&self.input)? {
                return Ok(head);
            }
        }
    }

    /// Moves the chunks together, from `start` on, and says where they end.
    async fn read_chunks(&mut self, start: usize) -> io::Result<usize> {
        let (mut end, mut next) = (start, start);
        loop {
            let size = httparse::parse_chunk_size(&self.input[next..])
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
            let httparse::Status::Complete((digits, size)) = size else {
                self.fill().await?;
                continue;
            };
            let size = usize::try_from(size).map_err(io::Error::other)?;
            let begin = next + digits;
            while self.input.len() < begin + size + 2 {
                self.fill().await?;
            }
            if size == 0 {
                return Ok(end);
            }
            self.input.copy_within(begin..begin + size, end);
            end += size;
            next = begin + size + 2;
        }
    }
}

/// Lets the kernel choose the port when it knows the destination. When it binds, it can choose only one that is free
/// whatever the destination: those are soon used up, and take long to find.
#[cfg(target_os = "linux")]
fn choose_port_late(socket: &TcpSocket) {
    use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
    // A kernel that does not know this chooses at once.
    let _ = setsockopt(socket, IpBindAddressNoPort, &true);
}

#[cfg(not(target_os = "linux"))]
fn choose_port_late(_: &TcpSocket) {}

/// The head of an answer; `None` if it is not all here yet.
fn parse_head(input: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response
        .parse(input)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(end) = parsed else {
        return Ok(None);
    };
    let mut head = Head {
        status: response.code.unwrap_or_default(),
        cookies: Vec::new(),
        length: Length::Known(0),
        end,
    };
    for header in response.headers {
        let value = std::str::from_utf8(header.value).unwrap_or_default();
        if header.name.eq_ignore_ascii_case("content-length") {
            head.length = Length::Known(value.trim().parse().map_err(io::Error::other)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            head.length = Length::Chunked;
        } else if header.name.eq_ignore_ascii_case("set-cookie") {
            head.cookies.extend(value.split(';').next().map(str::to_owned));
        }
    }
    Ok(Some(head))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use nix::sys::socket::{getsockopt, sockopt::IpBindAddressNoPort};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_source_does_not_choose_its_port_before_it_knows_the_destination() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let source = Ipv4Addr::new(127, 0, 0, 9);
        let connection = Connection::open(&target, Some(source)).await.unwrap();
        assert_eq!(connection.stream.local_addr().unwrap().ip(), source);
        assert!(getsockopt(&connection.stream, IpBindAddressNoPort).unwrap());
    }
}
