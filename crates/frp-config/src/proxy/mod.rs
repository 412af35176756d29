//! Proxies: services that a client offers (upstream `pkg/config/v1/proxy.go`). One file per type; [`ProxyConfig`] is
//! the one list of them.

mod base;
mod domain;
mod http;
mod https;
mod stcp;
mod sudp;
mod tcp;
mod tcpmux;
mod udp;
mod xtcp;

use frp_proto::msg::NewProxy;

pub use base::{HealthCheckConfig, LoadBalancerConfig, ProxyBackend, ProxyBase, ProxyTransport};
pub use domain::DomainConfig;
pub use http::HttpProxy;
pub use https::HttpsProxy;
pub use stcp::StcpProxy;
pub use sudp::SudpProxy;
pub use tcp::TcpProxy;
pub use tcpmux::TcpmuxProxy;
pub use udp::UdpProxy;
pub use xtcp::XtcpProxy;

use crate::check::CheckError;
use crate::decode::untagged;
use crate::raw::Value;
use crate::server::ServerConfig;
use crate::table::{self, Decode, DecodeError, Walk};

/// The types of proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyType {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `http`
    Http,
    /// `https`
    Https,
    /// `tcpmux`
    Tcpmux,
    /// `stcp`
    Stcp,
    /// `sudp`
    Sudp,
    /// `xtcp`
    Xtcp,
}

impl ProxyType {
    /// Every type.
    pub const ALL: [Self; 8] =
        [Self::Tcp, Self::Udp, Self::Http, Self::Https, Self::Tcpmux, Self::Stcp, Self::Sudp, Self::Xtcp];

    /// The name in files and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcpmux => "tcpmux",
            Self::Stcp => "stcp",
            Self::Sudp => "sudp",
            Self::Xtcp => "xtcp",
        }
    }

    /// The type of this name; names are case-sensitive.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl std::fmt::Display for ProxyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A proxy type that does not exist. Displays as upstream's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown proxy type: {0}")]
pub struct UnknownProxyType(pub String);

/// A proxy with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyConfig {
    /// A port leads to a TCP service.
    Tcp(TcpProxy),
    /// A port leads to a UDP service.
    Udp(UdpProxy),
    /// HTTP requests for a domain.
    Http(HttpProxy),
    /// TLS connections for a domain.
    Https(HttpsProxy),
    /// CONNECT requests for a domain.
    Tcpmux(TcpmuxProxy),
    /// A TCP service for visitors.
    Stcp(StcpProxy),
    /// A UDP service for visitors.
    Sudp(SudpProxy),
    /// A TCP service for visitors, past the server.
    Xtcp(XtcpProxy),
}

/// Calls the same method on whichever proxy it is.
macro_rules! each {
    ($config:expr, $proxy:ident => $body:expr) => {
        match $config {
            ProxyConfig::Tcp($proxy) => $body,
            ProxyConfig::Udp($proxy) => $body,
            ProxyConfig::Http($proxy) => $body,
            ProxyConfig::Https($proxy) => $body,
            ProxyConfig::Tcpmux($proxy) => $body,
            ProxyConfig::Stcp($proxy) => $body,
            ProxyConfig::Sudp($proxy) => $body,
            ProxyConfig::Xtcp($proxy) => $body,
        }
    };
}

impl ProxyConfig {
    /// An empty proxy of this type.
    #[must_use]
    pub fn new(kind: ProxyType) -> Self {
        match kind {
            ProxyType::Tcp => Self::Tcp(TcpProxy::default()),
            ProxyType::Udp => Self::Udp(UdpProxy::default()),
            ProxyType::Http => Self::Http(HttpProxy::default()),
            ProxyType::Https => Self::Https(HttpsProxy::default()),
            ProxyType::Tcpmux => Self::Tcpmux(TcpmuxProxy::default()),
            ProxyType::Stcp => Self::Stcp(StcpProxy::default()),
            ProxyType::Sudp => Self::Sudp(SudpProxy::default()),
            ProxyType::Xtcp => Self::Xtcp(XtcpProxy::default()),
        }
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> ProxyType {
        match self {
            Self::Tcp(_) => ProxyType::Tcp,
            Self::Udp(_) => ProxyType::Udp,
            Self::Http(_) => ProxyType::Http,
            Self::Https(_) => ProxyType::Https,
            Self::Tcpmux(_) => ProxyType::Tcpmux,
            Self::Stcp(_) => ProxyType::Stcp,
            Self::Sudp(_) => ProxyType::Sudp,
            Self::Xtcp(_) => ProxyType::Xtcp,
        }
    }

    /// The keys of every proxy.
    #[must_use]
    pub const fn base(&self) -> &ProxyBase {
        each!(self, proxy => &proxy.base)
    }

    /// The keys of every proxy.
    pub const fn base_mut(&mut self) -> &mut ProxyBase {
        each!(self, proxy => &mut proxy.base)
    }

    /// Its name, without the user prefix when it comes from a file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.base().name
    }

