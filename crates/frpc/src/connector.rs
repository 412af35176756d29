//! Where streams to the server come from: one TCP connection each, or all of them over one multiplexed one
//! (upstream `client/connector.go`).
//!
//! ```text
//! TCP → [0x17] → [TLS] → [yamux] → stream
//! ```
//!
//! The control stream, work streams and visitor streams are all opened here and nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frp_mux::{OpenError, Session};
use frp_net::address;
use frp_net::dial::{DialError, DialOptions, dial_tcp};
use frp_net::keepalive::Keepalive;
use frp_net::resolve::Resolver;
use frp_net::tls::ClientTls;
use frp_stream::Stream;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::work_conn::WorkStream;

/// The first byte that announces TLS where the server's port is shared with other TLS services.
const TLS_FIRST_BYTE: u8 = 0x17;

/// How the server is reached.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorOptions {
    /// `serverAddr`: a name or an address.
    pub(crate) host: String,
    /// `serverPort`.
    pub(crate) port: u16,
    /// `transport.dialServerTimeout`; it bounds the TCP connection, and then the TLS handshake.
    pub(crate) dial_timeout: Duration,
    /// `transport.dialServerKeepalive`.
    pub(crate) keepalive: Keepalive,
    /// `transport.connectServerLocalIP`.
    pub(crate) local_ip: Option<IpAddr>,
    /// Announce TLS by the byte 0x17: `transport.tls.disableCustomTLSFirstByte = false`.
    pub(crate) custom_tls_first_byte: bool,
    /// With `transport.tcpMux`, how its session behaves.
    pub(crate) mux: Option<frp_mux::Config>,
}

/// Why no stream to the server can be had.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No TCP connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The TLS handshake failed, or the connection broke while it ran.
    #[error(transparent)]
    Tls(std::io::Error),
    /// The server did not finish the TLS handshake in time.
    #[error("TLS handshake with the server: i/o timeout")]
    TlsTimeout,
    /// The multiplexed connection gives no more streams.
    #[error(transparent)]
    Mux(#[from] OpenError),
}

/// Makes connections to one server.
pub(crate) struct Connector {
    options: ConnectorOptions,
    tls: Option<ClientTls>,
    resolver: Arc<Resolver>,
}

impl Connector {
    /// With `tls`, every connection is encrypted.
    pub(crate) fn new(options: ConnectorOptions, tls: Option<ClientTls>, resolver: Arc<Resolver>) -> Self {
        Self { options, tls, resolver }
    }

    /// What one login stands on. Without multiplexing nothing is dialled before the first stream is asked for.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Connection, ConnectError> {
        let Some(config) = self.options.mux.clone() else {
            return Ok(Connection::Direct(Arc::clone(self)));
        };
        let WorkStream { stream, local, remote } = self.dial().await?;
        let (session, driver) = Session::client(stream, config);
        let mut driver_task = JoinSet::new();
        driver_task.spawn(async move {
            // The session tells everyone who holds it why it ended.
            let _ = driver.await;
        });
        Ok(Connection::Mux { session, local, remote, driver: Mutex::new(driver_task) })
    }

    /// One TCP connection, with TLS where that is on.
    async fn dial(&self) -> Result<WorkStream, ConnectError> {
        let options = &self.options;
        let dial = DialOptions {
            timeout: options.dial_timeout,
            keepalive: options.keepalive,
            local_ip: options.local_ip,
        };
        let socket = dial_tcp(&self.resolver, &options.host, options.port, &dial).await?;
        let local = address::canonical(socket.local_addr().map_err(ConnectError::Tls)?);
        let remote = address::canonical(socket.peer_addr().map_err(ConnectError::Tls)?);
        let stream = match &self.tls {
            Some(tls) => timeout(options.dial_timeout, self.secure(tls, socket.into()))
                .await
                .map_err(|_| ConnectError::TlsTimeout)?
                .map_err(ConnectError::Tls)?,
            None => socket.into(),
        };
        Ok(WorkStream { stream, local, remote })
    }

    async fn secure(&self, tls: &ClientTls, mut stream: Stream) -> std::io::Result<Stream> {
        if self.options.custom_tls_first_byte {
            stream.write_all(&[TLS_FIRST_BYTE]).await?;
        }
        tls.connect(stream).await
    }
}

/// The source of streams of one login.
pub(crate) enum Connection {
    /// Every stream is a TCP connection of its own.
    Direct(Arc<Connector>),
    /// Every stream is one of a yamux session's.
    Mux {
        session: Session,
        local: SocketAddr,
        remote: SocketAddr,
        /// The session's driver; it stops when the connection is closed or dropped.
        driver: Mutex<JoinSet<()>>,
    },
}

impl Connection {
    /// A new stream to the server.
    pub(crate) async fn open(&self) -> Result<WorkStream, ConnectError> {
        match self {
            Self::Direct(connector) => connector.dial().await,
            Self::Mux { session, local, remote, .. } => {
                let stream = Stream::boxed(session.open().await?);
                Ok(WorkStream { stream, local: *local, remote: *remote })
            }
        }
    }

    /// Ends a multiplexed connection with all its streams; streams of their own end by themselves.
    pub(crate) fn close(&self) {
        if let Self::Mux { session, driver, .. } = self {
            session.close();
            driver.lock().unwrap_or_else(PoisonError::into_inner).detach_all();
        }
    }

    /// Whether the multiplexed connection as a whole is gone, which says more than one stream's end.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Mux { session, .. } if session.is_closed())
    }
}
