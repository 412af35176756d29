//! From a configured proxy to what this program runs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use frp_config::proxy::HealthCheckConfig;
use frp_config::{ProxyConfig, unbuilt};
use frp_net::resolve::Resolver;
use frp_proto::crypto::Key;
use frp_proto::msg::{CloseProxy, Message, NewProxy, StartWorkConn};
use frp_proto::names;
use frp_proto::proxy_protocol::{self, Version};
use frp_stream::RateLimiter;
use frp_stream::layer::{Layers, LimitSide};
use frp_stream::relay::RelayOptions;

use super::{Proxy, SudpProxy, TcpOptions, TcpProxy, UdpOptions, UdpProxy};
use crate::health::{HealthOptions, ProbeKind};

/// One configured proxy, ready to be offered.
pub(crate) struct ProxySpec {
    /// The raw name.
    pub(crate) name: String,
    /// What is sent to the server, with the name on the wire.
    pub(crate) new_proxy: NewProxy,
    pub(crate) kind: Kind,
    /// The check that holds the proxy back until it succeeds.
    pub(crate) health: Option<HealthOptions>,
}

/// How work connections are served.
pub(crate) enum Kind {
    Stream(TcpOptions),
    /// One work connection for the datagrams of all users.
    Udp(UdpOptions),
    /// One for each visitor.
    Sudp(UdpOptions),
    /// This program does not have it yet; the reason is shown as the proxy's start error.
    Unbuilt(String),
}

/// What all proxies of a client have in common.
pub(crate) struct Common<'a> {
    pub(crate) user: &'a str,
    pub(crate) key: &'a Key,
    pub(crate) relay: RelayOptions,
    /// The largest datagram of a local service.
    pub(crate) udp_packet_size: usize,
    /// Users of one udp work connection at a time.
    pub(crate) udp_max_sessions: usize,
    pub(crate) resolver: &'a Arc<Resolver>,
}

impl ProxySpec {
    /// What takes the proxy back.
    pub(crate) fn withdrawal(&self) -> Message {
        CloseProxy { proxy_name: self.new_proxy.proxy_name.clone() }.into()
    }

    pub(crate) fn new(config: &ProxyConfig, common: &Common<'_>) -> Self {
        let mut new_proxy = config.to_message();
        new_proxy.proxy_name = names::add_user_prefix(common.user, config.name());
        let kind = match (unbuilt::proxy(config), config) {
            (
                Ok(()),
                ProxyConfig::Tcp(_)
                | ProxyConfig::Http(_)
                | ProxyConfig::Https(_)
                | ProxyConfig::Tcpmux(_)
                | ProxyConfig::Stcp(_),
            ) => Kind::Stream(stream_options(config, common)),
            (Ok(()), ProxyConfig::Udp(_)) => Kind::Udp(datagram_options(config, common)),
            (Ok(()), ProxyConfig::Sudp(_)) => Kind::Sudp(datagram_options(config, common)),
            (Ok(()), other) => Kind::Unbuilt(format!("proxy type [{}] has no handler", other.kind())),
            (Err(reason), _) => Kind::Unbuilt(reason.to_string()),
        };
        let base = config.base();
        let health = health_options(&base.health_check, &base.backend.local_ip, base.backend.local_port);
        Self { name: config.name().to_owned(), new_proxy, kind, health }
    }

    /// A proxy to serve work connections with, each time the server has accepted it.
    pub(super) fn build(&self) -> Option<Proxy> {
        match &self.kind {
            Kind::Stream(options) => Some(Proxy::Tcp(TcpProxy::new(options.clone()))),
            Kind::Udp(options) => Some(Proxy::Udp(UdpProxy::new(options.clone()))),
            Kind::Sudp(options) => Some(Proxy::Sudp(SudpProxy::new(options.clone()))),
            Kind::Unbuilt(_) => None,
        }
    }
}

/// The port of the local service. Files hold any number in range; 0 fails at the dial, as upstream.
fn local_port(config: &ProxyConfig) -> u16 {
    u16::try_from(config.base().backend.local_port).unwrap_or(0)
}

