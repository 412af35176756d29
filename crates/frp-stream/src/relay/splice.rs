//! Bulk from one TCP connection to another without a copy: `splice(2)` through a pipe.
//!
//! A splice hands the pages that hold the bytes of one connection over to the other. It costs two system
//! calls whatever the size, and a reference per page, so it loses for small pieces and wins for large
//! ones. A direction therefore starts with copies, turns bulk when its reads keep filling their buffers,
//! and turns back when what it moves gets small.
//!
//! A pipe is held only while bytes are in it. It comes from a pool with a bounded number of pipes; a
//! direction that gets none goes on copying.
//!
//! # What the numbers stand on
//!
//! Measured on 2026-11-23 over loopback on two cores that builds were using too (Linux 6.18), as ratios of
//! CPU time, spliced to copied, of the least of many rounds:
//!
//! | pieces of | 100 B | 16 kB | 32 kB | 48 kB | 64 kB | 128 kB | 256 kB |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | relay and both its ends | 1.06–1.09 | 1.02–1.04 | 1.03–1.19 | 0.93–0.98 | 0.77–1.06 | 0.68–0.87 | 0.55–0.61 |
//!
//! Bulk (`examples/relay_tcp`, the relay's process alone, medians): 0.5 to 0.9 with one stream, 0.5 to 0.75
//! with eight, and pipes of 1 MiB take 0.66 to 0.80 of the time of those of 256 KiB.

mod pipe;
#[cfg(test)]
mod tests;

use std::{
    io, mem,
    task::{Context, Poll, ready},
};

use rustix::{
    io::{Errno, retry_on_intr},
    pipe::{SpliceFlags, splice},
};
use tokio::{io::Interest, net::TcpStream};

use self::pipe::{CAPACITY, Pipe};

/// Consecutive reads that filled their buffer, after which a direction is bulk.
const FULL_READS: i8 = 2;

/// The same when there was no pipe.
const FULL_READS_WITHOUT_PIPE: i8 = 64;

/// A piece smaller than this would be cheaper to copy.
const SMALL: usize = 32 * 1024;

/// Consecutive small pieces after which a direction is bulk no more.
const SMALL_PIECES: i8 = 4;

/// The least that is taken at once, if there is as much.
const LEAST_PIECE: usize = 64 * 1024;

/// Neither waits for the pipe; the connections do not block anyway.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// The splicing half of a direction.
#[derive(Default)]
pub(super) struct Splice {
    /// Never empty.
    pipe: Option<Pipe>,
    mode: Mode,
    piece: Piece,
    /// The last time there was nothing to take.
    dry: bool,
}

/// How much to take at once: not much more than the other connection does, so that pipes are soon empty.
struct Piece(usize);

enum Mode {
    /// Copying, until so many reads in a row have filled their buffers.
    Copy { missing: i8 },
    /// Splicing, until so many small pieces in a row have come.
    Bulk { left: i8 },
}

impl Splice {
    /// Whether no bytes are held.
    pub(super) fn is_empty(&self) -> bool {
        self.pipe.is_none()
    }

    /// Whether the next bytes are better spliced than copied.
    pub(super) fn is_due(&self) -> bool {
        matches!(self.mode, Mode::Bulk { .. })
    }

    /// Takes note of a read into memory, which did or did not fill its buffer.
    pub(super) fn saw(&mut self, full: bool) {
        if let Mode::Copy { missing } = &mut self.mode {
            *missing = if full { *missing - 1 } else { (*missing).max(FULL_READS) };
            if *missing <= 0 {
                self.mode = Mode::Bulk { left: SMALL_PIECES };
            }
        }
    }

    /// Moves bytes from a connection into a pipe, and tells how many: 0 at the end of the stream, `None`
    /// when it can't be done and they have to be copied. Only when nothing is held.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<Option<usize>>> {
        debug_assert!(self.is_empty());
        ready!(from.poll_read_ready(cx))?;
        let Some(mut pipe) = Pipe::take() else { return self.give_up() };
        match self.fill(from, &pipe) {
            Ok(n) => {
                self.dry = false;
                self.weigh(n);
                pipe.held = n;
                self.hold(pipe);
                Poll::Ready(Ok(Some(n)))
            }
            Err(error) => {
                pipe.give_back();
                match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        if !mem::replace(&mut self.dry, true) {
                            ready!(from.poll_read_ready(cx))?;
                        }
                        Poll::Ready(Ok(None))
                    }
                    _ if is_refusal(&error) => self.give_up(),
                    _ => Poll::Ready(Err(error)),
                }
            }
        }
    }

    fn fill(&self, from: &TcpStream, pipe: &Pipe) -> io::Result<usize> {
        let fill = || Ok(retry_on_intr(|| splice(from, None, &pipe.writer, None, self.piece.0, FLAGS))?);
        // The pipe is empty: "would block" can only be the connection's word. Said twice although the
        // connection is readable it can mean an urgent byte, which only a read gets past.
        if self.dry { fill() } else { from.try_io(Interest::READABLE, fill) }
    }

    /// Moves what is held on to the other connection; ready with the number of bytes that it took, 0 only
    /// when nothing is held.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        let Some(mut pipe) = self.pipe.take() else { return Poll::Ready(Ok(0)) };
        let drained = loop {
            match to.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
            let drain = || Ok(retry_on_intr(|| splice(&pipe.reader, None, to, None, pipe.held, FLAGS))?);
            // The pipe is not empty: "would block" can only be the connection's word.
            match to.try_io(Interest::WRITABLE, drain) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(n) => {
                    pipe.held -= n.min(pipe.held);
                    self.piece.adapt(n, pipe.held);
                    break Poll::Ready(Ok(n));
                }
                Err(error) => break Poll::Ready(Err(error)),
            }
        };
        self.hold(pipe);
        drained
    }

    fn hold(&mut self, pipe: Pipe) {
        if pipe.held > 0 {
            self.pipe = Some(pipe);
        } else {
            pipe.give_back();
        }
    }

    /// Takes note of what a splice moved.
    fn weigh(&mut self, piece: usize) {
        if let Mode::Bulk { left } = &mut self.mode {
            *left = if piece < SMALL { *left - 1 } else { SMALL_PIECES };
            if *left <= 0 {
                self.mode = Mode::default();
            }
        }
    }

    fn give_up(&mut self) -> Poll<io::Result<Option<usize>>> {
        self.mode = Mode::Copy { missing: FULL_READS_WITHOUT_PIPE };
        Poll::Ready(Ok(None))
    }
}

impl Piece {
    /// Takes note of how much the other connection took at once, and did not take.
    fn adapt(&mut self, taken: usize, left: usize) {
        self.0 = if left > 0 { taken } else { self.0 + self.0 / 8 }.clamp(LEAST_PIECE, CAPACITY);
    }
}

impl Default for Piece {
    fn default() -> Self {
        Self(CAPACITY)
    }
}

impl Default for Mode {
    fn default() -> Self {
        Self::Copy { missing: FULL_READS }
    }
}

/// Whether it is splicing that fails and not the connection: a kernel, a sandbox or a kind of socket that
/// does not have it.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}
