//! Local services: what stands behind frpc. Each runs until it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::tls;

/// A service that runs in tasks of its own, stopped by dropping it.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    accepted: watch::Receiver<usize>,
    ended: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Service {
    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections taken so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    /// Waits until `count` connections have been taken.
    pub async fn wait_accepted(&mut self, count: usize) {
        let _ = self.accepted.wait_for(|accepted| *accepted >= count).await;
    }

    /// Waits until `count` connections have ended, whichever side ended them.
    pub async fn wait_ended(&mut self, count: usize) {
        let _ = self.ended.wait_for(|ended| *ended >= count).await;
    }

    /// Sends back what it receives, and its end of stream after that of the peer.
    ///
    /// # Errors
    /// No port.
    pub async fn echo() -> Result<Self> {
        Self::tcp(|mut peer| async move {
            let (mut read, mut write) = peer.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        })
        .await
    }

    /// As [`Self::echo`], over TLS.
    ///
    /// # Errors
    /// No port.
    pub async fn tls_echo() -> Result<Self> {
        Self::tcp(|peer| async move {
            let Ok(stream) = tls::accept(peer).await else { return };
            let (mut read, mut write) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        })
        .await
    }

    /// Sends `greeting` to everyone and ends the connection.
    ///
    /// # Errors
    /// No port.
    pub async fn greeting(greeting: &'static str) -> Result<Self> {
        Self::tcp(move |mut peer| async move {
            let _ = peer.write_all(greeting.as_bytes()).await;
            let _ = peer.shutdown().await;
        })
        .await
    }

    /// Reads to the end of stream, then answers how many bytes came, as text; nothing before that end. This is the
    /// service that needs half-close.
    ///
    /// # Errors
    /// No port.
    pub async fn counts_to_end() -> Result<Self> {
        Self::tcp(|mut peer| async move {
            let mut bytes = 0_u64;
            let mut buffer = vec![0; 64 << 10];
            loop {
                match peer.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(read) => bytes += read as u64,
                    Err(_) => return,
                }
            }
            let _ = peer.write_all(bytes.to_string().as_bytes()).await;
            let _ = peer.shutdown().await;
        })
        .await
    }

    /// Reads and drops everything, and never sends a byte.
    ///
    /// # Errors
    /// No port.
    pub async fn sink() -> Result<Self> {
        Self::tcp(|mut peer| async move {
            let mut buffer = vec![0; 64 << 10];
            while matches!(peer.read(&mut buffer).await, Ok(1..)) {}
        })
        .await
    }

    /// Sends without end whatever the peer does.
    ///
    /// # Errors
    /// No port.
    pub async fn flood() -> Result<Self> {
        Self::tcp(|mut peer| async move {
            let block = vec![0x5a; 64 << 10];
            while peer.write_all(&block).await.is_ok() {}
        })
        .await
    }

    /// Cuts every connection by a reset once it has received a byte.
    ///
    /// # Errors
    /// No port.
    pub async fn resets() -> Result<Self> {
        Self::tcp(|mut peer| async move {
            let _ = peer.read_u8().await;
            let _ = peer.set_zero_linger();
        })
        .await
    }

    /// Sends every datagram back to where it came from.
    ///
    /// # Errors
    /// No port.
    pub async fn udp_echo() -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let (_, accepted) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let Some(datagram) = buffer.get(..length) else { continue };
                let _ = socket.send_to(datagram, peer).await;
            }
        });
        Ok(Self { address, ended: accepted.clone(), accepted, _tasks: tasks })
    }

    /// Serves every connection with `handler` in a task of its own.
    ///
    /// # Errors
    /// No port.
    pub async fn tcp<H, F>(handler: H) -> Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (accepted_count, accepted) = watch::channel(0);
        let (ended_count, ended) = watch::channel(0);
        let ended_count = Arc::new(ended_count);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((peer, _)) = listener.accept().await {
                accepted_count.send_modify(|count| *count += 1);
                let (served, ended_count) = (handler(peer), Arc::clone(&ended_count));
                connections.spawn(async move {
                    served.await;
                    ended_count.send_modify(|count| *count += 1);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { address, accepted, ended, _tasks: tasks })
    }
}

/// A gate that a service waits at until the test opens it.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Notify>);

impl Gate {
    /// Lets one waiter pass, now or when it comes.
    pub fn open(&self) {
        self.0.notify_one();
    }

    /// Waits to be let through.
    pub async fn pass(&self) {
        self.0.notified().await;
    }
}