    /// Fills in the defaults of everything that is unset.
    pub fn complete(&mut self) {
        self.base_mut().complete();
    }

    /// The message that asks the server for this proxy. The name goes as it is; the caller adds the user prefix.
    #[must_use]
    pub fn to_message(&self) -> NewProxy {
        let mut message = NewProxy { proxy_type: self.kind().as_str().to_owned(), ..NewProxy::default() };
        self.base().write_message(&mut message);
        match self {
            Self::Tcp(proxy) => proxy.write_message(&mut message),
            Self::Udp(proxy) => proxy.write_message(&mut message),
            Self::Http(proxy) => proxy.write_message(&mut message),
            Self::Https(proxy) => proxy.write_message(&mut message),
            Self::Tcpmux(proxy) => proxy.write_message(&mut message),
            Self::Stcp(proxy) => proxy.write_message(&mut message),
            Self::Sudp(proxy) => proxy.write_message(&mut message),
            Self::Xtcp(proxy) => proxy.write_message(&mut message),
        }
        message
    }

    /// What a client asks for, completed. An empty type means tcp.
    ///
    /// # Errors
    /// The client asks for a type that does not exist.
    pub fn from_message(message: &NewProxy) -> Result<Self, UnknownProxyType> {
        let kind = match message.proxy_type.as_str() {
            "" => ProxyType::Tcp,
            name => ProxyType::from_name(name).ok_or_else(|| UnknownProxyType(name.to_owned()))?,
        };
        let mut config = match kind {
            ProxyType::Tcp => Self::Tcp(TcpProxy::from_message(message)),
            ProxyType::Udp => Self::Udp(UdpProxy::from_message(message)),
            ProxyType::Http => Self::Http(HttpProxy::from_message(message)),
            ProxyType::Https => Self::Https(HttpsProxy::from_message(message)),
            ProxyType::Tcpmux => Self::Tcpmux(TcpmuxProxy::from_message(message)),
            ProxyType::Stcp => Self::Stcp(StcpProxy::from_message(message)),
            ProxyType::Sudp => Self::Sudp(SudpProxy::from_message(message)),
            ProxyType::Xtcp => Self::Xtcp(XtcpProxy::from_message(message)),
        };
        config.complete();
        Ok(config)
    }

    /// Checks a completed proxy before the client starts it.
    ///
    /// # Errors
    /// The configuration is at fault; upstream's text, without `proxy <name>: ` before it.
    pub fn check_for_client(&self) -> Result<(), CheckError> {
        self.base().check_for_client()?;
        match self {
            Self::Http(proxy) => proxy.check_for_client(),
            Self::Https(proxy) => proxy.check_for_client(),
            Self::Tcpmux(proxy) => proxy.check_for_client(),
            Self::Tcp(_) | Self::Udp(_) | Self::Stcp(_) | Self::Sudp(_) | Self::Xtcp(_) => Ok(()),
        }
    }

    /// Checks what a client asks for against what the server offers.
    ///
    /// # Errors
    /// The client asks for something that this server does not do; upstream's text.
    pub fn check_for_server(&self, server: &ServerConfig) -> Result<(), CheckError> {
        self.base().check_for_server()?;
        match self {
            Self::Http(proxy) => proxy.check_for_server(server),
            Self::Https(proxy) => proxy.check_for_server(server),
            Self::Tcpmux(proxy) => proxy.check_for_server(server),
            Self::Tcp(_) | Self::Udp(_) | Self::Stcp(_) | Self::Sudp(_) | Self::Xtcp(_) => Ok(()),
        }
    }

    /// All keys with their values, under upstream's names.
    #[must_use]
    pub fn tree(&self) -> Value {
        let tree = each!(self, proxy => proxy.tree());
        crate::decode::tagged(self.kind().as_str(), tree)
    }

