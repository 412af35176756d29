//! `udp`: a public UDP port whose datagrams travel as messages over one work connection at a time.
//!
//! Upstream `server/proxy/udp.go`. Unlike there, a datagram too long for a message is dropped and counted, and any
//! failure of the work connection only means that the next one is taken.

use std::sync::Arc;
use std::time::Duration;

use frp_config::proxy::UdpProxy;
use frp_net::listen::bind_udp;
use frp_stream::udp::{ExchangeEnd, Meter, UserPort};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Proxy, Running, StartError};
use crate::control::WorkConn;
use crate::ports::PortLease;

/// How long the first work connection waits, so that the client hears of the proxy's success before it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait after no work connection could be had.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Opens the port and returns it as the address that the client is told.
pub(super) fn listen(running: &mut Running, config: &UdpProxy) -> Result<String, StartError> {
    let proxy = Arc::clone(&running.proxy);
    let wanted = config.remote_port;
    let bind = |port| bind_udp(&proxy.core.settings.proxy_bind_addr, port);
    let (lease, socket) = proxy
        .core
        .udp_ports
        .acquire(&proxy.name, wanted, bind)
        .map_err(|error| StartError::UdpPort { wanted, error })?;
    let port = lease.port();
    info!("udp proxy listen port [{port}]");
    let packet_size = proxy.core.settings.udp_packet_size;
    let datagrams = proxy.datagrams;
    let users = UserPort::new(socket, packet_size, Counted(proxy)).with_framing(datagrams);
    running.spawn(serve(users, lease, running.stop.clone()));
    Ok(format!(":{port}"))
}

/// A proxy that counts its datagrams.
struct Counted(Arc<Proxy>);

impl Meter for Counted {
    fn inbound(&self, bytes: u64) {
        self.0.traffic.add_inbound(bytes);
    }

    fn outbound(&self, bytes: u64) {
        self.0.traffic.add_outbound(bytes);
    }

    fn too_long(&self, length: usize) {
        let count = self.0.traffic.count_oversized();
        warn!("dropped a datagram of {length} bytes, too long for one message ({count} so far)");
    }
}

/// The one task of a udp proxy. Frees the port before it ends.
async fn serve(users: UserPort<Counted>, lease: PortLease, stop: CancellationToken) {
    tokio::select! {
        never = users.receive() => match never {},
        () = exchange(&users, &stop) => {}
    }
    drop(users);
    drop(lease);
}

/// Uses one work connection after the other until the proxy is closed.
async fn exchange(users: &UserPort<Counted>, stop: &CancellationToken) {
    let Counted(proxy) = users.meter();
    stop.run_until_cancelled(tokio::time::sleep(FIRST_PAUSE)).await;
    while let Some(work) = stop.run_until_cancelled(next_work_conn(proxy)).await {
        match stop.run_until_cancelled(users.exchange(proxy.layers().apply(work.stream))).await {
            Some(ExchangeEnd::Read(error)) => {
                warn!("read from workConn for udp error: {error}");
                info!("sender goroutine for udp work connection closed");
            }
            Some(ExchangeEnd::Write(error)) => {
                info!("sender goroutine for udp work connection closed: {error}");
            }
            None => info!("sender goroutine for udp work connection closed"),
        }
    }
}

async fn next_work_conn(proxy: &Proxy) -> WorkConn {
    loop {
        match proxy.work_conn(None, None).await {
            Ok(work) => return work,
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}
