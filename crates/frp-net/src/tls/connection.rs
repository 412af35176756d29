//! A TLS stream whose errors have Go's words.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use frp_stream::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::worded;

/// Passes everything through to a TLS stream, which has the only buffers, and words its errors: with TLS 1.3 the
/// peer's refusal of our certificate arrives in a read.
pub(super) struct TlsConnection<T>(T);

impl<T: Io> TlsConnection<T> {
    pub(super) fn new(stream: T) -> Self {
        Self(stream)
    }
}

impl<T: Io> AsyncRead for TlsConnection<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf).map_err(worded)
    }
}

impl<T: Io> AsyncWrite for TlsConnection<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf).map_err(worded)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs).map_err(worded)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(worded)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx).map_err(worded)
    }
}
