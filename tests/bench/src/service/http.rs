//! A small HTTP service: every GET gets the same answer, but that to `/endless` goes on until the user leaves; `/once` and
//! `Connection: close` end the connection after it.

use anyhow::{Result, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request that leaves the connection open.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
/// A request after whose answer the service ends the connection.
pub(crate) const REQUEST_ONCE: &[u8] = b"GET /once HTTP/1.1\r\nHost: bench\r\n\r\n";
/// A request whose answer has no end.
pub(crate) const REQUEST_ENDLESS: &[u8] = b"GET /endless HTTP/1.1\r\nHost: bench\r\n\r\n";
/// The one answer.
pub(crate) const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/// Sends [`REQUEST`] and reads its answer.
///
/// # Errors
/// The connection broke, or something else came.
pub(crate) async fn ask(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(REQUEST).await?;
    let mut answer = [0; ANSWER.len()];
    stream.read_exact(&mut answer).await?;
    ensure!(answer == ANSWER, "another answer");
    Ok(())
}

/// Its body.
pub(crate) const BODY: &[u8] = b"Hello, world!";

/// Room for a request's head; wrk's is about 40 bytes, and frp adds some headers of its own.
const HEAD: usize = 2048;

/// Serves whoever connects.
pub(crate) async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((peer, _)) = listener.accept().await {
            connections.spawn(answer(peer));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut peer: TcpStream) {
    let _ = peer.set_nodelay(true);
    let mut buffer = [0; HEAD];
    let mut filled = 0;
    loop {
        let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) else { return };
        let Ok(read @ 1..) = peer.read(room).await else { return };
        filled += read;
        while let Some(at) = memmem::find(buffer.get(..filled).unwrap_or_default(), b"\r\n\r\n") {
            let head = buffer.get(..at).unwrap_or_default();
            if head.starts_with(b"GET /endless") {
                let piece = vec![0; 64 * 1024];
                while peer.write_all(&piece).await.is_ok() {}
                return;
            }
            let last = head.starts_with(b"GET /once") || memmem::find(head, b"Connection: close").is_some();
            if peer.write_all(ANSWER).await.is_err() {
                return;
            }
            if last {
                let _ = peer.shutdown().await;
                return;
            }
            buffer.copy_within(at + 4..filled, 0);
            filled -= at + 4;
        }
    }
}
