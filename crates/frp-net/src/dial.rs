//! TCP connections to a name or an address, every resolved address tried (Happy Eyeballs, RFC 8305).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::address::{dialable, join_host_port};
use crate::error_text::os_error;
use crate::keepalive::{self, Keepalive};
use crate::resolve::{LookupError, Resolver};

pub(crate) mod race;

/// How to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOptions {
    /// For everything together: the look-up and all addresses. Default 10 s, that of
    /// `transport.dialServerTimeout` and of local connections.
    pub timeout: Duration,
    /// Probes on the connection. Default: Go's 15 s, and none to a loopback address: who is on this host cannot vanish
    /// without a word of the kernel, and they would be four calls to the system for every connection to a service.
    pub keepalive: Keepalive,
    /// `transport.connectServerLocalIP`: the address to connect from (see [`local_address`]). Destinations of
    /// the other family are left out. Default: the system's choice.
    pub local_ip: Option<IpAddr>,
}

impl Default for DialOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), keepalive: Keepalive::default(), local_ip: None }
    }
}

/// Connects to `host:port` and sets no delay and keepalive on the connection.
///
/// `host` is a name, an IP literal (an IPv6 one may carry a zone), or a wildcard, which means the local host.
/// The addresses of a name are tried in turn, families alternating, each 300 ms after the one before or as soon
/// as one failed; the first connection wins. Dropping the future closes all attempts.
///
/// # Errors
/// Where every address failed, the error of the first one, as Go does.
pub async fn dial_tcp(
    resolver: &Resolver,
    host: &str,
    port: u16,
    options: &DialOptions,
) -> Result<TcpStream, DialError> {
    let deadline = Instant::now() + options.timeout;
    let local = options.local_ip;
    // Go's dialler takes "no host" for the local one, too.
    let literal = if host.is_empty() { Ok(Ipv4Addr::UNSPECIFIED.into()) } else { host.parse() };
    let is_here = literal.as_ref().is_ok_and(|&ip: &IpAddr| dialable(ip).is_loopback());
    let stream = match literal {
        Ok(ip) => to_address(local, SocketAddr::new(ip, port), deadline).await?,
        // Boxed, because a caller's future keeps room for the largest of its waits as long as it lives.
        Err(_) => Box::pin(to_name(resolver, host, port, local, deadline)).await?,
    };
    let socket = SockRef::from(&stream);
    if is_here && options.keepalive == Keepalive::default() {
        let _ = socket.set_tcp_nodelay(true);
    } else {
        keepalive::prepare(&socket, options.keepalive);
    }
    Ok(stream)
}

async fn to_address(
    local: Option<IpAddr>,
    address: SocketAddr,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    if let Some(local) = local.filter(|&local| !is_usable_from(local, &address)) {
        return Err(DialError::NoSuitableAddress { local });
    }
    let failure = match timeout_at(deadline, connect(local, address)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err((call, cause))) => ConnectFailure::System { call, cause },
        Err(_) => ConnectFailure::Timeout,
    };
    Err(DialError::Connect { local, address, failure })
}

async fn to_name(
    resolver: &Resolver,
    name: &str,
    port: u16,
    local: Option<IpAddr>,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let lookup = timeout_at(deadline, resolver.addresses(name, port)).await;
    let addresses = lookup.unwrap_or_else(|_| Err(LookupError::timeout(name))).map_err(DialError::Lookup)?;
    let addresses = race::interleaved(usable_from(local, addresses)?);
    race::first_connection(&addresses, deadline, |address| connect(local, address))
        .await
        .map_err(|(address, failure)| DialError::Connect { local, address, failure })
}

/// `transport.connectServerLocalIP` as an address: a literal or a name. `None`, and the system chooses, when it
/// is empty or cannot be resolved (golib `net/dial.go` ignores the error as well). A mistyped address is
/// therefore not noticed: log what became of it.
pub async fn local_address(resolver: &Resolver, configured: &str) -> Option<IpAddr> {
    if configured.is_empty() {
        return None;
    }
    let found = resolver.lookup(configured).await.ok()?;
    found.iter().find(|ip| ip.is_ipv4()).or_else(|| found.first()).copied()
}

