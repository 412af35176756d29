//! `tcp`: a public port, or a place in a group that has one. Upstream `server/proxy/tcp.go`.

use std::sync::Arc;

use frp_config::proxy::TcpProxy;
use frp_net::keepalive::Keepalive;
use frp_net::listen::{accept, bind_tcp};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Proxy, Running, StartError};
use crate::group::Terms;
use crate::ports::PortLease;

/// Opens the port and returns it as the address that the client is told. What is logged is the port as asked for.
pub(super) fn listen(running: &mut Running, config: &TcpProxy) -> Result<String, StartError> {
    let core = Arc::clone(&running.proxy.core);
    let address = core.settings.proxy_bind_addr.as_str();
    let wanted = config.remote_port;
    let balancer = &config.base.load_balancer;
    if !balancer.group.is_empty() {
        let group = balancer.group.as_str();
        let terms = Terms { group, key: &balancer.group_key, address, port: wanted };
        let membership = core.tcp_groups.join(&running.proxy, &terms)?;
        info!("tcp proxy listen port [{wanted}] in group [{group}]");
        let port = membership.port();
        running.membership = Some(membership);
        return Ok(format!(":{port}"));
    }
    let (lease, listener) =
        core.tcp_ports.acquire(&running.proxy.name, wanted, |port| bind_tcp(address, port))?;
    info!("tcp proxy listen port [{wanted}]");
    let port = lease.port();
    let users = accept_users(Arc::clone(&running.proxy), listener, lease, running.stop.clone());
    running.spawn(users);
    Ok(format!(":{port}"))
}

/// The accept loop. Frees the port before it ends.
async fn accept_users(proxy: Arc<Proxy>, listener: TcpListener, lease: PortLease, stop: CancellationToken) {
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, Keepalive::default()) => accepted,
        };
        proxy.accept_user(stream, peer);
    }
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    drop(listener);
    drop(lease);
    warn!("listener is closed: accept tcp {address}: use of closed network connection");
}
