//! Proxies whose work connections are byte streams: layer the stream, dial the local service, write the PROXY
//! header if asked, relay (upstream `client/proxy/proxy.go`, `HandleTCPWorkConnection`).

use std::sync::Arc;
use std::time::Duration;

use frp_net::dial::{DialOptions, dial_tcp};
use frp_net::resolve::Resolver;
use frp_proto::msg::StartWorkConn;
use frp_stream::Stream;
use frp_stream::layer::Layers;
use frp_stream::relay::{RelayOptions, relay};
use tokio::io::AsyncWriteExt;
use tracing::{debug, error, trace};

use super::spec::ProxyProtocol;
use crate::work_conn::WorkStream;

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
    pub(crate) async fn serve(&self, work: WorkStream, start: &StartWorkConn) {
        let options = &self.options;
        trace!(
            "handle tcp work connection, useEncryption: {}, useCompression: {}",
            options.layers.encryption.is_some(),
            options.layers.compression
        );
        let header =
            match options.proxy_protocol.map_or(Ok(Vec::new()), |version| version.stream_header(start)) {
                Ok(header) => header,
                Err(error) => {
                    error!("write proxy protocol header to local conn error: {error}");
                    return;
                }
            };
        let dial = DialOptions { timeout: LOCAL_DIAL_TIMEOUT, ..DialOptions::default() };
        let mut local = match dial_tcp(&options.resolver, &options.local_ip, options.local_port, &dial).await
        {
            Ok(local) => local,
            Err(error) => {
                let (ip, port) = (&options.local_ip, options.local_port);
                error!("connect to local service [{ip}:{port}] error: {error}");
                return;
            }
        };
        if let Err(error) = local.write_all(&header).await {
            error!("write proxy protocol header to local conn error: {error}");
            return;
        }
        let address = |address: std::io::Result<std::net::SocketAddr>| {
            address
                .map_or_else(|_| "?".to_owned(), |address| frp_net::address::canonical(address).to_string())
        };
        debug!(
            "join connections, localConn(l[{}] r[{}]) workConn(l[{}] r[{}])",
            address(local.local_addr()),
            address(local.peer_addr()),
            work.local,
            work.remote
        );
        let report =
            relay(options.layers.clone().apply(work.stream), Stream::from(local), options.relay).await;
        debug!("join connections closed");
        trace!(
            "{} bytes to the service, {} to the user: {:?}",
            report.to_service, report.to_user, report.end
        );
    }
}
