//! Streams of any type behind one.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
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

    /// See [`PieceIo::write`]; copies where pieces do not pass.
    fn poll_write_piece(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<usize>> {
        let written = Pin::new(self).poll_write(cx, piece);
        if let Poll::Ready(Ok(count)) = written {
            piece.advance(count);
        }
        written
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
        Self(Box::new(Plain { io: Some(io), abandon }))
    }

    pub(super) fn pieces<T: Io + 'static>(io: T, ops: &'static PieceIo<T>) -> Self {
        Self(Box::new(Piecewise { io: Some(io), ops }))
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

/// A stream of another crate. `None` once it was abandoned.
struct Plain<T> {
    io: Option<T>,
    abandon: fn(T),
}

impl<T: Io> Plain<T> {
    fn io(&mut self) -> io::Result<Pin<&mut T>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: Io> Layer for Plain<T> {
    fn abandon(&mut self) {
        if let Some(io) = self.io.take() {
            (self.abandon)(io);
        }
    }
}

/// A stream of another crate that passes bytes without a copy. `None` once it was abandoned.
struct Piecewise<T: 'static> {
    io: Option<T>,
    ops: &'static PieceIo<T>,
}

impl<T: Io> Piecewise<T> {
    fn io(&mut self) -> io::Result<Pin<&mut T>> {
        self.io.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl<T: Io> Layer for Piecewise<T> {
    fn abandon(&mut self) {
        if let Some(io) = self.io.take() {
            (self.ops.abandon)(io);
        }
    }

    fn takes_pieces(&self) -> bool {
        true
    }

    fn gives_pieces(&self) -> bool {
        self.ops.read.is_some()
    }

    fn poll_read_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self.ops.read {
            Some(read) => read(self.io()?, cx),
            None => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        }
    }

    fn poll_write_piece(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<usize>> {
        (self.ops.write)(self.io()?, cx, piece)
    }
}

/// Reading and writing as the stream inside does.
macro_rules! pass_through {
    ($outer:ident) => {
        impl<T: Io> AsyncRead for $outer<T> {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.get_mut().io()?.poll_read(cx, buf)
            }
        }

        impl<T: Io> AsyncWrite for $outer<T> {
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
    };
}

pass_through!(Plain);
pass_through!(Piecewise);

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