fn stream_options(config: &ProxyConfig, common: &Common<'_>) -> TcpOptions {
    let base = config.base();
    TcpOptions {
        local_ip: base.backend.local_ip.clone(),
        local_port: local_port(config),
        layers: layers(config, common),
        proxy_protocol: ProxyProtocol::from_config(&base.transport.proxy_protocol_version),
        relay: common.relay,
        resolver: Arc::clone(common.resolver),
    }
}

fn datagram_options(config: &ProxyConfig, common: &Common<'_>) -> UdpOptions {
    let base = config.base();
    UdpOptions {
        local_ip: base.backend.local_ip.clone(),
        local_port: local_port(config),
        layers: layers(config, common),
        proxy_protocol: ProxyProtocol::from_config(&base.transport.proxy_protocol_version),
        packet_size: common.udp_packet_size,
        max_sessions: common.udp_max_sessions,
        resolver: Arc::clone(common.resolver),
    }
}

/// Encryption, compression and, in mode `client`, the limit, which all connections of the proxy share.
fn layers(config: &ProxyConfig, common: &Common<'_>) -> Layers {
    let transport = &config.base().transport;
    let limit = (transport.bandwidth_limit_mode == "client")
        .then(|| transport.bandwidth_limit.bytes_per_second())
        .flatten();
    Layers {
        encryption: transport.use_encryption.then(|| common.key.clone()),
        compression: transport.use_compression,
        limiter: limit.map(|limit| (Arc::new(RateLimiter::new(limit)), LimitSide::Wire)),
    }
}

fn health_options(check: &HealthCheckConfig, host: &str, port: i64) -> Option<HealthOptions> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
    let kind = match check.kind.as_str() {
        "tcp" => ProbeKind::Tcp,
        "http" => ProbeKind::Http {
            path: check.path.clone(),
            headers: check
                .http_headers
                .iter()
                .map(|header| (header.name.clone(), header.value.expose().to_owned()))
                .collect(),
        },
        _ => return None,
    };
    Some(HealthOptions {
        kind,
        host: host.to_owned(),
        port,
        timeout: check.timeout(),
        interval: check.interval(),
        max_failed: check.max_failed(),
    })
}

/// `transport.proxyProtocolVersion`, when it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProxyProtocol(pub(crate) Version);