    pub(crate) fn decode(&mut self, value: &Value, walk: Walk) -> Result<(), DecodeError> {
        // The type was read before, to know which keys to expect.
        let value = untagged(value);
        each!(self, proxy => table::decode(proxy, &value, walk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_what_the_server_needs() {
        for kind in ProxyType::ALL {
            let mut config = ProxyConfig::new(kind);
            let base = config.base_mut();
            base.name = "u.n".to_owned();
            base.transport.use_encryption = true;
            base.transport.bandwidth_limit = "1MB".parse().unwrap();
            base.transport.bandwidth_limit_mode = "server".to_owned();
            base.load_balancer.group = "g".to_owned();
            base.load_balancer.group_key = "k".into();
            base.metadatas.insert("a".to_owned(), "b".to_owned());
            match &mut config {
                ProxyConfig::Tcp(proxy) => proxy.remote_port = 6000,
                ProxyConfig::Udp(proxy) => proxy.remote_port = 6000,
                ProxyConfig::Http(proxy) => {
                    proxy.domain.custom_domains = vec!["d".to_owned()];
                    proxy.http_password = "p".into();
                    proxy.request_headers.set.insert("X".to_owned(), "1".to_owned());
                }
                ProxyConfig::Https(proxy) => proxy.domain.subdomain = "s".to_owned(),
                ProxyConfig::Tcpmux(proxy) => proxy.multiplexer = "httpconnect".to_owned(),
                ProxyConfig::Stcp(proxy) => proxy.secret_key = "s".into(),
                ProxyConfig::Sudp(proxy) => proxy.allow_users = vec!["*".to_owned()],
                ProxyConfig::Xtcp(proxy) => proxy.secret_key = "s".into(),
            }
            config.complete();
            let message = config.to_message();
            assert_eq!(message.proxy_type, kind.as_str());
            assert_eq!(ProxyConfig::from_message(&message), Ok(config));
        }
    }

    #[test]
    fn the_default_limit_mode_is_not_sent() {
        let mut config = ProxyConfig::new(ProxyType::Tcp);
        config.complete();
        assert_eq!(config.to_message().bandwidth_limit_mode, "");
    }

    #[test]
    fn the_server_refuses_what_it_does_not_offer() {
        let message = |kind: &str| NewProxy {
            proxy_type: kind.to_owned(),
            subdomain: "a.b".to_owned(),
            custom_domains: vec!["x.frp.test".to_owned()],
            multiplexer: "httpconnect".to_owned(),
            ..NewProxy::default()
        };
        let text = |kind: &str, server: &ServerConfig| {
            ProxyConfig::from_message(&message(kind))
                .unwrap()
                .check_for_server(server)
                .unwrap_err()
                .to_string()
        };
        let mut server = ServerConfig::default();
        assert_eq!(text("http", &server), "type [http] not supported when vhost http port is not set");
        assert_eq!(text("https", &server), "type [https] not supported when vhost https port is not set");
        assert_eq!(
            text("tcpmux", &server),
            "tcpmux with multiplexer httpconnect not supported because this feature is not enabled in server"
        );
        server.vhost_http_port = 80;
        assert_eq!(
            text("http", &server),
            "subdomain is not supported because this feature is not enabled in server"
        );
        server.sub_domain_host = "frp.test".to_owned();
        assert_eq!(
            text("http", &server),
            "custom domain [x.frp.test] should not belong to subdomain host [frp.test]"
        );
        server.sub_domain_host = "other.test".to_owned();
        assert_eq!(text("http", &server), "'.' and '*' are not supported in subdomain");
        assert_eq!(
            ProxyConfig::from_message(&message("ssh")).unwrap_err().to_string(),
            "unknown proxy type: ssh"
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut config = ProxyConfig::new(ProxyType::Http);
        config.base_mut().load_balancer.group_key = "hunter2".into();
        config.base_mut().metadatas.insert("token".to_owned(), "hunter2".to_owned());
        if let ProxyConfig::Http(proxy) = &mut config {
            proxy.http_password = "hunter2".into();
            proxy.request_headers.set.insert("Authorization".to_owned(), "hunter2".to_owned());
        }
        assert!(!format!("{config:?} {:?}", config.tree()).contains("hunter2"));
    }
}
