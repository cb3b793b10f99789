//! How a socket ends.

use std::{future::poll_fn, pin::Pin, task::Context, task::Poll, time::Duration};

use futures_util::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::CloseFrame};

/// How long a client may take to confirm that the socket closes.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// How long what a client goes on sending is read and thrown away, so that it gets to read why.
const LINGER: Duration = Duration::from_secs(1);

/// How a socket ends.
pub(super) enum End {
    /// It is gone already.
    Gone,
    /// It is to be closed.
    Close(CloseFrame),
    /// It is to be closed, and what comes in can't be understood any more.
    Fail(CloseFrame),
}

impl End {
    /// Tells the client, and waits until it knows; not for long.
    pub(super) async fn tell<T>(self, stream: &mut WebSocketStream<T>)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Self::Gone => {}
            Self::Close(frame) => {
                let closed = async {
                    let _ = stream.close(Some(frame)).await;
                    while let Some(Ok(_)) = stream.next().await {}
                };
                let _ = timeout(CLOSING_TIME, closed).await;
            }
            Self::Fail(frame) => {
                let closed = async {
                    let _ = stream.close(Some(frame)).await;
                    poll_fn(|cx| discard(stream.get_mut(), cx)).await;
                };
                let _ = timeout(LINGER, closed).await;
            }
        }
    }
}

/// Reads until the other side has closed.
fn discard(stream: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    let mut room = [0; 4096];
    loop {
        let mut buffer = ReadBuf::new(&mut room);
        let read = std::task::ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(());
        }
    }
}
