//! A TCP relay between frpc and frps that can turn into a black hole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// Carries bytes between whoever connects and one target, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    generation: watch::Sender<u64>,
    opened: watch::Receiver<Vec<Arc<Carried>>>,
    _tasks: JoinSet<()>,
}

/// What is known of one connection.
#[derive(Debug, Default)]
struct Carried {
    /// Bytes from the one who connected.
    bytes: AtomicU64,
    cut: Notify,
}

/// More bytes than a connection carries that is only logged in on, or announced.
const SOME_BYTES: u64 = 8000;

impl Relay {
    /// A relay to `target` on 127.0.0.1.
    ///
    /// # Errors
    /// No port.
    pub async fn to(target: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (generation, current) = watch::channel(0_u64);
        let (open, opened) = watch::channel(Vec::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let current = current.clone();
                let carried = Arc::new(Carried::default());
                open.send_modify(|connections| connections.push(Arc::clone(&carried)));
                connections.spawn(async move {
                    if let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await {
                        tokio::select! {
                            () = carry(near, far, current, &carried) => {}
                            () = carried.cut.notified() => {}
                        }
                    }
                });
            }
        });
        Ok(Self { port, generation, opened, _tasks: tasks })
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on the connections that are open carry nothing any more, and are not closed either, as when a
    /// router forgets them. New connections work.
    pub fn swallow_open_connections(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Waits until `count` connections have come in all.
    pub async fn connections(&mut self, count: usize) {
        let _ = self.opened.wait_for(|opened| opened.len() >= count).await;
    }

    /// How many connections have carried more than an announcement.
    #[must_use]
    pub fn used(&self) -> usize {
        self.opened
            .borrow()
            .iter()
            .filter(|carried| carried.bytes.load(Ordering::Relaxed) > SOME_BYTES)
            .count()
    }

    /// Ends the connection that came last.
    pub fn cut_last(&self) {
        if let Some(carried) = self.opened.borrow().last() {
            carried.cut.notify_one();
        }
    }
}

async fn carry(near: TcpStream, far: TcpStream, current: watch::Receiver<u64>, carried: &Carried) {
    let born = *current.borrow();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let current = Arc::new(current);
    let there = copy(near_read, far_write, born, Arc::clone(&current), Some(&carried.bytes));
    let back = copy(far_read, near_write, born, current, None);
    tokio::join!(there, back);
}

/// Copies one way; once its connection is swallowed it holds both sockets open for ever.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    born: u64,
    current: Arc<watch::Receiver<u64>>,
    count: Option<&AtomicU64>,
) {
    let mut swallowed = (*current).clone();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => Some(read),
            _ = swallowed.wait_for(|generation| *generation != born) => None,
        };
        let Some(read) = read else { return std::future::pending().await };
        let Ok(read @ 1..) = read else { break };
        let Some(bytes) = buffer.get(..read) else { break };
        if let Some(count) = count {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
