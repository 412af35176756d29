//! A bulk service: the first byte says whether the peer sends or receives, without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::RngCore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The first byte of a peer that is going to send.
pub(crate) const UP: u8 = b'u';
/// The first byte of a peer that wants to receive.
pub(crate) const DOWN: u8 = b'd';
/// How much is read or written at once, as iperf3 does.
pub(crate) const BLOCK: usize = 128 << 10;

/// Serves whoever connects, and counts into `received` what senders send.
pub(crate) async fn serve(listener: TcpListener, received: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((peer, _)) = listener.accept().await {
            connections.spawn(transfer(peer, Arc::clone(&received)));
        }
        while connections.try_join_next().is_some() {}
    }
}

/// A block that does not compress.
pub(crate) fn noise() -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    rand::rng().fill_bytes(&mut block);
    block
}

async fn transfer(mut peer: TcpStream, received: Arc<AtomicU64>) {
    match peer.read_u8().await {
        Ok(UP) => {
            let mut block = vec![0; BLOCK];
            while let Ok(read @ 1..) = peer.read(&mut block).await {
                received.fetch_add(read as u64, Ordering::Relaxed);
            }
        }
        Ok(DOWN) => {
            let block = noise();
            while peer.write_all(&block).await.is_ok() {}
        }
        _ => {}
    }
}
