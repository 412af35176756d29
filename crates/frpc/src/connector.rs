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
//! The control stream, work streams and visitor streams are all opened here and nowhere else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frp_net::address;
use frp_net::dial::{DialError, DialOptions, dial_tcp};
use frp_net::kcp;
use frp_net::keepalive::Keepalive;
use frp_net::mux;
use frp_net::proxy::{Proxy, ProxyError};
use frp_net::quic::{self, QuicOptions};
use frp_net::resolve::Resolver;
use frp_net::session::{Session, SessionOpenError};
use frp_net::tls::{ClientTls, ClientTlsOptions, TlsError, write_marker};
use frp_net::websocket::{self, HandshakeError};
use frp_stream::Stream;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;

/// How long a stream of a multiplexed connection may take to open: the server acknowledges too few of those that
/// were opened before.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

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
        Ok(Connection::Mux(MuxConnection { dialer, sessions: Mutex::new(vec![first]) }))
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

/// Makes the connections of one login.
pub(crate) struct Dialer {
    connector: Arc<Connector>,
    tls: Option<ClientTls>,
}

impl Dialer {
    /// One connection that carries many streams.
    async fn session(&self) -> Result<MuxSession, ConnectError> {
        let options = &self.connector.options;
        if let Some(quic) = options.quic {
            return Box::pin(self.quic(quic)).await;
        }
        let config = options.mux.clone().unwrap_or_default();
        let ServerStream { stream, local, remote } = self.dial().await?;
        let (session, driver) = frp_mux::Session::client(stream, config);
        self.connector.drivers.spawn(async move {
            // The session tells everyone who holds it why it ended.
            let _ = driver.await;
        });
        Ok(MuxSession { session: Session::Mux(session), local, remote })
    }

    /// One QUIC connection. The proxy is for TCP.
    async fn quic(&self, quic: QuicOptions) -> Result<MuxSession, ConnectError> {
        let Connector { options, resolver, drivers } = self.connector.as_ref();
        let Some(tls) = &self.tls else { return Err(ConnectError::Tls(io::ErrorKind::Unsupported.into())) };
        let dial = quic::DialOptions { timeout: options.dial_timeout, local_ip: options.local_ip, quic };
        let session = quic::dial(resolver, &options.host, options.port, tls, &dial, drivers).await?;
        let [local, remote] = [session.local_addr(), session.peer_addr()];
        Ok(MuxSession { session: Session::Quic(session), local, remote })
    }

    /// One TCP connection, with everything around it.
    async fn dial(&self) -> Result<ServerStream, ConnectError> {
        let options = &self.connector.options;
        let dial = DialOptions {
            timeout: options.dial_timeout,
            keepalive: options.keepalive,
            local_ip: options.local_ip,
        };
        let resolver = &self.connector.resolver;
        let (stream, [local, remote]) = match (&options.kcp, &options.proxy) {
            (Some(config), _) => {
                let (stream, addresses, driver) =
                    kcp::dial(resolver, &options.host, options.port, options.dial_timeout, config.clone())
                        .await?;
                // Ends within a bounded time after the stream does.
                self.connector.drivers.spawn(driver);
                (stream, addresses)
            }
            (None, None) => {
                let socket = dial_tcp(resolver, &options.host, options.port, &dial).await?;
                let addresses = self.prepare(&socket).map_err(ConnectError::Tls)?;
                (socket.into(), addresses)
            }
            (None, Some(proxy)) => {
                let prepare = |socket: &TcpStream| self.prepare(socket);
                Box::pin(proxy.dial(resolver, &options.host, options.port, &dial, prepare)).await?
            }
        };
        let stream = if self.tls.is_none() && options.websocket.is_none() {
            stream
        } else {
            timeout(options.dial_timeout, Box::pin(self.handshakes(stream))).await.map_err(
                |_| match options.websocket {
                    None => ConnectError::TlsTimeout,
                    Some(_) => ConnectError::WebSocketTimeout,
                },
            )??
        };
        Ok(ServerStream { stream, local, remote })
    }

    /// Prepares a socket for what comes on it, and gives its addresses.
    fn prepare(&self, socket: &TcpStream) -> io::Result<[SocketAddr; 2]> {
        if self.connector.options.mux.is_some() {
            mux::prepare(socket);
        }
        let local = socket.local_addr()?;
        let remote = socket.peer_addr()?;
        Ok([local, remote].map(address::canonical))
    }

    /// TLS and websocket, in the order of the protocol.
    async fn handshakes(&self, stream: Stream) -> Result<Stream, ConnectError> {
        match &self.connector.options.websocket {
            None => self.secure(stream, true).await,
            Some(options) if options.is_within_tls => {
                let stream = self.secure(stream, false).await?;
                Ok(websocket::connect(stream, &options.request).await?)
            }
            Some(options) => {
                let stream = websocket::connect(stream, &options.request).await?;
                self.secure(stream, true).await
            }
        }
    }

