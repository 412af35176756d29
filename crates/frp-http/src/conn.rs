//! A connection with what was read ahead and what waits to be written.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use frp_stream::{Buffer, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Output that is copied behind what already waits, instead of being written by itself.
const COPIED: usize = 16 * 1024;
/// Room for output that is kept by an idle connection.
const KEPT: usize = 4096;

/// See the module. Idle, it holds no buffer for input and a small one for output.
pub struct Conn {
    stream: Stream,
    input: Input,
    /// What waits to be written, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// The peer has ended its direction.
    ended: bool,
    read: u64,
    sent: u64,
}

/// Bytes that were read and not yet used.
#[derive(Default)]
struct Input {
    storage: Storage,
    start: usize,
    end: usize,
}

#[derive(Default)]
enum Storage {
    #[default]
    None,
    Pooled(Buffer),
    Large(Vec<u8>),
}

impl Storage {
    fn bytes(&mut self) -> &mut [u8] {
        match self {
            Self::None => &mut [],
            Self::Pooled(buffer) => buffer,
            Self::Large(bytes) => bytes,
        }
    }
}

impl Input {
    fn bytes(&self) -> &[u8] {
        let all: &[u8] = match &self.storage {
            Storage::None => &[],
            Storage::Pooled(buffer) => buffer,
            Storage::Large(bytes) => bytes,
        };
        all.get(self.start..self.end).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.start, self.end);
        self.storage.bytes().get_mut(start..end).unwrap_or_default()
    }

    fn consume(&mut self, length: usize) {
        self.start = (self.start + length).min(self.end);
        if self.start == self.end {
            *self = Self::default();
        }
    }

    /// The free room behind the bytes; at least some, by moving or copying the bytes.
    fn room(&mut self) -> &mut [u8] {
        if matches!(self.storage, Storage::None) {
            self.storage = Storage::Pooled(Buffer::take());
        }
        let length = self.storage.bytes().len();
        if self.end == length {
            if self.start > length / 2 {
                self.storage.bytes().copy_within(self.start..self.end, 0);
            } else {
                let mut larger = vec![0; length * 2];
                let used = self.bytes();
                larger[..used.len()].copy_from_slice(used);
                self.storage = Storage::Large(larger);
            }
            self.end -= self.start;
            self.start = 0;
        }
        let end = self.end;
        self.storage.bytes().get_mut(end..).unwrap_or_default()
    }
}