/// Leaves out the destinations that cannot be reached from the local address' family.
fn usable_from(local: Option<IpAddr>, mut addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, DialError> {
    let Some(local) = local else { return Ok(addresses) };
    addresses.retain(|address| is_usable_from(local, address));
    if addresses.is_empty() { Err(DialError::NoSuitableAddress { local }) } else { Ok(addresses) }
}

pub(crate) fn is_usable_from(local: IpAddr, address: &SocketAddr) -> bool {
    local.is_unspecified() || address.is_ipv4() == local.is_ipv4()
}

/// Attempts at one address: a repeated one only after the kernel connected a socket to itself.
const ATTEMPTS_PER_ADDRESS: usize = 3;

async fn connect(local: Option<IpAddr>, address: SocketAddr) -> Result<TcpStream, (&'static str, io::Error)> {
    let mut destination = address;
    destination.set_ip(dialable(address.ip()));
    for _ in 0..ATTEMPTS_PER_ADDRESS {
        let socket = if destination.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(|e| ("socket", e))?;
        if let Some(local) = local {
            socket.bind(SocketAddr::new(local, 0)).map_err(|e| ("bind", e))?;
        }
        let stream = socket.connect(destination).await.map_err(|e| ("connect", e))?;
        if !connected_to_itself(&stream, destination) {
            return Ok(stream);
        }
    }
    Err(("connect", io::ErrorKind::ConnectionRefused.into()))
}

/// Dialling a port of this host on which nobody listens, in the range of ephemeral ports, can draw that very
/// port as the local one; TCP then connects the socket to itself. Go's dialler looks for this, too.
fn connected_to_itself(stream: &TcpStream, destination: SocketAddr) -> bool {
    stream.local_addr().is_ok_and(|local| local == destination)
}

/// A connection that could not be made. Displays as Go's `net.OpError`.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialError {
    /// The name could not be resolved: `dial tcp: lookup nohost: no such host`.
    Lookup(LookupError),
    /// No address answered: `dial tcp 127.0.0.1:1: connect: connection refused`.
    Connect {
        /// The configured local address.
        local: Option<IpAddr>,
        /// The address that the error is about: the first that was tried.
        address: SocketAddr,
        /// What happened there.
        failure: ConnectFailure,
    },
    /// None of the addresses is of the local address' family.
    NoSuitableAddress {
        /// The configured local address.
        local: IpAddr,
    },
}

/// Why one address could not be connected to.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// No answer in time.
    Timeout,
    /// A system call failed.
    System {
        /// The name of the call.
        call: &'static str,
        /// Its error.
        cause: io::Error,
    },
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(cause) => write!(f, "dial tcp: {cause}"),
            Self::Connect { local, address, failure } => {
                f.write_str("dial tcp ")?;
                if let Some(local) = local {
                    write!(f, "{}->", join_host_port(&local.to_string(), 0))?;
                }
                match failure {
                    ConnectFailure::Timeout => write!(f, "{address}: i/o timeout"),
                    ConnectFailure::System { call, cause } => {
                        write!(f, "{address}: {call}: {}", refused(cause))
                    }
                }
            }
            Self::NoSuitableAddress { local } => {
                let local = join_host_port(&local.to_string(), 0);
                write!(f, "dial tcp: address {local}: no suitable address found")
            }
        }
    }
}

/// The refusal that we make up after a connection to ourselves has no system error behind it.
fn refused(cause: &io::Error) -> String {
    match (cause.raw_os_error(), cause.kind()) {
        (None, io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        _ => os_error(cause),
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lookup(cause) => Some(cause),
            Self::Connect { failure: ConnectFailure::System { cause, .. }, .. } => Some(cause),
            Self::Connect { .. } | Self::NoSuitableAddress { .. } => None,
        }
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        let kind = match &error {
            DialError::Lookup(_) => io::ErrorKind::NotFound,
            DialError::Connect { failure: ConnectFailure::Timeout, .. } => io::ErrorKind::TimedOut,
            DialError::Connect { failure: ConnectFailure::System { cause, .. }, .. } => cause.kind(),
            DialError::NoSuitableAddress { .. } => io::ErrorKind::AddrNotAvailable,
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests;
