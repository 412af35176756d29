//! One connection to the server, from the socket to what streams begin on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use frp_net::dial::{DialOptions, dial_tcp};
use frp_net::quic::{self, QuicOptions};
use frp_net::session::Session;
use frp_net::tls::{ClientTls, write_marker};
use frp_net::{address, kcp, mux, websocket};
use frp_stream::Stream;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ConnectError, Connector, MuxSession, ServerStream};

/// Makes the connections of one login.
pub(crate) struct Dialer {
    pub(super) connector: Arc<Connector>,
    pub(super) tls: Option<ClientTls>,
}

impl Dialer {
    /// Whether its connections are conversations of KCP.
    pub(super) fn is_kcp(&self) -> bool {
        self.connector.options.kcp.is_some()
    }

    /// One connection that carries many streams.
    pub(super) async fn session(&self) -> Result<MuxSession, ConnectError> {
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

    /// One connection over TCP or KCP, with everything around it.
    pub(super) async fn dial(&self) -> Result<ServerStream, ConnectError> {
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
