//! One stream of a session, as an asynchronous byte stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// One stream of a session.
#[derive(Debug)]
pub struct MuxStream {
    id: u32,
}

impl MuxStream {
    /// The stream's id on the wire: odd when frpc opened it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Ends the stream in both directions at once: what is queued is dropped and the peer gets RST.
    pub fn abort(self) {}

    /// Like `poll_write`, without a copy: takes as much from the front of `data` as fits.
    ///
    /// # Errors
    /// As `poll_write`.
    pub fn poll_write_bytes(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for MuxStream {
    fn poll_fill_buf(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(&[]))
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

impl AsyncWrite for MuxStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
