//! Names to addresses: through the system, or through the one server that `dnsServer` names.
//!
//! Nothing is cached: a name is asked for at every dial, so that a server that moved is found again.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

mod order;
mod server;

use server::ConfiguredServer;

/// Where names are looked up. Cheap to clone; one per process, used for the server's address and for local
/// services alike.
#[derive(Clone, Debug)]
pub struct Resolver {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Server(ConfiguredServer),
}

impl Resolver {
    /// The system's own resolver (`getaddrinfo`): hosts file, search domains and all that `nsswitch.conf` names.
    ///
    /// A look-up runs on tokio's blocking pool and cannot be interrupted there; a program that must end quickly
    /// shuts its runtime down with a timeout.
    #[must_use]
    pub fn system() -> Self {
        Self { source: Source::System }
    }

    /// `dnsServer`: the hosts file, then exactly this server, over UDP and, for long answers, TCP. `server` is
    /// `1.1.1.1` or `1.1.1.1:53`; port 53 where none is given (upstream `pkg/util/net/dns.go`). The search
    /// domains of the system hold, too.
    ///
    /// A server that is not an IP address makes every look-up fail, and nothing else: addresses keep working,
    /// as they do in upstream.
    #[must_use]
    pub fn with_server(server: &str) -> Self {
        Self { source: Source::Server(ConfiguredServer::new(server)) }
    }

    /// The addresses of `host`, best first (RFC 6724). An IP literal is returned as it is and nobody is asked.
    /// Bounded in time by the resolver's own retries (10 s and more): wrap it in the caller's deadline.
    ///
    /// # Errors
    /// [`LookupError`], with Go's text. Never an empty list.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        Ok(self.addresses(host, 0).await?.into_iter().map(|a| a.ip()).collect())
    }

    /// As [`Resolver::lookup`], with the port and, for a link-local literal such as `fe80::1%eth0`, the zone.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let addresses = match &self.source {
            // The system knows the names of interfaces; a literal with a zone is no question for a server.
            Source::Server(server) if !host.contains('%') => server.lookup(host, port).await?,
            _ => tokio::net::lookup_host((host, port)).await.map_err(|e| lookup_failure(host, &e))?.collect(),
        };
        if addresses.is_empty() { Err(LookupError::no_such_host(host)) } else { Ok(addresses) }
    }
}

/// A name that could not be resolved. Displays as Go's `net.DNSError`: `lookup nohost: no such host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupError {
    host: String,
    cause: LookupCause,
}

/// Why a name could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupCause {
    /// The name does not exist, or has no address.
    NoSuchHost,
    /// No answer in time.
    Timeout,
    /// The resolver or the way to it failed; the text says how.
    Failed(String),
}

impl LookupError {
    /// Why.
    #[must_use]
    pub fn cause(&self) -> &LookupCause {
        &self.cause
    }

    pub(crate) fn no_such_host(host: &str) -> Self {
        Self { host: host.to_owned(), cause: LookupCause::NoSuchHost }
    }

    pub(crate) fn timeout(host: &str) -> Self {
        Self { host: host.to_owned(), cause: LookupCause::Timeout }
    }

    pub(crate) fn failed(host: &str, cause: String) -> Self {
        Self { host: host.to_owned(), cause: LookupCause::Failed(cause) }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}: ", self.host)?;
        match &self.cause {
            LookupCause::NoSuchHost => f.write_str("no such host"),
            LookupCause::Timeout => f.write_str("i/o timeout"),
            LookupCause::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for LookupError {}

impl From<LookupError> for io::Error {
    fn from(error: LookupError) -> Self {
        let kind = match error.cause {
            LookupCause::NoSuchHost => io::ErrorKind::NotFound,
            LookupCause::Timeout => io::ErrorKind::TimedOut,
            LookupCause::Failed(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// An error of `getaddrinfo`, which the standard library gives as text only.
pub(crate) fn lookup_failure(host: &str, error: &io::Error) -> LookupError {
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    // glibc's and musl's words for EAI_NONAME and EAI_NODATA, and what other systems say.
    const ABSENT: [&str; 6] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided, or not known",
        "No such host is known.",
    ];
    let absent = ABSENT.iter().any(|known| text.starts_with(known));
    match error.kind() {
        _ if absent => LookupError::no_such_host(host),
        // A name with a NUL byte, and an empty answer.
        io::ErrorKind::InvalidInput | io::ErrorKind::NotFound => LookupError::no_such_host(host),
        io::ErrorKind::TimedOut => LookupError::timeout(host),
        _ => LookupError::failed(host, text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
