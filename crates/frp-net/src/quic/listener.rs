//! The server's end, up to the handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drivers::Drivers;
use super::{ConnectionError, QuicOptions, Session, transport};
use crate::address::canonical;
use crate::listen::bind_udp;
use crate::tls::ServerTls;

/// Connections that nobody has looked at yet; one beyond it is refused.
const BACKLOG: usize = 2048;
/// What one of them, and all together, may have sent meanwhile, in bytes.
const BACKLOG_OF_ONE: u64 = 8 * 1024;
const BACKLOG_OF_ALL: u64 = 1024 * 1024;

/// A UDP socket on which clients connect.
///
/// Ends with all its sessions when it is closed or dropped.
pub struct Listener {
    endpoint: Endpoint,
    options: QuicOptions,
    closing: CancellationToken,
}

impl Listener {
    /// Binds `address:port`; see [`bind_udp`]. Whoever has not said who it is may have `streams_of_strangers` streams
    /// open. The tasks that drive the socket and its connections are spawned on `tasks`. Must be called inside a tokio
    /// runtime.
    ///
    /// # Errors
    /// Those of [`bind_udp`], and of TLS for a certificate that QUIC cannot use.
    pub fn bind(
        address: &str,
        port: u16,
        tls: &ServerTls,
        options: &QuicOptions,
        streams_of_strangers: u32,
        tasks: &TaskTracker,
    ) -> io::Result<Self> {
        let socket = bind_udp(address, port)?.into_std()?;
        let crypto = QuicServerConfig::try_from(tls.for_quic()).map_err(io::Error::other)?;
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server
            .transport_config(transport::of_server(options, streams_of_strangers))
            .max_incoming(BACKLOG)
            .incoming_buffer_size(BACKLOG_OF_ONE)
            .incoming_buffer_size_total(BACKLOG_OF_ALL);
        let closing = CancellationToken::new();
        let drivers = Drivers::new(tasks.clone(), closing.clone());
        let endpoint = Endpoint::new(transport::of_socket(), Some(server), socket, drivers)?;
        Ok(Self { endpoint, options: *options, closing })
    }

    /// The address that clients connect to.
    ///
    /// # Errors
    /// That of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Whoever wants to connect next; `None` once the socket has failed or was closed. Safe to cancel.
    pub async fn accept(&self) -> Option<Incoming> {
        let incoming = self.endpoint.accept().await?;
        Some(Incoming { incoming, local: self.endpoint.local_addr().ok()?, options: self.options })
    }

    /// From now on nobody connects any more; sessions stay.
    pub fn stop_accepting(&self) {
        self.endpoint.set_server_config(None);
    }

    /// Ends all sessions, and the tasks within half a second.
    pub fn close(&self) {
        self.endpoint.close(0_u32.into(), b"");
        self.closing.cancel();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
    }
}

/// A client that has sent its first datagram. Dropping it refuses it.
pub struct Incoming {
    incoming: quinn::Incoming,
    local: SocketAddr,
    options: QuicOptions,
}

impl Incoming {
    /// Where the datagram says that it comes from.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        canonical(self.incoming.remote_address())
    }

    /// Whether it does: whether it brings back a token that we sent there.
    #[must_use]
    pub fn is_validated(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Asks it to prove its address, which costs it a round trip and us no memory.
    pub fn retry(self) {
        // Fails for who has done so already, and whose datagram therefore is of no use.
        if let Err(error) = self.incoming.retry() {
            error.into_incoming().ignore();
        }
    }

    /// The handshake. Cancelling it closes the connection; there is no deadline here but the idle timeout.
    ///
    /// # Errors
    /// The peer's fault, or that of the way to it.
    pub async fn accept(self) -> Result<Session, ConnectionError> {
        let Self { incoming, local, options } = self;
        let connection = incoming.accept().map_err(ConnectionError)?.await.map_err(ConnectionError)?;
        Ok(Session::accepted(connection, local, &options))
    }
}
