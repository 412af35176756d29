//! A bulk service: the first byte says whether the peer sends or receives, without end. Who sends says then for which
//! measurement, since of the one before a slow tunnel may still hold much.

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

/// What senders have sent.
#[derive(Debug, Default)]
pub(crate) struct Received {
    run: AtomicU64,
    of_run: AtomicU64,
    all: AtomicU64,
}

impl Received {
    /// Begins a measurement, and gives the number that its senders have to say.
    pub(crate) fn begin(&self) -> u64 {
        let run = self.run.fetch_add(1, Ordering::Relaxed) + 1;
        self.of_run.store(0, Ordering::Relaxed);
        run
    }

    /// Bytes of this measurement so far.
    pub(crate) fn of_run(&self) -> u64 {
        self.of_run.load(Ordering::Relaxed)
    }

    /// Bytes of all measurements so far.
    pub(crate) fn all(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    fn count(&self, run: u64, bytes: usize) {
        self.all.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.run.load(Ordering::Relaxed) == run {
            self.of_run.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

/// Serves whoever connects, and counts into `received` what senders send.
pub(crate) async fn serve(listener: TcpListener, received: Arc<Received>) {
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

async fn transfer(mut peer: TcpStream, received: Arc<Received>) {
    match peer.read_u8().await {
        Ok(UP) => {
            let Ok(run) = peer.read_u64().await else { return };
            let mut block = vec![0; BLOCK];
            while let Ok(read @ 1..) = peer.read(&mut block).await {
                received.count(run, read);
            }
        }
        Ok(DOWN) => {
            let block = noise();
            while peer.write_all(&block).await.is_ok() {}
        }
        _ => {}
    }
}
