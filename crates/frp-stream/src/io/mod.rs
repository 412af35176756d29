//! Streams: a TCP connection, or anything else that behaves like one.

mod boxed;
mod prefixed;

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

pub(crate) use boxed::Layer;
pub use boxed::{Boxed, PieceIo, ReadPiece};
use bytes::Bytes;
pub use prefixed::Prefixed;
#[cfg(target_os = "linux")]
use rustix::{io::Errno, net::RecvFlags};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// A byte stream in both directions: what every transport and layer is.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A TCP connection, with the bytes put back that were read while sniffing.
pub type PrefixedTcp = Prefixed<TcpStream>;

/// Any other stream (TLS, mux, layers), with bytes put back.
pub type PrefixedIo = Prefixed<Boxed>;

/// A connection of any kind: a control, work or visitor connection, a user's, or a local service's.
///
/// Plain TCP keeps its type, because two TCP connections can be joined more cheaply than by copying.
pub enum Stream {
    /// A TCP connection with nothing above it.
    Tcp(PrefixedTcp),
    /// Anything else: TLS, a mux stream, layers, an in-memory pipe.
    Layered(PrefixedIo),
}

/// What [`Stream::probe`] found.
#[derive(Debug)]
pub enum Probe {
    /// The peer has sent bytes; the next read gives them.
    Data,
    /// The peer has ended its direction.
    Closed,
    /// The connection failed.
    Failed(io::Error),
}

impl Stream {
    /// Wraps any stream. Use `Stream::from` for a TCP connection, so that it keeps its type.
    pub fn boxed(io: impl Io + 'static) -> Self {
        Self::boxed_with(io, drop)
    }

    /// Wraps a stream for which dropping is not the strongest way of ending it: `abandon` is called
    /// instead where the peer shall not go on sending to nobody.
    pub fn boxed_with<T: Io + 'static>(io: T, abandon: fn(T)) -> Self {
        Self::Layered(Prefixed::new(Bytes::new(), Boxed::plain(io, abandon)))
    }

    /// As [`Stream::boxed_with`], for a stream that can pass its bytes on without copying them.
    pub fn boxed_pieces<T: Io + 'static>(io: T, ops: &'static PieceIo<T>) -> Self {
        Self::Layered(Prefixed::new(Bytes::new(), Boxed::pieces(io, ops)))
    }

    /// Whether [`Stream::poll_read_piece`] can be called now.
    pub(crate) fn gives_pieces(&self) -> bool {
        matches!(self, Self::Layered(io) if io.prefix().is_empty() && io.inner().gives_pieces())
    }

    /// Whether [`Stream::poll_write_piece`] can be called.
    pub(crate) fn takes_pieces(&self) -> bool {
        matches!(self, Self::Layered(io) if io.inner().takes_pieces())
    }

    /// The next bytes without a copy; see [`PieceIo::read`].
    pub(crate) fn poll_read_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            Self::Layered(io) => io.inner_mut().poll_read_piece(cx),
        }
    }

    /// Writes without a copy, if it [takes pieces](Self::takes_pieces); see [`PieceIo::write`].
    pub(crate) fn poll_write_piece(
        &mut self,
        cx: &mut Context<'_>,
        piece: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            Self::Layered(io) => io.inner_mut().poll_write_piece(cx, piece),
        }
    }

    /// Puts a layer of this crate around a stream; whoever abandons it abandons the stream.
    pub(crate) fn layered(layer: impl Layer + 'static) -> Self {
        Self::Layered(Prefixed::new(Bytes::new(), Boxed::layer(layer)))
    }

    /// Closes the connection and lets the peer know, as far as the transport can tell it, that nobody
    /// reads what it still sends. What was written before and ended with a shutdown still arrives.
    ///
    /// A TCP connection that is closed says so by itself: what comes afterwards is answered with a reset.
    pub fn abandon(self) {
        match self {
            Self::Tcp(_) => {}
            Self::Layered(mut io) => io.inner_mut().abandon(),
        }
    }

    /// Puts `bytes` back: the next reads give them, before anything put back earlier.
    #[must_use]
    pub fn with_prefix(mut self, bytes: Bytes) -> Self {
        self.put_back(bytes);
        self
    }

    /// The TCP connection, if it is one with nothing above it and nothing put back: then its bytes may be
    /// moved past this stream.
    pub(crate) fn raw_tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) if tcp.prefix().is_empty() => Some(tcp.inner()),
            _ => None,
        }
    }

    /// The failure of a TCP connection from which nobody reads, as far as the runtime has heard of it. Bytes
    /// that came before can still be read.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        let Self::Tcp(tcp) = self else { return None };
        let failed = pin!(tcp.inner().ready(Interest::ERROR));
        if failed.poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            return None;
        }
        let known = tcp.inner().take_error().ok().flatten();
        Some(known.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }

    /// Puts `bytes` back: the next reads give them, before anything put back earlier.
    pub fn put_back(&mut self, bytes: Bytes) {
        match self {
            Self::Tcp(tcp) => tcp.put_back(bytes),
            Self::Layered(io) => io.put_back(bytes),
        }
    }

    fn prefix(&self) -> &Bytes {
        match self {
            Self::Tcp(tcp) => tcp.prefix(),
            Self::Layered(io) => io.prefix(),
        }
    }

    /// Bytes that have come, at most `limit`, without waiting; none if there are none, at the end of the stream, and where it
    /// is not known.
    ///
    /// Of a TCP connection the system is asked, since the runtime does not know of a new connection yet whether anything
    /// has come on it.
    ///
    /// # Errors
    /// The connection has failed, which the system says only once.
    pub fn take_arrived(&mut self, limit: usize) -> io::Result<Bytes> {
        match self {
            Self::Tcp(tcp) if tcp.prefix().is_empty() => arrived(tcp.inner(), limit),
            Self::Tcp(tcp) => Ok(tcp.take_prefix(limit)),
            Self::Layered(io) => Ok(io.take_prefix(limit)),
        }
    }

    /// Waits until the peer sends something or is gone, without losing a byte.
    ///
    /// Meant for a connection that waits in a pool, where the peer must stay silent: whatever this
    /// reports means that it is of no further use. At most one byte is read ahead.
    ///
    /// Safe to cancel.
    pub async fn probe(&mut self) -> Probe {
        poll_fn(|cx| self.poll_probe(cx)).await
    }

    /// The same without waiting: `None` while the peer is silent and, as far as known, there.
    pub fn probe_now(&mut self) -> Option<Probe> {
        match self.poll_probe(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(probe) => Some(probe),
            Poll::Pending => None,
        }
    }

    /// The poll function behind [`Stream::probe`].
    pub fn poll_probe(&mut self, cx: &mut Context<'_>) -> Poll<Probe> {
        if !self.prefix().is_empty() {
            return Poll::Ready(Probe::Data);
        }
        let mut byte = [0];
        let mut buf = ReadBuf::new(&mut byte);
        if let Err(error) = ready!(Pin::new(&mut *self).poll_read(cx, &mut buf)) {
            return Poll::Ready(Probe::Failed(error));
        }
        if buf.filled().is_empty() {
            return Poll::Ready(Probe::Closed);
        }
        self.put_back(Bytes::copy_from_slice(buf.filled()));
        Poll::Ready(Probe::Data)
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(Prefixed::new(Bytes::new(), tcp))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the prefix: it may hold a peer's secret.
        match self {
            Self::Tcp(tcp) => f.debug_tuple("Tcp").field(tcp.inner()).finish(),
            Self::Layered(_) => f.write_str("Layered"),
        }
    }
}

