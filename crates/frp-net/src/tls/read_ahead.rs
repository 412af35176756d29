//! Large reads below TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use frp_stream::{Buffer, Io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads as much as there is, up to a pooled buffer of 64 KiB, where rustls asks for 4 KiB at a time: a record of 16
/// KiB would take five system calls. The buffer is held across polls only while it holds bytes, so an idle connection
/// has none.
pub(super) struct ReadAhead<T> {
    io: T,
    unread: Option<Unread>,
}

/// Bytes that rustls has not asked for yet; never none.
struct Unread {
    buffer: Buffer,
    start: usize,
    end: usize,
}

impl<T> ReadAhead<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, unread: None }
    }
}

impl Unread {
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Hands over what fits. Gives back itself if that was not all.
    fn hand_over(mut self, to: &mut ReadBuf<'_>) -> Option<Self> {
        let count = self.bytes().len().min(to.remaining());
        to.put_slice(self.bytes().get(..count).unwrap_or_default());
        self.start += count;
        (self.start < self.end).then_some(self)
    }
}

impl<T: Io> AsyncRead for ReadAhead<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let unread = match self.unread.take() {
            Some(unread) => unread,
            None => {
                let mut buffer = Buffer::take();
                let mut room = ReadBuf::new(&mut buffer);
                ready!(Pin::new(&mut self.io).poll_read(cx, &mut room))?;
                let end = room.filled().len();
                Unread { buffer, start: 0, end }
            }
        };
        self.unread = unread.hand_over(buf);
        Poll::Ready(Ok(()))
    }
}

impl<T: Io> AsyncWrite for ReadAhead<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_comes_in_order_and_nothing_is_held_afterwards() {
        let (mut near, far) = duplex(1 << 20);
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        near.write_all(&bytes).await.unwrap();
        let mut stream = ReadAhead::new(far);
        let mut read = Vec::new();
        for size in (1..5000).cycle() {
            let mut some = vec![0; size];
            let count = stream.read(&mut some).await.unwrap();
            read.extend_from_slice(&some[..count]);
            if read.len() == bytes.len() {
                break;
            }
            assert_eq!(stream.unread.is_some(), near_end(&read), "{}", read.len());
        }
        assert_eq!(read, bytes);
        assert!(stream.unread.is_none());
        drop(near);
        assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0);
        assert!(stream.unread.is_none());
    }

    /// Whether the read that brought the last of these bytes brought more.
    fn near_end(read: &[u8]) -> bool {
        !read.len().is_multiple_of(Buffer::take().len())
    }
}
