//! Where streams to the server come from: one connection each, or all of them over one that carries many
//! (upstream `client/connector.go`).
//!
//! ```text
//! tcp:       TCP → [proxy] → [0x17] → [TLS] → [yamux] → stream
//! websocket: TCP → [proxy] → websocket → [0x17] → [TLS] → [yamux] → stream
//! kcp:       UDP → KCP → [0x17] → [TLS] → [yamux] → stream
//! wss:       TCP → [proxy] → TLS → websocket → [yamux] → stream
//! quic:      QUIC → stream
//! ```
//!
//! The control stream, work streams and visitor streams are all opened here and nowhere else. `dialer` makes the
//! connections, `mux` has those that carry many streams.

mod dialer;
mod mux;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use frp_net::dial::DialError;
use frp_net::kcp;
use frp_net::keepalive::Keepalive;
use frp_net::proxy::{Proxy, ProxyError};
use frp_net::quic::{self, QuicOptions};
use frp_net::resolve::Resolver;
use frp_net::session::SessionOpenError;
use frp_net::tls::{ClientTls, ClientTlsOptions, TlsError};
use frp_net::websocket::{self, HandshakeError};
use frp_stream::Stream;
use thiserror::Error;
use tokio::task::spawn_blocking;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::dialer::Dialer;
pub(crate) use self::mux::{MuxConnection, MuxSession};

/// How the server is reached.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorOptions {
    /// `serverAddr`: a name or an address.
    pub(crate) host: String,
    /// `serverPort`.
    pub(crate) port: u16,
    /// `transport.dialServerTimeout`; it bounds the TCP connection with the proxy's handshake, and then all others.
    pub(crate) dial_timeout: Duration,
    /// `transport.dialServerKeepalive`.
    pub(crate) keepalive: Keepalive,
    /// `transport.connectServerLocalIP`.
    pub(crate) local_ip: Option<IpAddr>,
    /// `transport.proxyURL`.
    pub(crate) proxy: Option<Proxy>,
    /// With `transport.protocol` `kcp`, where everything that is about TCP connections, and the proxy, means nothing.
    pub(crate) kcp: Option<kcp::Config>,
    /// With `transport.protocol` `websocket` or `wss`.
    pub(crate) websocket: Option<WebSocketOptions>,
    /// With `transport.tls.enable` or protocol `wss`, its files and names.
    pub(crate) tls: Option<ClientTlsOptions>,
    /// Announce TLS by the byte 0x17: `transport.tls.disableCustomTLSFirstByte = false`.
    pub(crate) custom_tls_first_byte: bool,
    /// With `transport.protocol` `quic`, where everything from `keepalive` to `mux` but `local_ip` and `tls` means nothing.
    pub(crate) quic: Option<QuicOptions>,
    /// With `transport.tcpMux`, how its session behaves.
    pub(crate) mux: Option<frp_mux::Config>,
}

/// The websocket to ask for.
#[derive(Debug, Clone)]
pub(crate) struct WebSocketOptions {
    /// Whether TLS comes first, and nothing of frp's own follows within: protocol `wss`.
    pub(crate) is_within_tls: bool,
    /// What to ask for.
    pub(crate) request: websocket::ClientOptions,
}

/// Why no stream to the server can be had.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Our certificate, key or authorities cannot be used.
    #[error(transparent)]
    TlsFiles(#[from] TlsError),
    /// No TCP connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No way to a KCP server.
    #[error(transparent)]
    Kcp(#[from] kcp::DialError),
    /// No QUIC connection.
    #[error(transparent)]
    Quic(#[from] quic::DialError),
    /// No way through the proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The server, or who stands before it, gives no websocket.
    #[error(transparent)]
    WebSocket(#[from] HandshakeError),
    /// The TLS handshake failed, or the connection broke while it ran.
    #[error(transparent)]
    Tls(io::Error),
    /// The server did not finish the TLS handshake in time.
    #[error("TLS handshake with the server: i/o timeout")]
    TlsTimeout,
    /// The server did not finish the handshakes of websocket and TLS in time.
    #[error("websocket handshake with the server: i/o timeout")]
    WebSocketTimeout,
    /// The multiplexed connection gives no more streams.
    #[error(transparent)]
    Mux(#[from] SessionOpenError),
    /// The server acknowledges no more streams of the multiplexed connection.
    #[error("open a stream to the server: i/o timeout")]
    MuxTimeout,
}

/// A stream to the server with the addresses of the socket that carries it.
pub(crate) struct ServerStream {
    pub(crate) stream: Stream,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// Makes connections to one server.
pub(crate) struct Connector {
    options: ConnectorOptions,
    resolver: Arc<Resolver>,
    /// The drivers of multiplexed connections, which end within half a second of their connection, and of KCP conversations,
    /// which may take half a minute to hand over their last bytes.
    drivers: TaskTracker,
}

impl Connector {
    pub(crate) fn new(options: ConnectorOptions, resolver: Arc<Resolver>) -> Self {
        Self { options, resolver, drivers: TaskTracker::new() }
    }

    /// What one login stands on. Without multiplexing nothing is dialled before the first stream is asked for.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Connection, ConnectError> {
        let dialer = Dialer { tls: self.tls().await?, connector: Arc::clone(self) };
        if self.options.mux.is_none() && self.options.quic.is_none() {
            return Ok(Connection::Direct(dialer));
        }
        let first = dialer.session().await?;
        Ok(Connection::Mux(MuxConnection::new(dialer, first)))
    }

    /// Reads the files anew for each login, as upstream does for each connection: a renewed certificate needs no
    /// restart.
    async fn tls(&self) -> Result<Option<ClientTls>, ConnectError> {
        let Some(options) = self.options.tls.clone() else { return Ok(None) };
        let read = spawn_blocking(move || ClientTls::new(&options)).await;
        let tls = read.map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
        Ok(Some(tls.inspect_err(|error| warn!("fail to build tls configuration, err: {error}"))?))
    }

    /// Waits until every multiplexed connection and KCP conversation has ended; they must have been closed or dropped before.
    pub(crate) async fn ended(&self) {
        self.drivers.close();
        self.drivers.wait().await;
    }
}

/// The source of streams of one login.
pub(crate) enum Connection {
    /// Every stream is a connection of its own.
    Direct(Dialer),
    /// Every stream is one of a session's: yamux or QUIC.
    Mux(MuxConnection),
}

impl Connection {
    /// A new stream to the server, within a bounded time.
    pub(crate) async fn open(&self) -> Result<ServerStream, ConnectError> {
        match self {
            Self::Direct(dialer) => dialer.dial().await,
            Self::Mux(mux) => mux.least_loaded()?.open().await,
        }
    }

    /// Whether a server may not notice that this connection has ended: KCP has no signal for it.
    pub(crate) fn ends_unnoticed(&self) -> bool {
        let (Self::Direct(dialer) | Self::Mux(MuxConnection { dialer, .. })) = self;
        dialer.is_kcp()
    }

    /// Ends multiplexed connections with all their streams; streams of their own end by themselves.
    pub(crate) fn close(&self) {
        if let Self::Mux(mux) = self {
            mux.close();
        }
    }

    /// Whether the multiplexed connection that carries the control is gone, which says more than one stream's end.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self, Self::Mux(mux) if mux.is_first_gone())
    }
}