impl ProxyProtocol {
    fn from_config(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(Version::from_config(text)))
    }

    /// The header for a stream, from the addresses that the server announced; none when the user's is not known.
    pub(super) fn stream_header(self, start: &StartWorkConn) -> Result<Vec<u8>, String> {
        if start.src_addr.is_empty() || start.src_port == 0 {
            return Ok(Vec::new());
        }
        // A link-local address comes with its zone, for which the header has no place.
        let bare = |text: &str| text.split_once('%').map_or(text, |(address, _)| address).parse::<IpAddr>();
        let parse = |text: &str| bare(text).map_err(|_| format!("invalid address [{text}]"));
        let source = SocketAddr::new(parse(&start.src_addr)?, start.src_port);
        let destination = match start.dst_addr.as_str() {
            "" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            address => parse(address)?,
        };
        let destination = SocketAddr::new(destination, start.dst_port);
        proxy_protocol::tcp_header(self.0, source, destination).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use frp_config::proxy::ProxyType;
    use frp_proto::crypto::key;

    use super::*;

    fn spec(config: &ProxyConfig) -> ProxySpec {
        let common = Common {
            user: "",
            key: &key::derive(b""),
            relay: RelayOptions::default(),
            udp_packet_size: 1500,
            udp_max_sessions: 4096,
            resolver: &Arc::new(Resolver::system()),
        };
        ProxySpec::new(config, &common)
    }

    fn limiter(mode: &str) -> [Option<Arc<RateLimiter>>; 2] {
        let mut config = ProxyConfig::new(ProxyType::Tcp);
        config.base_mut().transport.bandwidth_limit = "1MB".parse().unwrap();
        mode.clone_into(&mut config.base_mut().transport.bandwidth_limit_mode);
        let spec = spec(&config);
        [(), ()].map(|()| match &spec.kind {
            Kind::Stream(options) => options.clone().layers.limiter.map(|(limiter, _)| limiter),
            _ => panic!("no stream proxy"),
        })
    }

    #[test]
    fn all_connections_and_sessions_of_a_proxy_share_one_limit() {
        let [Some(one), Some(other)] = limiter("client") else { panic!("no limit") };
        assert!(Arc::ptr_eq(&one, &other));
        assert_eq!(one.bytes_per_second(), 1 << 20);
    }

    #[test]
    fn every_type_has_its_limit_header_and_check() {
        let mut seen = 0;
        for kind in ProxyType::ALL {
            let mut config = ProxyConfig::new(kind);
            let base = config.base_mut();
            base.transport.bandwidth_limit = "1MB".parse().unwrap();
            "client".clone_into(&mut base.transport.bandwidth_limit_mode);
            "v2".clone_into(&mut base.transport.proxy_protocol_version);
            "tcp".clone_into(&mut base.health_check.kind);
            base.backend.local_port = 80;
            let spec = spec(&config);
            let (layers, header) = match &spec.kind {
                Kind::Stream(options) => (&options.layers, options.proxy_protocol),
                Kind::Udp(options) | Kind::Sudp(options) => (&options.layers, options.proxy_protocol),
                Kind::Unbuilt(_) => continue,
            };
            assert!(matches!(layers.limiter, Some((_, LimitSide::Wire))), "{kind}");
            assert_eq!(header, Some(ProxyProtocol(Version::V2)), "{kind}");
            assert_eq!(
                spec.health.map(|health| (health.kind, health.port)),
                Some((ProbeKind::Tcp, 80)),
                "{kind}"
            );
            seen += 1;
        }
        // All but xtcp.
        assert_eq!(seen, 7);
    }

    #[test]
    fn what_the_server_limits_is_not_limited_twice() {
        assert!(limiter("server").iter().all(Option::is_none));
    }

    fn start(src: &str, src_port: u16, dst: &str) -> StartWorkConn {
        StartWorkConn {
            src_addr: src.to_owned(),
            src_port,
            dst_addr: dst.to_owned(),
            dst_port: 6000,
            ..StartWorkConn::default()
        }
    }

    #[test]
    fn a_known_user_is_announced() {
        let header = ProxyProtocol(Version::V1).stream_header(&start("10.0.0.1", 50000, "10.0.0.2"));
        assert_eq!(header.as_deref(), Ok(&b"PROXY TCP4 10.0.0.1 10.0.0.2 50000 6000\r\n"[..]));
    }

    #[test]
    fn an_unknown_user_is_not() {
        assert_eq!(ProxyProtocol(Version::V2).stream_header(&start("", 0, "")), Ok(Vec::new()));
        assert_eq!(ProxyProtocol(Version::V2).stream_header(&start("10.0.0.1", 0, "")), Ok(Vec::new()));
    }

    #[test]
    fn a_missing_destination_is_the_local_host() {
        let header = ProxyProtocol(Version::V1).stream_header(&start("10.0.0.1", 1, ""));
        assert_eq!(header.as_deref(), Ok(&b"PROXY TCP4 10.0.0.1 127.0.0.1 1 6000\r\n"[..]));
    }

    #[test]
    fn a_zone_is_left_out() {
        let header = ProxyProtocol(Version::V1).stream_header(&start("fe80::1%eth0", 1, "fe80::2%eth0"));
        assert_eq!(header.as_deref(), Ok(&b"PROXY TCP6 fe80::1 fe80::2 1 6000\r\n"[..]));
    }

    #[test]
    fn an_address_that_is_none_is_an_error_that_names_it() {
        let header = ProxyProtocol(Version::V1).stream_header(&start("nonsense", 1, ""));
        assert_eq!(header, Err("invalid address [nonsense]".to_owned()));
    }
}
