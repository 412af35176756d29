//! udp proxies: one work connection carries the datagrams of all users (upstream `client/proxy/udp.go`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use frp_net::resolve::Resolver;
use frp_proto::msg::UdpAddr;
use frp_proto::proxy_protocol;
use frp_stream::layer::Layers;
use frp_stream::udp::{Forwarder, ForwarderOptions, HeaderFn};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::spec::ProxyProtocol;
use crate::work_conn::WorkStream;

/// Pause before the name of the local service is looked up again. Giving the work connection up instead would have
/// the server open the next one at once, again and again.
const LOOKUP_RETRY: Duration = Duration::from_secs(5);

/// What one udp proxy runs with.
#[derive(Clone)]
pub(crate) struct UdpOptions {
    /// Host of the local service.
    pub(crate) local_ip: String,
    /// Its port.
    pub(crate) local_port: u16,
    /// Encryption, compression and the client-side limit.
    pub(crate) layers: Layers,
    /// The PROXY header before the first datagram of each user, if any.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Longest reply of the local service, in bytes.
    pub(crate) packet_size: usize,
    /// Resolves `local_ip` where it is a name.
    pub(crate) resolver: Arc<Resolver>,
}

/// A running udp proxy.
pub(crate) struct UdpProxy {
    options: UdpOptions,
    /// Ends the work connection that is served now.
    current: Mutex<CancellationToken>,
}

impl UdpProxy {
    pub(crate) fn new(options: UdpOptions) -> Self {
        Self { options, current: Mutex::new(CancellationToken::new()) }
    }

    /// Forwards datagrams until the work connection ends or a newer one takes its place.
    pub(crate) async fn serve(&self, work: WorkStream) {
        info!("incoming a new work connection for udp proxy, {}", work.remote);
        let replaced = self.replace_current();
        tokio::select! {
            () = self.forward(work) => {}
            () = replaced.cancelled() => debug!("a newer work connection takes over"),
        }
    }

    async fn forward(&self, work: WorkStream) {
        let local = self.local_service().await;
        let options = ForwarderOptions {
            packet_size: self.options.packet_size,
            header: self.options.proxy_protocol.map(header),
            ..ForwarderOptions::new(local)
        };
        let report = Forwarder::new(options).run(self.options.layers.clone().apply(work.stream)).await;
        if report.too_long > 0 {
            warn!("{} replies were longer than a message and dropped", report.too_long);
        }
        debug!("udp work connection closed: {:?}", report.end);
    }

    async fn local_service(&self) -> SocketAddr {
        let UdpOptions { local_ip, local_port, resolver, .. } = &self.options;
        loop {
            match resolver.lookup(local_ip).await {
                Ok(found) => {
                    if let Some(ip) = found.first() {
                        return SocketAddr::new(*ip, *local_port);
                    }
                }
                Err(error) => warn!("local service [{local_ip}:{local_port}]: {error}"),
            }
            sleep(LOOKUP_RETRY).await;
        }
    }

    /// Ends the work connection before and gives the token that will end this one.
    fn replace_current(&self) -> CancellationToken {
        let token = CancellationToken::new();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, token.clone()).cancel();
        token
    }
}

fn header(ProxyProtocol(version): ProxyProtocol) -> HeaderFn {
    Arc::new(move |user: &UdpAddr, local| {
        proxy_protocol::udp_header(version, user.to_socket_addr()?, local).ok()
    })
}
