//! Proxies on the way to the server: `transport.proxyURL` (upstream golib `net/dial_option.go`).
//!
//! | scheme | what |
//! | --- | --- |
//! | `http` | CONNECT, with `Basic` credentials (`connect`) |
//! | `https` | the same within TLS, whose certificate the system's authorities must vouch for |
//! | `socks5` | SOCKS 5, without credentials or with user and password; the proxy resolves names (`socks5`) |
//! | `ntlm` | CONNECT with NTLM credentials, as `Negotiate` and as `NTLM` (`connect`, `ntlm`) |
//!
//! Credentials never appear in an error or in `Debug` output.

use std::fmt;
use std::io;

use frp_http::HeadError;
use frp_http::read::ReadError;
use frp_proto::Secret;
use frp_stream::Stream;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::address::{join_host_port, split_host_port};
use crate::dial::{DialError, DialOptions, dial_tcp};
use crate::resolve::Resolver;
use crate::tls::{ClientTls, ClientTlsOptions, TlsError, system_authorities};

mod connect;
mod ntlm;
mod socks5;

pub use ntlm::NtlmError;

/// Why there is no way through the proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The URL is none.
    #[error("fail to parse proxy url")]
    Url,
    /// No such kind of proxy.
    #[error("ProxyType must be http, https, socks5 or ntlm, not [{0}]")]
    Kind(String),
    /// The proxy cannot be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The proxy cannot be trusted, or the connection broke before that.
    #[error("TLS handshake with HTTPS proxy: {0}")]
    Tls(String),
    /// The proxy does not connect us.
    #[error("DialTcpByHttpProxy error, StatusCode [{0}]")]
    Status(u16),
    /// The proxy does not connect us, and may not know us.
    #[error("DialTcpByNTLMHttpProxy error, StatusCode [{0}]")]
    NtlmStatus(u16),
    /// The proxy's part of the NTLM exchange is none.
    #[error(transparent)]
    Ntlm(#[from] NtlmError),
    /// The SOCKS proxy does not connect us.
    #[error("socks connect tcp {proxy}->{target}: {reason}")]
    Socks {
        /// The proxy.
        proxy: String,
        /// Where to.
        target: String,
        /// Why not.
        reason: String,
    },
    /// What the proxy says is no HTTP.
    #[error("answer of the proxy: {0}")]
    Head(#[from] HeadError),
    /// The proxy did not connect us in time.
    #[error("proxy {0}: i/o timeout")]
    Timeout(String),
    /// The connection to the proxy ended or failed.
    #[error("connection to the proxy: {0}")]
    Io(#[from] io::Error),
}

impl From<ReadError> for ProxyError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Head(error) => error.into(),
            ReadError::Io(error) => error.into(),
            ReadError::Eof => io::Error::new(io::ErrorKind::UnexpectedEof, "EOF").into(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
    Socks5,
    Ntlm,
}

/// User and password.
#[derive(Clone, PartialEq, Eq)]
struct Credentials {
    user: String,
    password: Secret,
}

/// A proxy on the way to the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_credentials = self.credentials.is_some();
        f.debug_struct("Proxy")
            .field("kind", &self.kind)
            .field("address", &self.address())
            .field("has_credentials", &has_credentials)
            .finish()
    }
}

