//! Proxies whose work connections are byte streams: layer the stream, dial the local service, write the PROXY
//! header if asked, relay (upstream `client/proxy/proxy.go`, `HandleTCPWorkConnection`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frp_net::address::canonical;
use frp_net::dial::{DialOptions, dial_tcp};
use frp_net::resolve::Resolver;
use frp_proto::msg::StartWorkConn;
use frp_stream::Stream;
use frp_stream::layer::Layers;
use frp_stream::relay::{RelayOptions, relay};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tracing::{debug, error, trace};

use super::Started;
use super::spec::ProxyProtocol;

/// Deadline for the connection to the local service, upstream's number.
const LOCAL_DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What one stream proxy runs with.
#[derive(Clone)]
pub(crate) struct TcpOptions {
    /// Host of the local service.
    pub(crate) local_ip: String,
    /// Its port.
    pub(crate) local_port: u16,
    /// Encryption, compression and the client-side limit.
    pub(crate) layers: Layers,
    /// The PROXY header to begin with, if any.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Bounds of the relay.
    pub(crate) relay: RelayOptions,
    /// Resolves `local_ip` where it is a name.
    pub(crate) resolver: Arc<Resolver>,
}

/// A running stream proxy.
pub(crate) struct TcpProxy {
    options: TcpOptions,
}

impl TcpProxy {
    pub(crate) fn new(options: TcpOptions) -> Self {
        Self { options }
    }

    /// Splices the work connection to a new connection to the local service.
    pub(crate) async fn serve(&self, started: Box<Started>) {
        let Layers { encryption, compression, .. } = &self.options.layers;
        trace!(
            "handle tcp work connection, useEncryption: {}, useCompression: {compression}",
            encryption.is_some()
        );
        let Some(local) = Box::pin(self.local_connection(&started.message)).await else { return };
        debug!(
            "join connections, localConn(l[{}] r[{}]) workConn(l[{}] r[{}])",
            shown(local.local_addr()),
            shown(local.peer_addr()),
            started.work.local,
            started.work.remote
        );
        let work = self.options.layers.clone().apply(started.work.stream);
        let report = relay(work, Stream::from(local), self.options.relay).await;
        debug!("join connections closed");
        trace!(
            "{} bytes to the service, {} to the user: {:?}",
            report.to_service, report.to_user, report.end
        );
    }

    /// A connection to the local service, with the PROXY header written.
    async fn local_connection(&self, start: &StartWorkConn) -> Option<TcpStream> {
        let TcpOptions { local_ip, local_port, resolver, proxy_protocol, .. } = &self.options;
        let header = match proxy_protocol.map_or(Ok(Vec::new()), |version| version.stream_header(start)) {
            Ok(header) => header,
            Err(error) => {
                error!("write proxy protocol header to local conn error: {error}");
                return None;
            }
        };
        let dial = DialOptions { timeout: LOCAL_DIAL_TIMEOUT, ..DialOptions::default() };
        let mut local = match dial_tcp(resolver, local_ip, *local_port, &dial).await {
            Ok(local) => local,
            Err(error) => {
                error!("connect to local service [{local_ip}:{local_port}] error: {error}");
                return None;
            }
        };
        // It is short: a new connection's send buffer takes it at once.
        if let Err(error) = local.write_all(&header).await {
            error!("write proxy protocol header to local conn error: {error}");
            return None;
        }
        Some(local)
    }
}

fn shown(address: io::Result<SocketAddr>) -> String {
    address.map_or_else(|_| "?".to_owned(), |address| canonical(address).to_string())
}
