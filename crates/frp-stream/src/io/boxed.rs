//! Streams of any type behind one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Io, Stream};

/// What a boxed stream can do besides reading and writing.
pub(crate) trait Layer: Io {
    /// See [`Stream::abandon`]. Nothing is read or written afterwards.
    fn abandon(&mut self);

    /// Whether bytes that are written pass without a copy; see [`PieceIo`].
    fn takes_pieces(&self) -> bool {
        false
    }

    /// Whether bytes that are read pass without a copy; see [`PieceIo`].
    fn gives_pieces(&self) -> bool {
        false
    }

    /// See [`PieceIo::read`]; only where it gives pieces.
    fn poll_read_piece(&mut self, _: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// See [`PieceIo::write`]; only where it takes pieces.
    fn poll_write_piece(&mut self, _: &mut Context<'_>, _: &mut Bytes) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// How a stream of another crate gives and takes bytes that it holds in shared memory, without copying them.
pub struct PieceIo<T> {
    /// See [`Stream::boxed_with`].
    pub abandon: fn(T),
    /// The next bytes as they arrived; none at the end of the stream. Otherwise like `poll_read`. `None` where bytes
    /// arrive in so small pieces that gathering them is cheaper.
    pub read: Option<ReadPiece<T>>,
    /// Takes as much of the front of the piece as fits, and says how much. Otherwise like `poll_write`.
    pub write: fn(Pin<&mut T>, &mut Context<'_>, &mut Bytes) -> Poll<io::Result<usize>>,
}

/// See [`PieceIo::read`].
pub type ReadPiece<T> = fn(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<Bytes>>;

/// A stream whose type does not matter.
pub struct Boxed(Box<dyn Layer>);

impl Boxed {
    pub(super) fn plain<T: Io + 'static>(io: T, abandon: fn(T)) -> Self {
        Self(Box::new(Foreign { io: Some(io), abandon, pieces: None }))
    }

    pub(super) fn pieces<T: Io + 'static>(io: T, ops: &'static PieceIo<T>) -> Self {
        Self(Box::new(Foreign { io: Some(io), abandon: ops.abandon, pieces: Some(ops) }))
    }

    pub(super) fn layer(layer: impl Layer + 'static) -> Self {
        Self(Box::new(layer))
    }

    pub(super) fn abandon(&mut self) {
        self.0.abandon();
    }

    pub(super) fn takes_pieces(&self) -> bool {
        self.0.takes_pieces()
    }

    pub(super) fn gives_pieces(&self) -> bool {
        self.0.gives_pieces()
    }

    pub(super) fn poll_read_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.0.poll_read_piece(cx)
    }

    pub(super) fn poll_write_piece(
        &mut self,
        cx: &mut Context<'_>,
        piece: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write_piece(cx, piece)
    }
}

impl Layer for Stream {
    fn abandon(&mut self) {
        if let Self::Layered(io) = self {
            io.inner_mut().abandon();
        }
    }
}

/// A stream of another crate.
struct Foreign<T: 'static> {
    /// `None` once it was abandoned.
    io: Option<T>,
    abandon: fn(T),
    /// Where it passes bytes without a copy.
    pieces: Option<&'static PieceIo<T>>,
}

impl<T: Io> Foreign<T> {
    fn io(&mut self) -> io::Result<Pin<&mut T>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn pieces(&self) -> io::Result<&'static PieceIo<T>> {
        self.pieces.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

impl<T: Io> Layer for Foreign<T> {
    fn abandon(&mut self) {
        if let Some(io) = self.io.take() {
            (self.abandon)(io);
        }
    }

    fn takes_pieces(&self) -> bool {
        self.pieces.is_some()
    }

    fn gives_pieces(&self) -> bool {
        self.pieces.is_some_and(|pieces| pieces.read.is_some())
    }

    fn poll_read_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let read = self.pieces()?.read.ok_or(io::ErrorKind::Unsupported)?;
        read(self.io()?, cx)
    }

    fn poll_write_piece(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<usize>> {
        (self.pieces()?.write)(self.io()?, cx, piece)
    }
}

impl<T: Io> AsyncRead for Foreign<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_read(cx, buf)
    }
}

impl<T: Io> AsyncWrite for Foreign<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().io()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().io()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(cx)
    }
}

impl AsyncRead for Boxed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Boxed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
