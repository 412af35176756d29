//! sudp proxies: each work connection carries the datagrams of one visitor's users (upstream `client/proxy/sudp.go`).

use frp_proto::wire::Framing;
use frp_stream::udp::ForwarderEnd;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, trace, warn};

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
            Some(ForwarderEnd::Read(error)) => warn!("read from workConn for sudp error: {error}"),
            Some(ForwarderEnd::Write(error)) => error!("sudp work write error: {error}"),
        }
    }

    /// Ends the work connections, and those to come.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}
