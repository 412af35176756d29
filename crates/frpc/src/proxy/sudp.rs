//! sudp proxies: each work connection carries the datagrams of one visitor's users (upstream `client/proxy/sudp.go`).

use frp_proto::wire::Framing;
use frp_stream::udp::ForwarderEnd;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, trace, warn};

use super::UdpOptions;
use crate::connector::ServerStream;

/// A running sudp proxy.
pub(crate) struct SudpProxy {
    options: UdpOptions,
    /// Ends all work connections.
    stop: CancellationToken,
}

impl SudpProxy {
    pub(crate) fn new(options: UdpOptions) -> Self {
        Self { options, stop: CancellationToken::new() }
    }

    /// Forwards datagrams until the work connection ends or the proxy is stopped.
    pub(crate) async fn serve(&self, work: ServerStream, framing: Framing) {
        info!("incoming a new work connection for sudp proxy, {}", work.remote);
        match self.stop.run_until_cancelled(self.options.forward(work, framing)).await {
            None => trace!("frpc sudp proxy is closed"),
            Some(None) => debug!("gave up a work connection for which there is no local service"),
            Some(Some(ForwarderEnd::Read(error))) => warn!("read from workConn for sudp error: {error}"),
            Some(Some(ForwarderEnd::Write(error))) => error!("sudp work write error: {error}"),
        }
    }

    /// Ends the work connections, and those to come.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::sync::Arc;

    use frp_net::resolve::Resolver;
    use frp_stream::Stream;
    use frp_stream::layer::Layers;
    use frp_stream::udp::READ_TIMEOUT;
    use tokio::io::{AsyncReadExt, duplex};
    use tokio::net::UdpSocket;
    use tokio::time::Instant;

    use super::*;

    /// The visitor has given it up by then, which nobody sees while the datagrams before its end wait to be read.
    #[tokio::test]
    async fn a_work_connection_without_a_local_service_is_given_up() {
        // A name server that does not answer.
        let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = silent.local_addr().unwrap().to_string();
        let proxy = SudpProxy::new(UdpOptions {
            local_ip: "service.test".to_owned(),
            local_port: 53,
            layers: Layers::default(),
            proxy_protocol: None,
            packet_size: 1500,
            max_sessions: 4096,
            resolver: Arc::new(Resolver::with_server(&server)),
        });
        let (near, mut far) = duplex(1024);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        tokio::time::pause();
        let began = Instant::now();
        proxy.serve(ServerStream { stream: Stream::boxed(near), local, remote: local }, Framing::V1).await;
        assert_eq!(began.elapsed().as_secs(), READ_TIMEOUT.as_secs());
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }
}
