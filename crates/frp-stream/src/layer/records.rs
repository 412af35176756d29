//! Encryption of the control channel of wire version 2: sealed records each way.
//!
//! Never of payload, which is encrypted by [`super::cipher`] in either version. Upstream golib `crypto`,
//! `aead_stream.go`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use frp_proto::crypto::{
    RecordKey,
    record::{Opener, RecordError, Sealer},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{Io, buffer::Buffer, io::Layer};

/// The most plain bytes that one write takes: they become one record.
const PIECE: usize = 16 * 1024;
/// Memory that is kept for later while nothing is under way.
const KEPT: usize = 4096;

/// A stream whose bytes go over the wire as records.
pub struct Records<S> {
    inner: S,
    opener: Opener,
    sealer: Sealer,
    /// Opened and not yet read, from `read_from` on.
    input: Vec<u8>,
    read_from: usize,
    /// Sealed and not yet written, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// A record was forged: nothing more is read.
    failed: Option<RecordError>,
}

impl<S: Io> Records<S> {
    /// Seals what is written to `inner`, and opens what is read from it.
    pub fn new(inner: S, send: &RecordKey, receive: &RecordKey) -> Self {
        Self {
            inner,
            opener: Opener::new(receive.clone()),
            sealer: Sealer::new(send, rand::random()),
            input: Vec::new(),
            read_from: 0,
            output: Vec::new(),
            written: 0,
            failed: None,
        }
    }

    /// Hands over opened bytes; false if there are none.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let ready = self.input.get(self.read_from..).unwrap_or_default();
        if ready.is_empty() {
            return false;
        }
        let count = ready.len().min(buf.remaining());
        buf.put_slice(ready.get(..count).unwrap_or_default());
        self.read_from += count;
        if self.read_from == self.input.len() {
            self.input.clear();
            self.input.shrink_to(KEPT);
            self.read_from = 0;
        }
        true
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.output.clear();
        self.output.shrink_to(KEPT);
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

fn broken(error: RecordError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: Layer> Layer for Records<S> {
    fn abandon(&mut self) {
        self.inner.abandon();
    }
}

impl<S: Io> AsyncRead for Records<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.give(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(error) = this.failed {
                return Poll::Ready(Err(broken(error)));
            }
            // Held for one poll only.
            let mut buffer = Buffer::take();
            let mut wire = ReadBuf::new(buffer.get_mut(..PIECE).unwrap_or_default());
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut wire))?;
            if wire.filled().is_empty() {
                return Poll::Ready(if this.opener.is_between_records() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                });
            }
            // What came whole in front of a forged record is given first.
            this.failed = this.opener.open(wire.filled(), &mut this.input).err();
        }
    }
}

impl<S: Io> AsyncWrite for Records<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let piece = buf.get(..PIECE).unwrap_or(buf);
        this.sealer.seal(piece, &mut this.output).map_err(broken)?;
        // What is not taken now goes before the next write, flush or shutdown ends.
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}
