//! udp proxies: one work connection carries the datagrams of all users (upstream `client/proxy/udp.go`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frp_net::resolve::Resolver;
use frp_proto::msg::UdpAddr;
use frp_proto::proxy_protocol;
use frp_proto::wire::Framing;
use frp_stream::layer::Layers;
use frp_stream::udp::{Forwarder, ForwarderEnd, ForwarderOptions, HeaderFn, READ_TIMEOUT};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::spec::ProxyProtocol;
use crate::connector::ServerStream;

/// Pause before the name of the local service is looked up again. Giving the work connection up instead would have
/// the server open the next one at once, again and again.
const LOOKUP_RETRY: Duration = Duration::from_secs(5);
/// How long one look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// What one udp or sudp proxy runs with.
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
    /// Users of one work connection at a time.
    pub(crate) max_sessions: usize,
    /// Resolves `local_ip` where it is a name.
    pub(crate) resolver: Arc<Resolver>,
}

impl UdpOptions {
    /// Forwards the datagrams of one work connection until it ends, and says why it did. `None` if there was no address
    /// to forward them to before the other end gave the connection up, as it does after so long a silence.
    pub(super) async fn forward(&self, work: ServerStream, framing: Framing) -> Option<ForwarderEnd> {
        let local = timeout(READ_TIMEOUT, self.local_service()).await.ok()?;
        let options = ForwarderOptions {
            packet_size: self.packet_size,
            max_sessions: self.max_sessions,
            header: self.proxy_protocol.map(header),
            framing,
            ..ForwarderOptions::new(local)
        };
        let report = Forwarder::new(options).run(self.layers.clone().apply(work.stream)).await;
        if report.too_long > 0 {
            warn!("{} replies were longer than a message and dropped", report.too_long);
        }
        Some(report.end)
    }

    /// Looks until there is an address: giving up at once would only make the server take another work connection.
    async fn local_service(&self) -> SocketAddr {
        let Self { local_ip, local_port, resolver, .. } = self;
        loop {
            match timeout(LOOKUP_TIMEOUT, resolver.lookup(local_ip)).await {
                Ok(Ok(found)) => {
                    if let Some(ip) = found.first() {
                        return SocketAddr::new(*ip, *local_port);
                    }
                }
                Ok(Err(error)) => warn!("local service [{local_ip}:{local_port}]: {error}"),
                Err(_) => warn!("local service [{local_ip}:{local_port}]: lookup {local_ip}: i/o timeout"),
            }
            sleep(LOOKUP_RETRY).await;
        }
    }
}

/// A running udp proxy.
pub(crate) struct UdpProxy {
    options: UdpOptions,
    /// Ends the work connection that is served now; none once the proxy was stopped.
    current: Mutex<Option<CancellationToken>>,
}

impl UdpProxy {
    pub(crate) fn new(options: UdpOptions) -> Self {
        Self { options, current: Mutex::new(Some(CancellationToken::new())) }
    }

    /// Forwards datagrams until the work connection ends, a newer one takes its place or the proxy is stopped.
    pub(crate) async fn serve(&self, work: ServerStream, framing: Framing) {
        let Some(replaced) = self.replace_current() else { return };
        info!("incoming a new work connection for udp proxy, {}", work.remote);
        if replaced.run_until_cancelled(self.forward(work, framing)).await.is_none() {
            debug!("the work connection is replaced, or the proxy stopped");
        }
    }

    /// Ends the work connection, and refuses those to come.
    pub(crate) fn stop(&self) {
        if let Some(current) = self.lock().take() {
            current.cancel();
        }
    }

    async fn forward(&self, work: ServerStream, framing: Framing) {
        match self.options.forward(work, framing).await {
            None => debug!("gave up a work connection for which there is no local service"),
            Some(ForwarderEnd::Read(error)) => warn!("read from workConn for udp error: {error}"),
            Some(ForwarderEnd::Write(error)) => error!("udp work write error: {error}"),
        }
    }

    /// Ends the work connection before, and gives the token that will end this one.
    fn replace_current(&self) -> Option<CancellationToken> {
        let token = CancellationToken::new();
        let mut current = self.lock();
        std::mem::replace(current.as_mut()?, token.clone()).cancel();
        Some(token)
    }

    fn lock(&self) -> MutexGuard<'_, Option<CancellationToken>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header(ProxyProtocol(version): ProxyProtocol) -> HeaderFn {
    Arc::new(move |user: &UdpAddr, local| {
        proxy_protocol::udp_header(version, user.to_socket_addr()?, local).ok()
    })
}

#[cfg(test)]
mod tests {
    use frp_proto::msg::Message;
    use frp_stream::Stream;
    use frp_stream::message::read_message;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    fn proxy(local_ip: &str) -> Arc<UdpProxy> {
        Arc::new(UdpProxy::new(UdpOptions {
            local_ip: local_ip.to_owned(),
            local_port: 53,
            layers: Layers::default(),
            proxy_protocol: None,
            packet_size: 1500,
            max_sessions: 4096,
            resolver: Arc::new(Resolver::system()),
        }))
    }

    fn work() -> (ServerStream, DuplexStream) {
        let (near, far) = duplex(1024);
        let local = SocketAddr::from(([127, 0, 0, 1], 1));
        (ServerStream { stream: Stream::boxed(near), local, remote: local }, far)
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_is_shown_every_thirty_seconds_that_we_are_there() {
        let (near, mut far) = work();
        let mut serving = JoinSet::new();
        let proxy = proxy("127.0.0.1");
        serving.spawn(async move { proxy.serve(near, Framing::V1).await });
        let began = Instant::now();
        for number in 1..=3 {
            assert!(matches!(read_message(&mut far).await, Ok(Message::Ping(_))));
            assert_eq!(began.elapsed(), number * Duration::from_secs(30));
        }
        drop(far);
        serving.join_next().await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_stopped_proxy_closes_its_work_connection_and_takes_no_other() {
        let proxy = proxy("127.0.0.1");
        let (near, mut far) = work();
        let mut serving = JoinSet::new();
        let server = Arc::clone(&proxy);
        serving.spawn(async move { server.serve(near, Framing::V1).await });
        tokio::task::yield_now().await;
        proxy.stop();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        let (near, mut far) = work();
        proxy.serve(near, Framing::V1).await;
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }
}