impl Proxy {
    /// Reads `scheme://[user[:password]@]host[:port]`. None for a URL without a host, as upstream has it. A port that
    /// is missing is 80, with `https` 443, with `socks5` 1080.
    ///
    /// # Errors
    /// When it is no URL, or of another scheme.
    pub fn parse(url: &str) -> Result<Option<Self>, ProxyError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            let first = url.split('/').next().unwrap_or_default();
            let is_scheme = |text: &str| text.starts_with(|first: char| first.is_ascii_alphabetic());
            return match first.split_once(':') {
                Some((scheme, _)) if !is_scheme(scheme) => Err(ProxyError::Url),
                _ => Ok(None),
            };
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        if host.is_empty() {
            return Ok(None);
        }
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 80),
            "https" => (Kind::Https, 443),
            "socks5" => (Kind::Socks5, 1080),
            "ntlm" => (Kind::Ntlm, 80),
            _ => return Err(ProxyError::Kind(scheme.to_owned())),
        };
        let (host, port) = match split_host_port(host) {
            Some((host, "")) => (host, default_port),
            Some((host, port)) => (host, port.parse().map_err(|_| ProxyError::Url)?),
            None => {
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                (bare, default_port)
            }
        };
        let credentials = match user_info {
            None => None,
            Some(user_info) => {
                let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
                Some(Credentials { user: unescaped(user)?, password: unescaped(password)?.into() })
            }
        };
        Ok(Some(Self { kind, host: host.to_owned(), port, credentials }))
    }

    /// The proxy's address, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        join_host_port(&self.host, self.port)
    }

    /// Connects to `host:port` through the proxy, all within the timeout of the options, which hold for the connection
    /// to the proxy. `prepare` sees its socket before anything is said, and what it found is given back.
    ///
    /// # Errors
    /// When the proxy can't be reached, or does not connect us.
    pub async fn dial<P>(
        &self,
        resolver: &Resolver,
        host: &str,
        port: u16,
        options: &DialOptions,
        prepare: impl Fn(&TcpStream) -> io::Result<P>,
    ) -> Result<(Stream, P), ProxyError> {
        let deadline = Instant::now() + options.timeout;
        let dial = || async {
            let socket = dial_tcp(resolver, &self.host, self.port, options).await?;
            let prepared = prepare(&socket)?;
            Ok::<_, ProxyError>((Stream::from(socket), prepared))
        };
        let target = join_host_port(host, port);
        let through = async {
            let (stream, prepared) = dial().await?;
            let stream = match self.kind {
                Kind::Http => connect::http(stream, &target, self.credentials.as_ref()).await?,
                Kind::Https => {
                    let stream = self.tls(stream).await?;
                    connect::http(stream, &target, self.credentials.as_ref()).await?
                }
                Kind::Socks5 => {
                    let refused =
                        |reason| ProxyError::Socks { proxy: self.address(), target: target.clone(), reason };
                    socks5::connect(stream, host, port, self.credentials.as_ref()).await.map_err(refused)?
                }
                Kind::Ntlm => {
                    match connect::ntlm(stream, &target, self.credentials.as_ref(), "Negotiate").await? {
                        connect::Ntlm::Connected(stream) => stream,
                        // It has closed the connection, or may have; and it has told what it wants.
                        connect::Ntlm::Again(scheme) => {
                            let (stream, prepared) = dial().await?;
                            let stream =
                                connect::ntlm(stream, &target, self.credentials.as_ref(), scheme).await?;
                            return match stream {
                                connect::Ntlm::Connected(stream) => Ok((stream, prepared)),
                                connect::Ntlm::Again(_) => Err(ProxyError::NtlmStatus(407)),
                            };
                        }
                    }
                }
            };
            Ok((stream, prepared))
        };
        timeout_at(deadline, through).await.unwrap_or_else(|_| Err(ProxyError::Timeout(self.address())))
    }

    /// Whether the proxy passes on requests in absolute form, for URLs of `http`: see [`Self::dial_itself`].
    #[must_use]
    pub fn forwards(&self) -> bool {
        matches!(self.kind, Kind::Http | Kind::Https)
    }

    /// Connects to the proxy, for requests that it passes on, and gives the value of their `Proxy-Authorization`.
    ///
    /// # Errors
    /// When the proxy can't be reached.
    pub async fn dial_itself(
        &self,
        resolver: &Resolver,
        options: &DialOptions,
    ) -> Result<(Stream, Option<Secret>), ProxyError> {
        let deadline = Instant::now() + options.timeout;
        let dialled = async {
            let stream = Stream::from(dial_tcp(resolver, &self.host, self.port, options).await?);
            Ok(if self.kind == Kind::Https { self.tls(stream).await? } else { stream })
        };
        let dialled = timeout_at(deadline, dialled).await;
        let stream = dialled.unwrap_or_else(|_| Err(ProxyError::Timeout(self.address())))?;
        Ok((stream, self.credentials.as_ref().map(connect::basic)))
    }

    /// TLS to the proxy itself.
    async fn tls(&self, stream: Stream) -> Result<Stream, ProxyError> {
        let host = self.host.clone();
        let read = tokio::task::spawn_blocking(move || {
            ClientTls::new(&ClientTlsOptions {
                trusted_ca_file: system_authorities(),
                server_name: host,
                ..ClientTlsOptions::default()
            })
        });
        let failed = |error: &dyn fmt::Display| ProxyError::Tls(error.to_string());
        let tls: Result<ClientTls, TlsError> = read.await.map_err(|error| failed(&error))?;
        tls.map_err(|error| failed(&error))?.connect(stream).await.map_err(|error| failed(&error))
    }
}

/// Without percent signs.
fn unescaped(text: &str) -> Result<String, ProxyError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let digits = part.get(..2).ok_or(ProxyError::Url)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| ProxyError::Url)?);
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| ProxyError::Url)
}

#[cfg(test)]
mod tests;