#[cfg(target_os = "linux")]
fn arrived(tcp: &TcpStream, limit: usize) -> io::Result<Bytes> {
    let mut buffer = crate::buffer::Buffer::take();
    let room = limit.min(buffer.len());
    let room = buffer.get_mut(..room).unwrap_or_default();
    let count = match rustix::net::recv(tcp, &mut *room, RecvFlags::DONTWAIT) {
        Ok((count, _)) => count,
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Err(error) => return Err(error.into()),
    };
    Ok(Bytes::copy_from_slice(room.get(..count).unwrap_or_default()))
}

#[cfg(not(target_os = "linux"))]
fn arrived(_: &TcpStream, _: usize) -> io::Result<Bytes> {
    Ok(Bytes::new())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Layered(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Layered(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Layered(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.is_write_vectored(),
            Self::Layered(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Layered(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Layered(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::testing::{pipe, tcp_pair};

    #[tokio::test]
    async fn bytes_put_back_last_come_first() {
        let (near, mut far) = pipe(64);
        far.write_all(b"rest").await.unwrap();
        far.shutdown().await.unwrap();
        let mut near = near.with_prefix("cd".into()).with_prefix("".into()).with_prefix("ab".into());
        assert_eq!(near.read_u8().await.unwrap(), b'a');
        let mut text = String::new();
        near.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "bcdrest");
    }

    #[tokio::test]
    async fn debug_output_hides_what_was_put_back() {
        let (near, _far) = pipe(64);
        assert!(!format!("{:?}", near.with_prefix("secret".into())).contains("secret"));
        let tcp = Stream::from(tcp_pair().await.0).with_prefix("secret".into());
        assert!(!format!("{tcp:?}").contains("secret"));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_reset_is_told_by_what_takes_what_has_arrived() {
        let (near, far) = tcp_pair().await;
        let mut near = Stream::from(near);
        assert_eq!(near.take_arrived(10).unwrap(), "");
        let Stream::Tcp(tcp) = &near else { panic!("another stream") };
        far.set_zero_linger().unwrap();
        drop(far);
        tcp.inner().ready(Interest::READABLE).await.unwrap();
        assert_eq!(near.take_arrived(10).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_probe_reports_and_loses_nothing() {
        let (near, mut far) = tcp_pair().await;
        let mut near = Stream::from(near);
        assert!(near.probe_now().is_none());
        far.write_all(b"hi").await.unwrap();
        assert!(matches!(near.probe().await, Probe::Data));
        assert!(matches!(near.probe_now(), Some(Probe::Data)));
        let mut bytes = [0; 2];
        near.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"hi");
        drop(far);
        assert!(matches!(near.probe().await, Probe::Closed));

        let (near, far) = tcp_pair().await;
        far.set_zero_linger().unwrap();
        drop(far);
        assert!(matches!(Stream::from(near).probe().await, Probe::Failed(_)));
    }
}
