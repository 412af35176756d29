//! Buffers that are held only while bytes are in flight.
//!
//! A relay or layer takes a buffer for the duration of one poll and gives it back at its end; it
//! keeps it across polls only while the next stage has not taken all bytes. Idle connections
//! therefore hold none, and a busy thread uses the same few, warm in its cache.

use std::{
    cell::RefCell,
    io,
    ops::{Deref, DerefMut},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a relay reads at once. Larger reads gain nothing measurable over loopback.
pub(crate) const BULK: usize = 64 * 1024;

/// Size of a pooled buffer: [`BULK`] and room for what a layer puts around it (an IV of 16 bytes,
/// the snappy stream identifier and a chunk header, 18 bytes).
pub(crate) const BUFFER: usize = BULK + 64;

/// Buffers that one thread keeps for later; more than the deepest nesting of layers needs.
const KEPT_PER_THREAD: usize = 8;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A byte buffer of a little over 64 KiB (or more, then not pooled) that goes back to the pool of the
/// thread on which it is dropped. Its contents are whatever the last user left.
///
/// Take it for the duration of one poll, and keep it longer only while it holds bytes.
pub struct Buffer(Box<[u8]>);

impl Buffer {
    /// A buffer from the pool of this thread, or a new one where that is empty.
    #[must_use]
    pub fn take() -> Self {
        let pooled = POOL.try_with(|pool| pool.try_borrow_mut().ok()?.pop()).ok().flatten();
        Self(pooled.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice()))
    }

    /// A buffer of at least `len` bytes.
    pub(crate) fn with_len(len: usize) -> Self {
        if len <= BUFFER { Self::take() } else { Self(vec![0; len].into_boxed_slice()) }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.0.len() != BUFFER {
            return;
        }
        let bytes = std::mem::take(&mut self.0);
        // While a thread ends its pool may be gone already; then the buffer is simply freed.
        let _ = POOL.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut()
                && pool.len() < KEPT_PER_THREAD
            {
                pool.push(bytes);
            }
        });
    }
}

/// Bytes waiting to be written or read, in a pooled buffer.
#[derive(Default)]
pub(crate) struct Pending(Option<Held>);

struct Held {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The waiting bytes; empty when there are none.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().and_then(|held| held.buffer.get(held.start..held.end)).unwrap_or_default()
    }

    /// Keeps `buffer[start..end]`. What was waiting before must be gone.
    pub(crate) fn hold(&mut self, buffer: Buffer, start: usize, end: usize) {
        debug_assert!(self.is_empty() && end <= buffer.len());
        if start < end {
            self.0 = Some(Held { buffer, start, end });
        }
    }

    /// Forgets the first `n` waiting bytes; gives the buffer back when none is left.
    pub(crate) fn advance(&mut self, n: usize) {
        if let Some(held) = &mut self.0 {
            held.start += n;
            if held.start >= held.end {
                self.0 = None;
            }
        }
    }

    /// Hands over as many waiting bytes as fit.
    pub(crate) fn read(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.bytes().len().min(buf.remaining());
        buf.put_slice(&self.bytes()[..n]);
        self.advance(n);
    }

    /// Writes all waiting bytes to `to`.
    pub(crate) fn poll_write_to(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            match ready!(Pin::new(&mut *to).poll_write(cx, self.bytes()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.advance(n),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more bytes behind the waiting ones, with room for `needed` in all, and returns how many
    /// came: 0 at the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        needed: usize,
    ) -> Poll<io::Result<usize>> {
        let mut held = self.0.take().unwrap_or_else(|| Held { buffer: Buffer::take(), start: 0, end: 0 });
        held.make_room(needed);
        let mut unread = ReadBuf::new(&mut held.buffer[held.end..]);
        let read = match Pin::new(from).poll_read(cx, &mut unread) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(unread.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        if let Poll::Ready(Ok(n)) = read {
            held.end += n;
        }
        self.hold(held.buffer, held.start, held.end);
        read
    }
}

impl Held {
    /// Moves the bytes to the front, into a larger buffer if `needed` asks for one.
    fn make_room(&mut self, needed: usize) {
        if needed > self.buffer.len() {
            let mut larger = Buffer::with_len(needed);
            larger[..self.end - self.start].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = larger;
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
        }
        self.end -= self.start;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_reused_on_a_thread_and_their_number_is_bounded() {
        let many: Vec<_> = (0..KEPT_PER_THREAD * 2).map(|_| Buffer::take()).collect();
        drop(many);
        assert_eq!(POOL.with_borrow(Vec::len), KEPT_PER_THREAD);
        let one = Buffer::take();
        assert_eq!((one.len(), POOL.with_borrow(Vec::len)), (BUFFER, KEPT_PER_THREAD - 1));
        drop(one);
        drop(Buffer::with_len(BUFFER + 1));
        assert_eq!(POOL.with_borrow(Vec::len), KEPT_PER_THREAD);
    }

    #[test]
    fn pending_gives_its_buffer_back_with_the_last_byte() {
        let mut pending = Pending::default();
        let mut buffer = Buffer::take();
        buffer[..4].copy_from_slice(b"abcd");
        pending.hold(buffer, 1, 4);
        assert_eq!(pending.bytes(), b"bcd");
        pending.advance(2);
        assert_eq!(pending.bytes(), b"d");
        pending.advance(1);
        assert!(pending.is_empty() && pending.bytes().is_empty());
    }
}
