//! Bytes in shared memory on their way from one stream to another, where one of the two can pass them without a copy.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

use crate::{Stream, buffer::BULK};

/// A shorter piece is copied: it is not worth holding the whole buffer that it is a part of.
const PIECE_MIN: usize = 16 * 1024;
/// What is gathered for one write.
const GATHER: usize = 2 * BULK;
const SLICES: usize = 16;
/// Buffers that one thread keeps for its next reads while others still hold parts of them.
const KEPT_PER_THREAD: usize = 16;

thread_local! {
    static CHUNKS: RefCell<VecDeque<BytesMut>> = const { RefCell::new(VecDeque::new()) };
}

/// Pieces read and not yet written. Holds no memory while there are none.
#[derive(Default)]
pub(super) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes what `from` has, up to what is worth one write. Ready with the number of bytes, 0 at the end.
    pub(super) fn poll_take(&mut self, cx: &mut Context<'_>, from: &mut Stream) -> Poll<io::Result<usize>> {
        let mut taken = 0;
        while taken < GATHER && self.0.len() < SLICES {
            match from.poll_read_piece(cx) {
                Poll::Ready(Ok(piece)) if !piece.is_empty() => {
                    taken += piece.len();
                    self.0.push_back(piece);
                }
                // What was taken first goes first: the end, or the failure, is there to be seen again.
                _ if taken > 0 => break,
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(0)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.0 = VecDeque::new();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Reads from any stream into memory that can be shared. Ready with the number of bytes, 0 at the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, from: &mut Stream) -> Poll<io::Result<usize>> {
        let mut chunk = take_chunk();
        let read = poll_read_buf(pin!(from), cx, &mut chunk);
        if let Poll::Ready(Ok(1..)) = read {
            self.0.push_back(chunk.split().freeze());
        }
        give_back(chunk);
        let read = ready!(read)?;
        Poll::Ready(Ok(read))
    }

    /// Writes what `to` takes. Ready with the number of bytes.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<io::Result<usize>> {
        let Some(first) = self.0.front_mut() else { return Poll::Ready(Ok(0)) };
        if first.len() >= PIECE_MIN && to.takes_pieces() {
            let written = ready!(to.poll_write_piece(cx, first))?;
            if first.is_empty() {
                self.0.pop_front();
            }
            return Poll::Ready(Ok(written));
        }
        let written = if self.0.len() == 1 || to.takes_pieces() {
            let first = self.0.front().map(|first| &first[..]).unwrap_or_default();
            ready!(Pin::new(to).poll_write(cx, first))?
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.0) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            ready!(Pin::new(to).poll_write_vectored(cx, slices.get(..used).unwrap_or_default()))?
        };
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.0.front_mut() {
            if count < first.len() {
                return first.advance(count);
            }
            count -= first.len();
            self.0.pop_front();
        }
    }
}

/// A buffer of which nobody holds a part, with room for a large read: the one used last, which is still in the cache.
fn take_chunk() -> BytesMut {
    let free = |chunks: &RefCell<VecDeque<BytesMut>>| {
        let mut chunks = chunks.try_borrow_mut().ok()?;
        let free = chunks.iter_mut().rposition(|chunk| chunk.try_reclaim(BULK))?;
        chunks.remove(free)
    };
    CHUNKS.try_with(free).ok().flatten().unwrap_or_else(|| BytesMut::with_capacity(BULK))
}

fn give_back(chunk: BytesMut) {
    // While a thread ends its pool may be gone already; then the buffer is simply freed.
    let _ = CHUNKS.try_with(|chunks| {
        if let Ok(mut chunks) = chunks.try_borrow_mut()
            && chunks.len() < KEPT_PER_THREAD
        {
            chunks.push_back(chunk);
        }
    });
}
