//! The bytes of a conversation.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::shared::{Closed, Shared};
use crate::conversation::Readable;

/// The stream of a conversation. Dropping it lets what was written still arrive, for a bounded time; a peer of ours
/// gets to know of it, a stock peer cannot.
pub struct KcpStream {
    shared: Arc<Shared>,
}

impl KcpStream {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The other end.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.shared.peer
    }

    /// This end.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// Writes as much as there is room for of what `slices` gives.
    fn write<'a>(&self, cx: &Context<'_>, slices: impl Iterator<Item = &'a [u8]>) -> Poll<io::Result<usize>> {
        let mut state = self.shared.lock();
        if let Some(closed) = state.closed {
            return Poll::Ready(Err(closed.into()));
        }
        if state.conversation.is_finished() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let (mut count, mut offered) = (0, 0);
        for slice in slices {
            offered += slice.len();
            count += state.conversation.write(slice);
            if count < offered {
                break;
            }
        }
        if count == 0 && offered > 0 {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.shared.wake.notify_one();
        Poll::Ready(Ok(count))
    }
}

impl AsyncRead for KcpStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        match state.conversation.readable() {
            Readable::Bytes => {}
            Readable::End => return Poll::Ready(Ok(())),
            Readable::Nothing => {
                // What the peer sent before it left may still be on its way.
                if let Some(closed) = state.closed.filter(|&closed| closed != Closed::PeerLeft) {
                    return Poll::Ready(Err(closed.into()));
                }
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let (count, reopened) = state.conversation.read(now, into.initialize_unfilled());
        drop(state);
        into.advance(count);
        if reopened {
            self.shared.wake.notify_one();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for KcpStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, std::iter::once(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was written leaves at once anyway.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.shared.now();
        self.shared.lock().conversation.finish(now);
        self.shared.wake.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl Drop for KcpStream {
    fn drop(&mut self) {
        let now = self.shared.now();
        self.shared.lock().conversation.abandon(now);
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for KcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KcpStream").field("peer", &self.shared.peer).finish_non_exhaustive()
    }
}