impl Conn {
    /// A connection of which nothing was read ahead.
    #[must_use]
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            input: Input::default(),
            output: Vec::new(),
            written: 0,
            ended: false,
            read: 0,
            sent: 0,
        }
    }

    /// What was read ahead.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        self.input.bytes()
    }

    /// The same, to unfold heads in place.
    pub fn input_mut(&mut self) -> &mut [u8] {
        self.input.bytes_mut()
    }

    /// Forgets the first bytes that were read ahead.
    pub fn consume(&mut self, length: usize) {
        self.input.consume(length);
    }

    /// Whether the peer has ended its direction.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Bytes read and written so far.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.read, self.sent)
    }

    /// Reads more behind what was read ahead; 0 bytes at the end.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let mut room = ReadBuf::new(self.input.room());
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let length = room.filled().len();
        self.input.end += length;
        self.read += length as u64;
        if self.input.start == self.input.end {
            // The buffer is somebody else's until there is something in it.
            self.input = Input::default();
        }
        ready!(read)?;
        self.ended = length == 0;
        Poll::Ready(Ok(length))
    }

    /// The same as a future. Safe to cancel.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// What waits to be written, to add to it. Whatever is put there goes out with the next flush.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether everything was written and flushed.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.output.is_empty()
    }

    /// Writes what waits, and flushes.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                length => {
                    self.written += length;
                    self.sent += length as u64;
                }
            }
        }
        if self.written > 0 {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.reset_output();
        }
        Poll::Ready(Ok(()))
    }

    fn reset_output(&mut self) {
        self.output.clear();
        self.output.shrink_to(KEPT);
        self.written = 0;
    }

    /// The same as a future. When it is dropped, the rest goes out with the next flush.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Writes what waits and as much of the first `length` bytes that `from` has read ahead as the connection takes;
    /// returns how many bytes of those went out, at least one.
    ///
    /// # Errors
    /// Those of this connection.
    pub fn poll_write_from(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Self,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        let data = from.input();
        let data = data.get(..length).unwrap_or(data);
        let length = data.len();
        if !self.is_flushed() && length <= COPIED && self.written == 0 {
            self.output.extend_from_slice(data);
            from.consume(length);
            return match self.poll_flush(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(length)),
            };
        }
        let waiting = self.output.get(self.written..).unwrap_or_default();
        let written = if waiting.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_write(cx, data))?
        } else {
            let both = [IoSlice::new(waiting), IoSlice::new(data)];
            ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &both))?
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.sent += written as u64;
        let of_waiting = written.min(waiting.len());
        self.written += of_waiting;
        if self.written == self.output.len() {
            self.reset_output();
        }
        let of_data = written - of_waiting;
        from.consume(of_data);
        if of_data == 0 { self.poll_write_from(cx, from, length) } else { Poll::Ready(Ok(of_data)) }
    }

    /// Flushes the stream itself, behind [`Conn::poll_write_from`].
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_flush_stream(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Ends our direction.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }

    /// Whether the peer is silent and there, as far as known: a connection that waits for its next request.
    pub fn is_silent(&mut self) -> bool {
        !self.ended && self.input().is_empty() && self.stream.probe_now().is_none()
    }

    /// The stream, with what was read ahead put back. Output that waits is lost.
    #[must_use]
    pub fn into_stream(self) -> Stream {
        let ahead = self.input();
        if ahead.is_empty() {
            self.stream
        } else {
            self.stream.with_prefix(Bytes::copy_from_slice(self.input.bytes()))
        }
    }

    /// Closes the connection and lets the peer know that nobody reads any more; see [`Stream::abandon`].
    pub fn abandon(self) {
        self.stream.abandon();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair(room: usize) -> (Conn, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(room);
        (Conn::new(Stream::boxed(near)), far)
    }

    #[tokio::test]
    async fn input_grows_and_goes() {
        let (mut conn, mut far) = pair(1 << 20);
        far.write_all(&[7; 300_000]).await.unwrap();
        drop(far);
        while conn.fill().await.unwrap() > 0 {}
        assert!(conn.has_ended() && conn.input().len() == 300_000);
        conn.consume(299_999);
        assert_eq!(conn.input(), [7]);
        conn.consume(1);
        assert!(matches!(conn.input.storage, Storage::None));
        assert_eq!(conn.counts(), (300_000, 0));
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_buffer() {
        let (mut conn, _far) = pair(64);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, conn.fill()).await.is_err());
        assert!(matches!(conn.input.storage, Storage::None));
        assert!(conn.is_silent());
    }

    #[tokio::test]
    async fn output_then_the_input_of_another() {
        for size in [10, COPIED, COPIED + 1, 60_000] {
            let (mut from, mut source) = pair(1 << 20);
            let (mut to, mut sink) = pair(1000);
            source.write_all(&vec![b'x'; size]).await.unwrap();
            drop(source);
            to.output().extend_from_slice(b"head ");
            let copy = async {
                while from.fill().await.unwrap() > 0 {
                    while !from.input().is_empty() {
                        poll_fn(|cx| to.poll_write_from(cx, &mut from, usize::MAX)).await.unwrap();
                    }
                }
                to.flush().await.unwrap();
                to.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let read = sink.read_to_end(&mut got);
            let ((), read) = tokio::join!(copy, read);
            assert_eq!(read.unwrap(), size + 5);
            assert!(got.starts_with(b"head xxx") && got[5..].iter().all(|byte| *byte == b'x'));
        }
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_put_back() {
        let (mut conn, mut far) = pair(64);
        far.write_all(b"abc").await.unwrap();
        conn.fill().await.unwrap();
        conn.consume(1);
        far.write_all(b"d").await.unwrap();
        drop(far);
        let mut text = String::new();
        conn.into_stream().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "bcd");
    }
}
