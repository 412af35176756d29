//! The types of proxies, and how the users of each come to its service.
//!
//! Behind an http proxy stands a site, behind udp and sudp an echo of datagrams, behind https an echo over TLS, behind
//! all others an echo.

use anyhow::{Context, Result, ensure};
use frp_config::unbuilt;
use frp_config::{ProxyConfig, ProxyType};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Duration, interval, timeout};

use crate::http::{self, Connection};
use crate::programs::{Maker, Role};
use crate::service::Service;
use crate::tunnel::Proxy;
use crate::{ports, skipped, tls, traffic, within};

/// A type of proxy; of stcp and sudp together with its visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A public TCP port.
    Tcp,
    /// A public UDP port.
    Udp,
    /// Requests for a host.
    Http,
    /// TLS connections for a host.
    Https,
    /// Connections for a host, by CONNECT.
    Tcpmux,
    /// TCP through a visitor.
    Stcp,
    /// UDP through a visitor.
    Sudp,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Tcp, Self::Udp, Self::Http, Self::Https, Self::Tcpmux, Self::Stcp, Self::Sudp];

    /// Its name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.proxy_type().as_str()
    }

    fn proxy_type(self) -> ProxyType {
        match self {
            Self::Tcp => ProxyType::Tcp,
            Self::Udp => ProxyType::Udp,
            Self::Http => ProxyType::Http,
            Self::Https => ProxyType::Https,
            Self::Tcpmux => ProxyType::Tcpmux,
            Self::Stcp => ProxyType::Stcp,
            Self::Sudp => ProxyType::Sudp,
        }
    }

    /// False when a side of ours cannot do it yet; says so.
    #[must_use]
    pub fn built(self) -> bool {
        let ours = [Role::Frps, Role::Frpc].map(Maker::from_env).contains(&Maker::Ours);
        match unbuilt::proxy(&ProxyConfig::new(self.proxy_type())) {
            Err(error) if ours => {
                skipped(&error.to_string());
                false
            }
            _ => true,
        }
    }

    /// Whether users name a host to come to it.
    #[must_use]
    pub fn by_host(self) -> bool {
        matches!(self, Self::Http | Self::Https | Self::Tcpmux)
    }

    /// Whether users come to it by a visitor.
    #[must_use]
    pub fn by_visitor(self) -> bool {
        matches!(self, Self::Stcp | Self::Sudp)
    }

    /// Whether it carries datagrams.
    #[must_use]
    pub fn datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::Sudp)
    }

    /// What its users expect behind it.
    ///
    /// # Errors
    /// No port.
    pub async fn service(self) -> Result<Service> {
        match self {
            Self::Tcp | Self::Tcpmux | Self::Stcp => Service::echo().await,
            Self::Https => Service::tls_echo().await,
            Self::Http => Service::site("site").await,
            Self::Udp | Self::Sudp => Service::udp_echo().await,
        }
    }

    /// A proxy for `host` where its type has hosts, else with a free public port where it has that.
    #[must_use]
    pub fn proxy(self, name: &str, local: u16, host: &str) -> Proxy {
        let multiplexer = if self == Self::Tcpmux { "\nmultiplexer = httpconnect" } else { "" };
        match self {
            Self::Tcp | Self::Udp => Proxy::new(self.name(), name, local),
            Self::Http | Self::Https | Self::Tcpmux => Proxy::portless(self.name(), name, local)
                .with(&format!("custom_domains = {host}{multiplexer}")),
            Self::Stcp | Self::Sudp => Proxy::portless(self.name(), name, local),
        }
    }
}

/// A server's ports for types that share one.
#[derive(Debug, Clone, Copy)]
pub struct Doors {
    /// Of http proxies.
    pub http: u16,
    /// Of https proxies.
    pub https: u16,
    /// Of tcpmux proxies.
    pub tcpmux: u16,
}

impl Doors {
    /// Free ports.
    #[must_use]
    pub fn free() -> Self {
        Self { http: ports::free(), https: ports::free(), tcpmux: ports::free() }
    }

    /// The lines of a server's configuration.
    #[must_use]
    pub fn ini(&self) -> String {
        let Self { http, https, tcpmux } = self;
        format!("vhost_http_port = {http}\nvhost_https_port = {https}\ntcpmux_httpconnect_port = {tcpmux}\n")
    }

    /// Where users of `proxy` go, unless that is a visitor.
    #[must_use]
    pub fn of(&self, kind: Kind, proxy: &Proxy) -> u16 {
        match kind {
            Kind::Http => self.http,
            Kind::Https => self.https,
            Kind::Tcpmux => self.tcpmux,
            Kind::Tcp | Kind::Udp | Kind::Stcp | Kind::Sudp => proxy.remote,
        }
    }
}

