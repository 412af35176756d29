//! A TCP relay between frpc and frps that can turn into a black hole.

use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Carries bytes between whoever connects and one target, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    generation: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// A relay to `target` on 127.0.0.1.
    ///
    /// # Errors
    /// No port.
    pub async fn to(target: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (generation, current) = watch::channel(0_u64);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let current = current.clone();
                connections.spawn(async move {
                    if let Ok(far) = TcpStream::connect(("127.0.0.1", target)).await {
                        carry(near, far, current).await;
                    }
                });
            }
        });
        Ok(Self { port, generation, _tasks: tasks })
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
}

async fn carry(near: TcpStream, far: TcpStream, current: watch::Receiver<u64>) {
    let born = *current.borrow();
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let current = Arc::new(current);
    let one_way = |from, to| copy(from, to, born, Arc::clone(&current));
    tokio::join!(one_way(near_read, far_write), one_way(far_read, near_write));
}

/// Copies one way; once its connection is swallowed it holds both sockets open for ever.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    born: u64,
    current: Arc<watch::Receiver<u64>>,
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
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