    /// TLS, where that is on; behind the first byte of frp's own where that may be.
    async fn secure(&self, mut stream: Stream, may_mark: bool) -> Result<Stream, ConnectError> {
        let Some(tls) = &self.tls else { return Ok(stream) };
        if may_mark && self.connector.options.custom_tls_first_byte {
            write_marker(&mut stream).await.map_err(ConnectError::Tls)?;
        }
        tls.connect(stream).await.map_err(ConnectError::Tls)
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
        dialer.connector.options.kcp.is_some()
    }

    /// Ends multiplexed connections with all their streams; streams of their own end by themselves.
    pub(crate) fn close(&self) {
        if let Self::Mux(mux) = self {
            mux.lock().iter().for_each(|session| session.session.close());
        }
    }

    /// Whether the multiplexed connection that carries the control is gone, which says more than one stream's end.
    pub(crate) fn is_closed(&self) -> bool {
        // A QUIC stream says itself what became of its connection.
        let is_gone = |first: &MuxSession| matches!(first.session, Session::Mux(_)) && first.is_closed();
        matches!(self, Self::Mux(mux) if mux.lock().first().is_none_or(is_gone))
    }
}

/// The multiplexed connections of one login: the first carries the control, the others work connections only
/// (`transport.tcpMuxConnections`). A server takes work connections of a run id from wherever they come.
pub(crate) struct MuxConnection {
    dialer: Dialer,
    sessions: Mutex<Vec<MuxSession>>,
}

impl MuxConnection {
    /// A connection made of a session that a test has, with nobody to dial another one.
    #[cfg(test)]
    pub(crate) fn of(session: frp_mux::Session, local: SocketAddr) -> Self {
        let options = ConnectorOptions {
            host: String::new(),
            port: 0,
            dial_timeout: OPEN_TIMEOUT,
            keepalive: Keepalive::default(),
            local_ip: None,
            proxy: None,
            kcp: None,
            websocket: None,
            tls: None,
            custom_tls_first_byte: false,
            quic: None,
            mux: None,
        };
        let connector = Arc::new(Connector::new(options, Arc::new(Resolver::system())));
        let first = MuxSession { session: Session::Mux(session), local, remote: local };
        Self { dialer: Dialer { connector, tls: None }, sessions: Mutex::new(vec![first]) }
    }

    /// Dials another connection, which takes its share of streams from now on. The server closes it if nothing is
    /// said on it for ten seconds: open a work connection on it at once.
    pub(crate) async fn add(&self) -> Result<MuxSession, ConnectError> {
        let session = self.dialer.session().await?;
        let mut sessions = self.lock();
        // The first stays, whatever its state: it stands for the login.
        let mut first = true;
        sessions.retain(|session| std::mem::take(&mut first) || !session.is_closed());
        sessions.push(session.clone());
        Ok(session)
    }

    /// The session with the fewest streams.
    fn least_loaded(&self) -> Result<MuxSession, ConnectError> {
        let sessions = self.lock();
        let open = sessions.iter().filter(|session| !session.is_closed());
        let found = open.min_by_key(|session| session.session.num_streams()).or_else(|| sessions.first());
        found.cloned().ok_or_else(|| ConnectError::Tls(io::ErrorKind::NotConnected.into()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MuxSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One multiplexed connection. When its streams and handles are gone, so is the connection.
#[derive(Clone)]
pub(crate) struct MuxSession {
    session: Session,
    local: SocketAddr,
    remote: SocketAddr,
}

impl MuxSession {
    /// A new stream of this connection.
    pub(crate) async fn open(&self) -> Result<ServerStream, ConnectError> {
        let opened = timeout(OPEN_TIMEOUT, self.session.open()).await;
        let stream = opened.map_err(|_| ConnectError::MuxTimeout)??;
        Ok(ServerStream { stream, local: self.local, remote: self.remote })
    }

    /// Ready when the connection has ended.
    pub(crate) async fn closed(&self) {
        self.session.closed().await;
    }

    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::duplex;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_acknowledges_no_stream_is_waited_for_so_long() {
        // The far end takes everything and says nothing.
        let (near, _far) = duplex(1 << 20);
        let (session, driver) = frp_mux::Session::client(near, frp_mux::Config::default());
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        let connection = Connection::Mux(MuxConnection::of(session, (Ipv4Addr::LOCALHOST, 1).into()));
        let mut streams = Vec::new();
        for _ in 0..frp_mux::Config::default().accept_backlog {
            streams.push(connection.open().await.unwrap());
        }
        let began = Instant::now();
        assert!(matches!(connection.open().await, Err(ConnectError::MuxTimeout)));
        assert_eq!(began.elapsed(), OPEN_TIMEOUT);
    }
}
