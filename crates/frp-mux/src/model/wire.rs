//! A transport between two threads of the model.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::sync::Mutex;
use crate::frame::{HEADER_LEN, Header, Kind};

/// One end. Dropping it closes both ways.
pub(super) struct Wire {
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
}

struct Way {
    bytes: VecDeque<u8>,
    capacity: usize,
    finished: bool,
    /// Nobody will read any more.
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Two ends, with room for `capacity` bytes each way.
pub(super) fn wire(capacity: usize) -> (Wire, Wire) {
    let way = || {
        Arc::new(Mutex::new(Way {
            bytes: VecDeque::new(),
            capacity,
            finished: false,
            broken: false,
            reader: None,
            writer: None,
        }))
    };
    let (one, two) = (way(), way());
    (Wire { incoming: Arc::clone(&one), outgoing: Arc::clone(&two) }, Wire { incoming: two, outgoing: one })
}

/// Does `action` and then, with the lock free, wakes whom it names.
fn change<T>(way: &Mutex<Way>, action: impl FnOnce(&mut Way) -> (T, Option<Waker>)) -> T {
    let mut guard = way.lock().unwrap();
    let (result, waker) = action(&mut guard);
    drop(guard);
    waker.into_iter().for_each(Waker::wake);
    result
}

fn finish(way: &mut Way) -> ((), Option<Waker>) {
    way.finished = true;
    ((), way.reader.take())
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        change(&self.incoming, |way| {
            let count = way.bytes.len().min(buf.remaining());
            if count == 0 && !way.finished {
                way.reader = Some(cx.waker().clone());
                return (Poll::Pending, None);
            }
            let (one, two) = way.bytes.as_slices();
            buf.put_slice(&one[..count.min(one.len())]);
            buf.put_slice(&two[..count - count.min(one.len())]);
            way.bytes.drain(..count);
            (Poll::Ready(Ok(())), way.writer.take())
        })
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        change(&self.outgoing, |way| {
            if way.broken {
                return (Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), None);
            }
            let room = way.capacity - way.bytes.len();
            if room == 0 {
                way.writer = Some(cx.waker().clone());
                return (Poll::Pending, None);
            }
            let before = way.bytes.len();
            let mut room = room;
            for slice in slices {
                let count = slice.len().min(room);
                way.bytes.extend(&slice[..count]);
                room -= count;
            }
            (Poll::Ready(Ok(way.bytes.len() - before)), way.reader.take())
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        change(&self.outgoing, finish);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        change(&self.outgoing, finish);
        change(&self.incoming, |way| {
            way.broken = true;
            ((), way.writer.take())
        });
    }
}

/// The other end of a session, played by the model.
pub(super) struct Peer(pub(super) Wire);

impl Peer {
    /// The next frame and its payload; `None` at the end.
    pub(super) async fn frame(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut header = [0; HEADER_LEN];
        match self.0.read(&mut header).await.unwrap() {
            0 => return None,
            count => self.0.read_exact(&mut header[count..]).await.unwrap(),
        };
        let header = Header::decode(header).unwrap();
        let mut payload = vec![0; if header.kind == Kind::Data { header.length as usize } else { 0 }];
        self.0.read_exact(&mut payload).await.unwrap();
        Some((header, payload))
    }

    /// Sends a frame in one piece. A session that has ended meanwhile may refuse it.
    pub(super) async fn send(&mut self, header: Header, payload: &[u8]) {
        let frame = [&header.encode()[..], payload].concat();
        let _ = self.0.write_all(&frame).await;
    }

    /// Reads up to the end, then closes.
    pub(super) async fn drain(mut self) {
        while self.frame().await.is_some() {}
    }
}
