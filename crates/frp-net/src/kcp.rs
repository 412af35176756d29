//! KCP: a listener on one UDP port, and a conversation with a server (upstream `pkg/util/net/kcp.go`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub use frp_kcp::{Accepted, Config, KcpStream, Listener, ListenerDriver, Proof};
use frp_stream::Stream;
use tokio::time::timeout;

use crate::address::{dialable, join_host_port};
use crate::error_text::os_error;
use crate::listen::bind_udp;
use crate::resolve::{LookupError, Resolver};

/// Why no conversation could be begun.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name cannot be resolved.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The system gives no socket, or no way to the address.
    #[error("dial udp {address}: {}", os_error(.error))]
    Socket {
        /// Where to.
        address: String,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// Windows and timeouts below a mux session, or for a connection of its own.
#[must_use]
pub fn config(is_multiplexed: bool) -> Config {
    if is_multiplexed { Config::multiplexed() } else { Config::single() }
}

/// Listens on `address:port`. The driver has to be run.
///
/// # Errors
/// As [`bind_udp`].
pub fn bind(address: &str, port: u16, config: Config) -> io::Result<(Listener, ListenerDriver)> {
    Listener::new(bind_udp(address, port)?, config)
}

/// Begins a conversation with `host:port`: its stream, its own and the server's address, and what drives it, which has
/// to be run. Whether anybody is there shows only when something is answered. Of the addresses of a name the first IPv4
/// one is taken, as Go does.
///
/// # Errors
/// The name cannot be resolved within `limit`, or there is no socket.
pub async fn dial(
    resolver: &Resolver,
    host: &str,
    port: u16,
    limit: Duration,
    config: Config,
) -> Result<(Stream, [SocketAddr; 2], impl Future<Output = ()> + Send + 'static), DialError> {
    let address = address(resolver, host, port, limit).await?;
    let connected = frp_kcp::connect(address, config).await;
    let (stream, driver) = connected.map_err(|error| DialError::Socket {
        address: join_host_port(&address.ip().to_string(), port),
        error,
    })?;
    let addresses = [stream.local_addr(), stream.peer_addr()];
    Ok((Stream::boxed(stream), addresses, driver))
}

async fn address(
    resolver: &Resolver,
    host: &str,
    port: u16,
    limit: Duration,
) -> Result<SocketAddr, LookupError> {
    // Go takes "no host" for the local one, too.
    let literal = if host.is_empty() { Ok(Ipv4Addr::UNSPECIFIED.into()) } else { host.parse::<IpAddr>() };
    if let Ok(ip) = literal {
        return Ok(SocketAddr::new(dialable(ip), port));
    }
    let found = timeout(limit, resolver.addresses(host, port)).await;
    let found = found.unwrap_or_else(|_| Err(LookupError::timeout(host)))?;
    let preferred = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
    preferred.copied().ok_or_else(|| LookupError::no_such_host(host))
}
