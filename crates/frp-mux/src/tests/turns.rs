//! How many writes to the transport the answers of many streams take.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::*;

/// A transport that counts its writes.
struct Counting {
    io: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

// Several threads, because the runtime of one has no place for the task that is woken last, to run it first.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_to_what_came_together_go_together() {
    const STREAMS: u32 = 20;
    const ROUNDS: usize = 300;
    let (ours, theirs) = duplex(1 << 20);
    let writes = Arc::new(AtomicUsize::new(0));
    let server = Running::start(false, Counting { io: ours, writes: Arc::clone(&writes) }, Config::default());
    let mut peer = RawPeer { io: theirs };
    let mut echoes = JoinSet::new();
    let ids: Vec<u32> = (0..STREAMS).map(|n| 2 * n + 1).collect();
    for &id in &ids {
        let mut stream = accepted(&server, &mut peer, id).await;
        echoes.spawn(async move {
            let mut byte = [0];
            while stream.read_exact(&mut byte).await.is_ok() {
                stream.write_all(&byte).await.unwrap();
            }
        });
    }
    writes.store(0, Ordering::Relaxed);
    for _ in 0..ROUNDS {
        let mut requests = Vec::new();
        for &id in &ids {
            requests.extend_from_slice(&Header::data(id, 1).encode());
            requests.push(7);
        }
        peer.io.write_all(&requests).await.unwrap();
        for _ in &ids {
            let (header, data) = peer.frame().await;
            assert_eq!((header.kind, &data[..]), (Kind::Data, &[7][..]));
        }
    }
    let writes = writes.load(Ordering::Relaxed);
    assert!(writes < ROUNDS * ids.len() / 2, "{writes} writes");
}
