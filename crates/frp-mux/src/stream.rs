//! One stream of a session, as an asynchronous byte stream.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::engine::{Read, Room, SMALL_WRITE, StreamKey};
use crate::shared::Shared;

/// One stream of a session.
///
/// Reads and writes are safe to cancel: a read that was not finished has taken nothing, a write that was not finished
/// has queued nothing. Flushing has nothing to wait for, since the driver sends what is queued as soon as the
/// transport takes it.
///
/// Shutdown sends FIN behind what is queued, and reading goes on until the peer's FIN. Dropping ends both directions:
/// - after a shutdown, what is queued still goes out, what the peer still sends is dropped, and if its FIN does not
///   come within the close timeout (5 min) it gets RST;
/// - without one, the peer gets RST if there is something it sent that was not read, or if it sends more. Otherwise it
///   gets FIN behind what is queued, or RST if that has not gone out within 1 s.
pub struct MuxStream {
    shared: Arc<Shared>,
    key: StreamKey,
    id: u32,
    /// The piece being read.
    current: Bytes,
    /// How many bytes were taken out of the engine and not reported as used up.
    taken: usize,
    /// The end or an error was seen.
    finished: bool,
    abandoned: bool,
}

impl MuxStream {
    pub(crate) fn new(shared: Arc<Shared>, key: StreamKey, id: u32) -> Self {
        Self { shared, key, id, current: Bytes::new(), taken: 0, finished: false, abandoned: false }
    }

    /// The stream's id on the wire: odd when frpc opened it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Ends the stream in both directions at once: what is queued is dropped and the peer gets RST.
    pub fn abort(self) {
        let mut state = self.shared.lock();
        state.engine.reset(self.key);
        self.shared.unlock(state, false);
    }

    /// Drops the stream so that the peer does not go on sending to nobody, also after a shutdown: what is queued still
    /// goes out, then FIN, and behind it RST as soon as the peer has sent, or sends, what was not read. If it was not
    /// shut down and what is queued has not gone out within 1 s, RST comes instead.
    pub fn abandon(mut self) {
        self.abandoned = true;
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
        let count = ready!(self.poll_room(cx))?.min(data.len());
        let part = data.split_to(count);
        let mut state = self.shared.lock();
        state.engine.write(self.key, part);
        self.shared.unlock(state, false);
        Poll::Ready(Ok(count))
    }

    /// Like `poll_read` without a copy: the next bytes as they arrived, none at the end. They count as read when the
    /// next piece is asked for.
    ///
    /// # Errors
    /// As `poll_read`.
    pub fn poll_read_piece(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let this = self.get_mut();
        ready!(this.poll_fill(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut this.current)))
    }

    /// Bytes that arrived and were not read.
    #[cfg(all(test, not(frp_loom)))]
    pub(crate) fn waiting(&self) -> usize {
        self.current.len() + self.shared.lock().engine.waiting(self.key)
    }

    /// Makes `current` hold bytes. `false` means the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.current.is_empty() {
            return Poll::Ready(Ok(true));
        }
        if self.finished {
            return Poll::Ready(Ok(false));
        }
        let mut state = self.shared.lock();
        let done = std::mem::take(&mut self.taken);
        let read = state.engine.read(self.key, done, cx.waker());
        let end = if read == Read::Pending { state.end.clone() } else { None };
        self.shared.unlock(state, false);
        if let Some(end) = end {
            return Poll::Ready(Err(end.to_io()));
        }
        match read {
            Read::Data(data) => {
                self.taken = data.len();
                self.current = data;
                Poll::Ready(Ok(true))
            }
            Read::Pending => Poll::Pending,
            Read::End => {
                self.finished = true;
                Poll::Ready(Ok(false))
            }
            Read::Reset => Poll::Ready(Err(reset())),
        }
    }

    /// How many bytes fit, at least one.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = self.shared.lock();
        if let Some(end) = &state.end {
            return Poll::Ready(Err(end.to_io()));
        }
        match state.engine.room(self.key, cx.waker()) {
            Room::Bytes(room) => Poll::Ready(Ok(room)),
            Room::Full => Poll::Pending,
            Room::Closed => Poll::Ready(Err(closed())),
            Room::Reset => Poll::Ready(Err(reset())),
        }
    }
}

fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset")
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "stream closed")
}

impl AsyncRead for MuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        while buf.remaining() > 0 {
            match this.poll_fill(cx) {
                Poll::Ready(Ok(true)) => {
                    let count = this.current.len().min(buf.remaining());
                    buf.put_slice(&this.current[..count]);
                    this.current.advance(count);
                }
                Poll::Ready(Ok(false)) => break,
                // What was read first is given first; the rest comes with the next call.
                _ if buf.filled().len() > before => break,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for MuxStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_fill(cx))?;
        Poll::Ready(Ok(&this.current))
    }

    fn consume(self: Pin<&mut Self>, count: usize) {
        let this = self.get_mut();
        this.current.advance(count.min(this.current.len()));
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        // Only this handle takes room, so what there is now is still there after the copy.
        let count = ready!(self.poll_room(cx))?.min(total);
        let mut left = count;
        let mut parts = slices.iter().map_while(|slice| {
            let part = &slice[..slice.len().min(left)];
            left -= part.len();
            (!part.is_empty() || left > 0).then_some(part)
        });
        if count <= SMALL_WRITE {
            let mut state = self.shared.lock();
            parts.for_each(|part| state.engine.write_small(self.key, part));
            self.shared.unlock(state, false);
        } else {
            let data = match (parts.next(), parts.next()) {
                (Some(only), None) => Bytes::copy_from_slice(only),
                (first, second) => {
                    let mut data = Vec::with_capacity(count);
                    first
                        .into_iter()
                        .chain(second)
                        .chain(parts)
                        .for_each(|part| data.extend_from_slice(part));
                    Bytes::from(data)
                }
            };
            let mut state = self.shared.lock();
            state.engine.write(self.key, data);
            self.shared.unlock(state, false);
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.shared.lock();
        state.engine.finish(self.key);
        self.shared.unlock(state, false);
        Poll::Ready(Ok(()))
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut state = self.shared.lock();
        let unread = !self.current.is_empty();
        if self.abandoned {
            state.engine.abandon(self.key, unread, now);
        } else {
            state.engine.release(self.key, unread, now);
        }
        state.streams -= 1;
        self.shared.unlock(state, true);
    }
}

impl std::fmt::Debug for MuxStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MuxStream").field("id", &self.id).finish_non_exhaustive()
    }
}
