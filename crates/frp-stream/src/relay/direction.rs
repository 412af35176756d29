//! One direction of a relay: bytes from one stream to the other, then the end of stream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(target_os = "linux")]
use super::room;
use super::{Operation, pieces::Pieces, splice::Splice};
use crate::{
    Stream,
    buffer::{BULK, Buffer, Pending},
};

/// Reads after which a direction lets other tasks run, although more is there. Streams over sockets
/// do so by themselves (tokio's budget); others may not.
const READS_PER_POLL: usize = 32;

/// Bytes after which it does so in any case.
const BYTES_PER_POLL: u64 = 2 * 1024 * 1024;

/// What one direction is doing. Bytes are copied through a pooled buffer, passed on in pieces to or from a stream that
/// shares its memory, or, from one TCP connection to another and where it pays, spliced; they are read only when none are held in either.
#[derive(Default)]
pub(super) struct Direction {
    /// Read into memory and not yet written.
    pending: Pending,
    /// The same in memory that one of the streams shares.
    pieces: Pieces,
    /// Moved into a pipe and not yet out of it.
    splice: Splice,
    /// Bytes taken by the stream written to, all in all.
    moved: u64,
    /// The stream written to was full the last time that this direction waited for one of the two.
    blocked: bool,
    /// The stream read from has ended.
    read_ended: bool,
    /// The stream written to may hold bytes that it has not sent.
    unflushed: bool,
    /// The end was passed on.
    ended: bool,
}

/// Which of the two streams failed, by what was done with it.
pub(super) type Failure = (Operation, io::Error);

impl Direction {
    /// Bytes that have reached the stream written to.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether no bytes are held.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.pieces.is_empty() && self.splice.is_empty()
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn is_bulk(&self) -> bool {
        self.splice.is_due()
    }

    /// Whether it is the stream written to that holds up this direction.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether the stream read from has ended.
    pub(super) fn read_ended(&self) -> bool {
        self.read_ended
    }

    /// Moves what can be moved. Ready when the stream read from has ended and that was passed on, or
    /// when one of the two failed.
    pub(super) fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<Result<(), Failure>> {
        let before = self.moved;
        for _ in 0..READS_PER_POLL {
            ready!(self.poll_write_held(cx, to))?;
            if self.read_ended {
                return self.poll_end(cx, to);
            }
            if self.moved - before >= BYTES_PER_POLL {
                break;
            }
            ready!(self.poll_room(cx, to))?;
            match self.poll_read(cx, from, to) {
                Poll::Pending => {
                    self.blocked = false;
                    self.poll_flush(cx, to)?;
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err((Operation::Read, error))),
                Poll::Ready(Ok(read)) => self.read_ended = read == 0,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands over what was read, without reading more.
    pub(super) fn poll_hand_over(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Stream,
    ) -> Poll<Result<(), Failure>> {
        ready!(self.poll_write_held(cx, to))?;
        Pin::new(to).poll_flush(cx).map_err(|error| (Operation::Write, error))
    }

    /// Hands over what was read, then ends the stream written to, without reading more.
    pub(super) fn poll_finish(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), Failure>> {
        ready!(self.poll_write_held(cx, to))?;
        self.poll_end(cx, to)
    }

    /// Waits for a stream that was full to be so no more, so that a slow reader's bytes stay where they are.
    fn poll_room(&self, cx: &mut Context<'_>, to: &Stream) -> Poll<Result<(), Failure>> {
        #[cfg(target_os = "linux")]
        if let Some(to) = to.raw_tcp()
            && self.blocked
        {
            return room::poll_room(cx, to).map_err(|error| (Operation::Write, error));
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into memory or into a pipe; ready with the number of bytes, 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, from: &mut Stream, to: &Stream) -> Poll<io::Result<usize>> {
        if self.splice.is_due()
            && let (Some(from), Some(_)) = (from.raw_tcp(), to.raw_tcp())
            && let Some(moved) = ready!(self.splice.poll_fill(cx, from))?
        {
            return Poll::Ready(Ok(moved));
        }
        if from.gives_pieces() {
            return self.pieces.poll_take(cx, from);
        }
        if to.takes_pieces() {
            return self.pieces.poll_read(cx, from);
        }
        let mut buffer = Buffer::take();
        let mut unread = ReadBuf::new(buffer.get_mut(..BULK).unwrap_or_default());
        ready!(Pin::new(from).poll_read(cx, &mut unread))?;
        let read = unread.filled().len();
        self.splice.saw(read == BULK);
        self.pending.hold(buffer, 0, read);
        Poll::Ready(Ok(read))
    }

    fn poll_write_held(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), Failure>> {
        while !self.is_idle() {
            let written = match to.raw_tcp() {
                Some(to) if !self.splice.is_empty() => self.splice.poll_drain(cx, to),
                _ if !self.pieces.is_empty() => self.pieces.poll_write(cx, to),
                _ => Pin::new(&mut *to).poll_write(cx, self.pending.bytes()),
            };
            self.blocked |= written.is_pending();
            let written = match ready!(written) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                other => other,
            };
            let written = written.map_err(|error| (Operation::Write, error))?;
            self.pending.advance(written);
            self.moved += written as u64;
            self.unflushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), Failure>> {
        if !self.ended {
            ready!(Pin::new(to).poll_shutdown(cx)).map_err(|error| (Operation::Write, error))?;
            self.ended = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing more to read for now: what the other stream holds back must go.
    fn poll_flush(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Result<(), Failure> {
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(to).poll_flush(cx)
        {
            flushed.map_err(|error| (Operation::Write, error))?;
            self.unflushed = false;
        }
        Ok(())
    }
}