/// A stream of any kind.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// How users come to a proxy.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its type.
    pub kind: Kind,
    /// The port to connect to on 127.0.0.1.
    pub port: u16,
    /// The host to ask for, where the type has hosts.
    pub host: String,
}

impl Access {
    /// Through that port, for that host.
    #[must_use]
    pub fn new(kind: Kind, port: u16, host: &str) -> Self {
        Self { kind, port, host: host.to_owned() }
    }

    /// A stream to the service, of a type that carries them.
    ///
    /// # Errors
    /// The way is barred.
    pub async fn stream(&self) -> Result<Box<dyn Io>> {
        let stream = traffic::connect(self.port).await?;
        stream.set_nodelay(true)?;
        match self.kind {
            Kind::Https => {
                let stream = within("a TLS handshake", tls::connect(stream, &self.host)).await??;
                Ok(Box::new(stream))
            }
            Kind::Tcpmux => {
                let mut connection = Connection::new(stream);
                connection.send(self.connect_request("").as_bytes()).await?;
                let head = connection.head().await?.context("no answer to CONNECT")?;
                ensure!(head.status() == 200, "{head:?}");
                let (stream, early) = connection.into_parts();
                ensure!(early.is_empty(), "the service has not been asked yet");
                Ok(Box::new(stream))
            }
            _ => Ok(Box::new(stream)),
        }
    }

    /// The request of a user of a tcpmux proxy; `extra` are further header lines, each with its line end.
    #[must_use]
    pub fn connect_request(&self, extra: &str) -> String {
        format!("CONNECT {0}:443 HTTP/1.1\r\nHost: {0}:443\r\n{extra}\r\n", self.host)
    }

    /// Sends `bytes`, few enough for a datagram, and expects them back.
    ///
    /// # Errors
    /// Something else came back, or nothing.
    pub async fn echo(&self, bytes: &[u8]) -> Result<()> {
        match self.kind {
            Kind::Udp | Kind::Sudp => traffic::udp_echo(self.port, bytes).await,
            Kind::Http => {
                let mut request = format!(
                    "POST /echo HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
                    self.host,
                    bytes.len()
                )
                .into_bytes();
                request.extend_from_slice(bytes);
                let answer = http::ask(self.port, "POST", &request).await?;
                ensure!(answer.status() == 200, "{:?}", answer.head);
                ensure!(answer.whole && answer.body == bytes, "the echo differs");
                Ok(())
            }
            _ => traffic::echo_on(&mut self.stream().await?, bytes).await,
        }
    }

    /// Carries `length` bytes each way and checks every one of them.
    ///
    /// # Errors
    /// A byte differs, is missing or one too many.
    pub async fn bulk(&self, length: u64) -> Result<()> {
        match self.kind {
            Kind::Udp | Kind::Sudp => {
                const DATAGRAM: usize = 1400;
                let count = u32::try_from(length / DATAGRAM as u64)?;
                traffic::udp_bulk_echo(self.port, count, DATAGRAM).await
            }
            Kind::Http => {
                let path = format!("/take/7/{length}");
                let mut request = format!(
                    "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
                    self.host
                )
                .into_bytes();
                let noise = traffic::Noise::whole(7, length);
                request.extend_from_slice(&noise);
                let answer = http::ask(self.port, "POST", &request).await?;
                ensure!(answer.body == b"same", "sent: {}", String::from_utf8_lossy(&answer.body));
                for path in ["noise", "chunked"] {
                    let answer = http::get(self.port, &self.host, &format!("/{path}/7/{length}"), "").await?;
                    ensure!(answer.whole, "{} of {length} bytes of {path}", answer.body.len());
                    ensure!(answer.body == noise, "{path} differs");
                }
                Ok(())
            }
            _ => traffic::bulk_echo_on(self.stream().await?, length, 7).await,
        }
    }

    /// Waits until the service is reached, again or for the first time.
    ///
    /// # Errors
    /// It never was; the error is the last one.
    pub async fn serves(&self) -> Result<()> {
        let mut last = None;
        let serves = async {
            let mut pause = interval(Duration::from_millis(20));
            loop {
                pause.tick().await;
                // A try may meet a connection whose other end has just gone.
                match timeout(Duration::from_secs(5), self.echo(b"are you there?")).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => last = Some(error),
                    Err(_) => last = Some(anyhow::anyhow!("no answer")),
                }
            }
        };
        match within("the service", serves).await {
            Ok(()) => Ok(()),
            Err(error) => Err(last.map_or(error, |last| last.context("the service is not reached"))),
        }
    }
}
