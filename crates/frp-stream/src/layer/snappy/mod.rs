//! Compression of a proxy's payload (`useCompression`): the snappy framing format.
//!
//! Every write becomes a chunk at once, as with the unbuffered writer of golang/snappy, which
//! upstream uses (`golib` `io`): nothing waits for more bytes to come. Nothing marks the end.

pub mod frame;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use frame::{Decoder, SnappyError, Step};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Io,
    buffer::{Buffer, Pending},
    io::Layer,
};

/// A stream whose bytes are compressed on the wire.
///
/// Between calls it holds at most one buffer per direction, and none while nothing is in flight:
/// the start of a chunk whose end has not come, and a chunk that the stream below has not taken.
pub struct Snappy<S> {
    inner: S,
    decoder: Decoder,
    /// Read and not yet decoded.
    input: Pending,
    /// Decoded and not yet read.
    plain: Pending,
    /// Whether the stream identifier was written.
    identified: bool,
    /// Encoded and not yet written.
    output: Pending,
}

impl<S: Io> Snappy<S> {
    /// Compresses what is written to `inner`, and decompresses what is read from it.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            decoder: Decoder::default(),
            input: Pending::default(),
            plain: Pending::default(),
            identified: false,
            output: Pending::default(),
        }
    }

    /// Decodes as many whole chunks as are there and fit. Returns how long the next one is when more
    /// of it is needed.
    fn decode(&mut self, buf: &mut ReadBuf<'_>) -> Result<Option<usize>, SnappyError> {
        loop {
            match self.decoder.next(self.input.bytes(), buf.initialize_unfilled())? {
                Step::Need(len) => return Ok(Some(len)),
                Step::Skipped { consumed } => self.input.advance(consumed),
                Step::Data { consumed, plain } => {
                    self.input.advance(consumed);
                    buf.advance(plain);
                }
                Step::Room(_) if !buf.filled().is_empty() => return Ok(None),
                Step::Room(_) => {
                    let mut buffer = Buffer::take();
                    if let Step::Data { consumed, plain } =
                        self.decoder.next(self.input.bytes(), &mut buffer)?
                    {
                        self.input.advance(consumed);
                        self.plain.hold(buffer, 0, plain);
                    }
                    return Ok(None);
                }
            }
        }
    }
}

impl<S: Layer> Layer for Snappy<S> {
    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

impl<S: Io> AsyncRead for Snappy<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if !this.plain.is_empty() {
                this.plain.read(buf);
                return Poll::Ready(Ok(()));
            }
            // A view of the unfilled part, so that "anything decoded" is "anything filled".
            let mut part = ReadBuf::new(buf.initialize_unfilled());
            let needed = this.decode(&mut part);
            let decoded = part.filled().len();
            if decoded > 0 {
                // What stands before a fault counts; the fault is found again.
                buf.advance(decoded);
                return Poll::Ready(Ok(()));
            }
            if let Some(needed) = needed.map_err(invalid_data)?
                && ready!(this.input.poll_fill(cx, &mut this.inner, needed))? == 0
            {
                // Between two chunks a stream may end, inside one it may not.
                let ended =
                    if this.input.is_empty() { Ok(()) } else { Err(invalid_data(SnappyError::Corrupt)) };
                return Poll::Ready(ended);
            }
        }
    }
}

impl<S: Io> AsyncWrite for Snappy<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.output.poll_write_to(cx, &mut this.inner))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut buffer = Buffer::take();
        let mut start = 0;
        if !this.identified
            && let Some(head) = buffer.first_chunk_mut()
        {
            *head = frame::STREAM_IDENTIFIER;
            start = head.len();
            this.identified = true;
        }
        let (taken, len) = frame::encode_chunk(buf, &mut buffer[start..]);
        this.output.hold(buffer, 0, start + len);
        // What is not taken now goes before the next write, flush or shutdown ends.
        if let Poll::Ready(Err(error)) = this.output.poll_write_to(cx, &mut this.inner) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_write_to(cx, &mut this.inner))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_write_to(cx, &mut this.inner))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

fn invalid_data(error: SnappyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
