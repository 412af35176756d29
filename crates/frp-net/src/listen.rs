//! Listening sockets, and the accept step of every accept loop.
//!
//! A wildcard (`0.0.0.0`, `::` or nothing) is bound as one dual-stack socket, as Go does, so peers over IPv4
//! arrive with mapped addresses; [`accept`] makes them canonical.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::address::{canonical, join_host_port};
use crate::error_text::os_error;
use crate::keepalive::{self, Keepalive};

mod backoff;

/// Whether an accepted connection has the options of its listener.
const INHERITED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Connections that the kernel completes before we accept them. The kernel clamps it to `net.core.somaxconn`.
pub const BACKLOG: i32 = 4096;

/// Binds and listens on `address:port`; port 0 lets the system choose.
///
/// `address` is an IP literal, empty, or a name. A name is looked up by the system, which blocks the calling
/// thread for as long as that takes; its first IPv4 address is taken, as Go does. Must be called inside a tokio
/// runtime.
///
/// # Errors
/// With the kind of the system's error (so that [`io::ErrorKind::AddrInUse`] can be told from others) and Go's
/// text: `listen tcp 0.0.0.0:7000: bind: address already in use`.
pub fn bind_tcp(address: &str, port: u16) -> io::Result<TcpListener> {
    bind_tcp_with(address, port, Keepalive::default())
}

/// The same for connections with another keepalive, which [`accept`] has to be told, too.
///
/// # Errors
/// As [`bind_tcp`].
pub fn bind_tcp_with(address: &str, port: u16, keepalive: Keepalive) -> io::Result<TcpListener> {
    let target = Target { network: "tcp", address, port };
    let socket = target.bind(Type::STREAM, Protocol::TCP)?;
    if INHERITED {
        keepalive::prepare(&socket, keepalive);
    }
    socket.listen(BACKLOG).map_err(|e| target.error("listen", &e))?;
    TcpListener::from_std(socket.into()).map_err(|e| target.error("listen", &e))
}

/// The address that a name stands for, for an owner that binds it many times and must not wait for a look-up each
/// time: the one that [`bind_tcp`] would take. IP literals and the empty address come back as they are.
///
/// # Errors
/// When the name cannot be looked up, with the text of [`bind_tcp`].
pub async fn resolve_once(address: &str) -> io::Result<String> {
    if address.is_empty() || address.parse::<IpAddr>().is_ok() {
        return Ok(address.to_owned());
    }
    let target = Target { network: "tcp", address, port: 0 };
    let found = tokio::net::lookup_host((address, 0)).await.map_err(|e| target.lookup_error(&e))?;
    Ok(match target.preferred(&found.collect::<Vec<_>>())? {
        // The zone of a link-local address is not part of its `IpAddr`.
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        found => found.ip().to_string(),
    })
}

/// Binds a UDP socket on `address:port`; names and wildcards as in [`bind_tcp`]. Without `SO_REUSEADDR`, which
/// would let two UDP sockets share the port.
///
/// # Errors
/// As [`bind_tcp`], with `listen udp`.
pub fn bind_udp(address: &str, port: u16) -> io::Result<UdpSocket> {
    let target = Target { network: "udp", address, port };
    let socket = target.bind(Type::DGRAM, Protocol::UDP)?;
    UdpSocket::from_std(socket.into()).map_err(|e| target.error("listen", &e))
}

/// The next connection and the canonical address of its peer, with no delay and keepalive set.
///
/// Never fails: a connection that died in the queue is skipped, and an exhausted resource (open files,
/// buffers) is waited out with growing pauses from 5 ms to 1 s while a rate-limited line is logged. The accept
/// loop ends when its owner drops this future, which loses no connection. `listener` comes from [`bind_tcp`], or from
/// [`bind_tcp_with`] and this keepalive.
pub async fn accept(listener: &TcpListener, keepalive: Keepalive) -> (TcpStream, SocketAddr) {
    let local = || listener.local_addr().ok();
    let (stream, peer) = backoff::until_accepted(local, || listener.accept()).await;
    // Five calls to the system for every user.
    if !INHERITED {
        keepalive::prepare(&SockRef::from(&stream), keepalive);
    }
    (stream, canonical(peer))
}

/// What is being bound, for the socket calls and for the error text.
#[derive(Clone, Copy)]
struct Target<'a> {
    network: &'static str,
    address: &'a str,
    port: u16,
}

impl Target<'_> {
    fn bind(self, kind: Type, protocol: Protocol) -> io::Result<Socket> {
        let wildcard = match self.address.parse::<IpAddr>() {
            Ok(ip) => ip.is_unspecified(),
            Err(_) => self.address.is_empty(),
        };
        if !wildcard {
            let address = self.resolve()?;
            return bind_one(address, kind, protocol).map_err(|(op, e)| self.error(op, &e));
        }
        let dual_stack = SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port));
        match bind_one(dual_stack, kind, protocol) {
            // A host without IPv6 fails here in one of several ways, none of which is about the port.
            Err((op, e)) if op == "socket" || e.kind() == io::ErrorKind::AddrNotAvailable => {
                let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, self.port));
                bind_one(ipv4, kind, protocol)
            }
            bound => bound,
        }
        .map_err(|(op, e)| self.error(op, &e))
    }

    fn resolve(self) -> io::Result<SocketAddr> {
        let found = (self.address, self.port).to_socket_addrs().map_err(|e| self.lookup_error(&e))?;
        self.preferred(&found.collect::<Vec<_>>())
    }

    fn preferred(self, found: &[SocketAddr]) -> io::Result<SocketAddr> {
        let preferred = found.iter().find(|a| a.is_ipv4()).or_else(|| found.first());
        preferred.copied().ok_or_else(|| self.lookup_error(&io::ErrorKind::NotFound.into()))
    }

    fn lookup_error(self, cause: &io::Error) -> io::Error {
        let failure = crate::resolve::lookup_failure(self.address, cause);
        io::Error::new(cause.kind(), format!("listen {}: {failure}", self.network))
    }

    fn error(self, op: &str, cause: &io::Error) -> io::Error {
        let Self { network, address, port } = self;
        let text = format!("listen {network} {}: {op}: {}", join_host_port(address, port), os_error(cause));
        io::Error::new(cause.kind(), text)
    }
}

/// A bound, non-blocking socket, or the name of the call that failed.
fn bind_one(
    address: SocketAddr,
    kind: Type,
    protocol: Protocol,
) -> Result<Socket, (&'static str, io::Error)> {
    let socket =
        Socket::new(Domain::for_address(address), kind, Some(protocol)).map_err(|e| ("socket", e))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified()).map_err(|e| ("socket", e))?;
    }
    // On Windows the option means something else: it lets others take the port.
    if cfg!(unix) && kind == Type::STREAM {
        socket.set_reuse_address(true).map_err(|e| ("setsockopt", e))?;
    }
    socket.set_nonblocking(true).map_err(|e| ("setnonblock", e))?;
    socket.bind(&address.into()).map_err(|e| ("bind", e))?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
