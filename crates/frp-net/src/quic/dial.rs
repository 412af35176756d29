//! The client's end.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::drivers::Drivers;
use super::{ConnectionError, QuicOptions, Session, transport};
use crate::address::dialable;
use crate::dial::{ConnectFailure, is_usable_from, race};
use crate::listen::bind_udp;
use crate::resolve::{LookupError, Resolver};
use crate::tls::ClientTls;

/// How to dial.
#[derive(Clone, Copy, Debug)]
pub struct DialOptions {
    /// For everything together: the look-up and the handshake with every address.
    pub timeout: Duration,
    /// The address to connect from; destinations of the other family are left out.
    pub local_ip: Option<IpAddr>,
    /// `transport.quic`.
    pub quic: QuicOptions,
}

/// No connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialError {
    /// The name could not be resolved.
    Lookup(LookupError),
    /// Our end failed, the peer refused, or the handshake did.
    Failed(io::Error),
    /// No answer in time.
    Timeout,
    /// None of the addresses is of the local address' family.
    NoSuitableAddress,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup(cause) => cause.fmt(f),
            Self::Failed(cause) => cause.fmt(f),
            Self::Timeout => f.write_str("timeout: no recent network activity"),
            Self::NoSuitableAddress => f.write_str("no suitable address found"),
        }
    }
}

impl std::error::Error for DialError {}

/// Connects to `host:port` from a socket of its own.
///
/// The addresses of a name are tried like those of a TCP connection. The tasks that drive the connection are spawned on
/// `tasks`.
///
/// # Errors
/// Where every address failed, the error of the first one.
pub async fn dial(
    resolver: &Resolver,
    host: &str,
    port: u16,
    tls: &ClientTls,
    options: &DialOptions,
    tasks: &TaskTracker,
) -> Result<Session, DialError> {
    let deadline = Instant::now() + options.timeout;
    let (crypto, server_name) = tls.for_quic();
    let crypto = QuicClientConfig::try_from(crypto).map_err(|e| DialError::Failed(io::Error::other(e)))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport::of_client(&options.quic));

    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let lookup = timeout_at(deadline, resolver.addresses(host, port)).await;
    let mut addresses =
        lookup.unwrap_or_else(|_| Err(LookupError::timeout(host))).map_err(DialError::Lookup)?;
    if let Some(local) = options.local_ip {
        addresses.retain(|address| is_usable_from(local, address));
    }
    if addresses.is_empty() {
        return Err(DialError::NoSuitableAddress);
    }
    let addresses = race::interleaved(addresses);
    let attempt = |address| connect(address, options.local_ip, config.clone(), &server_name, tasks);
    race::first_connection(&addresses, deadline, attempt).await.map_err(|(_, failure)| match failure {
        ConnectFailure::Timeout => DialError::Timeout,
        ConnectFailure::System { cause, .. } => DialError::Failed(cause),
    })
}

async fn connect(
    mut address: SocketAddr,
    local: Option<IpAddr>,
    config: ClientConfig,
    server_name: &str,
    tasks: &TaskTracker,
) -> Result<Session, (&'static str, io::Error)> {
    address.set_ip(dialable(address.ip()));
    let local = local.unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into());
    let closing = CancellationToken::new();
    // Whoever gives the attempt up ends its tasks.
    let given_up = closing.clone().drop_guard();
    let make = || -> io::Result<_> {
        let socket = bind_udp(&local.to_string(), 0)?.into_std()?;
        let drivers = Drivers::new(tasks.clone(), closing.clone());
        let endpoint = Endpoint::new(transport::of_socket(), None, socket, drivers)?;
        let connecting = endpoint.connect_with(config, address, server_name).map_err(io::Error::other)?;
        Ok((endpoint.local_addr()?, connecting))
    };
    let (socket, connecting) = make().map_err(|error| ("listen", error))?;
    let connection = connecting.await.map_err(|error| ("connect", ConnectionError(error).to_io()))?;
    Ok(Session::dialled(connection, socket, given_up.disarm()))
}
