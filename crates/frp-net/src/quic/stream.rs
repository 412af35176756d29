//! A stream of a connection.

use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use frp_stream::Stream;
use frp_stream::io::PieceIo;
use quinn::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error;
use super::transport::send_window;

/// Bytes written on a stream between two looks at the congestion window.
const LOOK: u64 = 512 * 1024;

/// What is written passes without a copy. What is read comes in datagrams, and is gathered by copying it.
static QUIC_STREAM: PieceIo<QuicStream> =
    PieceIo { abandon: drop, read: None, write: QuicStream::poll_write_bytes };

/// One stream. A shutdown ends our direction; dropping it ends both.
pub struct QuicStream {
    send: SendStream,
    receive: RecvStream,
    connection: Connection,
    /// Counts this stream as long as it lives.
    streams: Arc<AtomicUsize>,
    /// Bytes written since the last look at the congestion window.
    unseen: u64,
}

impl QuicStream {
    pub(super) fn new(
        send: SendStream,
        receive: RecvStream,
        connection: Connection,
        streams: Arc<AtomicUsize>,
    ) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self { send, receive, connection, streams, unseen: 0 }
    }

    /// Wraps it for everything that works on a [`Stream`].
    #[must_use]
    pub fn into_stream(self) -> Stream {
        Stream::boxed_pieces(self, &QUIC_STREAM)
    }

    /// Like `poll_write` without a copy: takes as much from the front of `data` as fits.
    ///
    /// # Errors
    /// As `poll_write`.
    pub fn poll_write_bytes(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let this = self.get_mut();
        let mut chunks = [std::mem::take(data)];
        let written = pin!(this.send.write_chunks(&mut chunks)).poll(cx);
        let [rest] = chunks;
        *data = rest;
        let written = ready!(written).map_err(|cause| error::of_write(cause, this.send.id()))?.bytes;
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    /// Lets the connection hold as many bytes of ours as its way to the peer can use, and not many more.
    fn wrote(&mut self, count: usize) {
        self.unseen = self.unseen.saturating_add(count as u64);
        if self.unseen >= LOOK {
            self.unseen = 0;
            self.connection.set_send_window(send_window(self.connection.stats().path.cwnd));
        }
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = ready!(this.receive.poll_read_buf(cx, buf));
        Poll::Ready(read.map_err(|cause| error::of_read(cause, this.receive.id())))
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.send).poll_write(cx, data));
        let written = written.map_err(|cause| error::of_write(cause, this.send.id()))?;
        this.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A second end says nothing new.
        let _ = self.get_mut().send.finish();
        Poll::Ready(Ok(()))
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for QuicStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicStream").field("id", &self.send.id()).finish_non_exhaustive()
    }
}
