//! What the server needs of its configuration, in the types in which it needs it.

use std::time::Duration;

use frp_config::ServerConfig;
use frp_config::value::PortsRange;
use frp_net::keepalive::Keepalive;
use frp_net::quic::QuicOptions;
use frp_net::websocket;

/// Resolved settings. Each says the key it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `bindAddr`.
    pub(crate) bind_addr: String,
    /// `bindPort`; 0 lets the system choose, which only tests do.
    pub(crate) bind_port: u16,
    /// `kcpBindPort`; 0 is off.
    pub(crate) kcp_bind_port: u16,
    /// `proxyBindAddr`. No name while the server runs: see [`crate::Server::bind`].
    pub(crate) proxy_bind_addr: String,
    /// `transport.tcpMux`: how a mux session behaves; `None` without multiplexing.
    pub(crate) mux: Option<frp_mux::Config>,
    /// `quicBindPort`; 0 is off.
    pub(crate) quic_bind_port: u16,
    /// `transport.quic`.
    pub(crate) quic: QuicOptions,
    /// `transport.tcpKeepalive`.
    pub(crate) keepalive: Keepalive,
    /// `transport.tls.force`.
    pub(crate) force_tls: bool,
    /// `transport.maxPoolCount`.
    pub(crate) max_pool_count: i64,
    /// `transport.heartbeatTimeout`; `None` is off.
    pub(crate) heartbeat_timeout: Option<Duration>,
    /// `transport.halfCloseTimeout`.
    pub(crate) half_close_timeout: Duration,
    /// `transport.maxPendingPerAddress`.
    pub(crate) max_pending_per_address: usize,
    /// `detailedErrorsToClient`.
    pub(crate) detailed_errors: bool,
    /// `maxPortsPerClient`; `None` is no limit.
    pub(crate) max_ports_per_client: Option<i64>,
    /// `userConnTimeout`.
    pub(crate) user_conn_timeout: Duration,
    /// `udpPacketSize`, in bytes.
    pub(crate) udp_packet_size: usize,
    /// `vhostHTTPPort`; 0 is off.
    pub(crate) vhost_http_port: u16,
    /// `vhostHTTPTimeout`: how long the head of a response may take. 60 s where it is not positive.
    pub(crate) vhost_http_timeout: Duration,
    /// `vhostHTTPSPort`; 0 is off.
    pub(crate) vhost_https_port: u16,
    /// `tcpmuxHTTPConnectPort`; 0 is off.
    pub(crate) tcpmux_port: u16,
    /// Whether `vhostHTTPPort` is the port of the clients, too. Upstream `server/service.go`.
    pub(crate) shares_http: bool,
    /// Whether `vhostHTTPSPort` is the port of the clients, too. Upstream `server/service.go`.
    pub(crate) shares_https: bool,
    /// `transport.websocketPath`, where it is another path than every server has.
    pub(crate) websocket_path: Option<String>,
    /// `allowPorts` as inclusive ranges; empty allows all.
    pub(crate) allow_ports: Vec<(u16, u16)>,
    /// The whole configuration, for the checks of new proxies.
    pub(crate) config: ServerConfig,
}

/// Streams that a client may have open before it has said who it is.
pub(crate) const STREAMS_BEFORE_LOGIN: usize = 16;
/// A year: as good as none, and no sum with a clock's time overflows.
const LONGEST_TIMEOUT: u64 = 365 * 86_400;
/// The largest datagram there is; a larger `udpPacketSize` means the same.
const LARGEST_DATAGRAM: usize = 65_536;
/// More connections than this are not kept ready for one client, whatever both sides wish.
const LARGEST_POOL: i64 = 10_000;

impl Settings {
    /// From a completed and checked configuration.
    pub(crate) fn new(config: &ServerConfig) -> Self {
        let transport = &config.transport;
        let mux = transport.tcp_mux().then(|| frp_mux::Config {
            keepalive_interval: transport.tcp_mux_keepalive_interval(),
            inbound_limit: STREAMS_BEFORE_LOGIN,
            ..frp_mux::Config::default()
        });
        let positive = |number: i64| usize::try_from(number).ok().filter(|number| *number > 0);
        let shares = |vhost_port: i64| {
            vhost_port > 0 && vhost_port == config.bind_port && config.bind_addr == config.proxy_bind_addr
        };
        Self {
            bind_addr: config.bind_addr.clone(),
            bind_port: port(config.bind_port),
            kcp_bind_port: port(config.kcp_bind_port),
            proxy_bind_addr: config.proxy_bind_addr.clone(),
            mux,
            quic_bind_port: port(config.quic_bind_port),
            quic: quic(&transport.quic),
            keepalive: Keepalive::from_seconds(transport.tcp_keepalive),
            force_tls: transport.tls.force,
            max_pool_count: transport.max_pool_count.min(LARGEST_POOL),
            heartbeat_timeout: transport.heartbeat_timeout(),
            half_close_timeout: transport.half_close_timeout(),
            max_pending_per_address: positive(transport.max_pending_per_address).unwrap_or(1),
            detailed_errors: config.detailed_errors_to_client(),
            max_ports_per_client: Some(config.max_ports_per_client).filter(|limit| *limit > 0),
            user_conn_timeout: config.user_conn_timeout(),
            udp_packet_size: positive(config.udp_packet_size).unwrap_or(0).min(LARGEST_DATAGRAM),
            vhost_http_port: port(config.vhost_http_port),
            vhost_http_timeout: match u64::try_from(config.vhost_http_timeout) {
                Ok(seconds) if seconds > 0 => Duration::from_secs(seconds.min(LONGEST_TIMEOUT)),
                _ => Duration::from_secs(60),
            },
            vhost_https_port: port(config.vhost_https_port),
            tcpmux_port: port(config.tcpmux_http_connect_port),
            shares_http: shares(config.vhost_http_port),
            shares_https: shares(config.vhost_https_port),
            websocket_path: Some(transport.websocket_path.clone())
                .filter(|path| !path.is_empty() && path != websocket::PATH),
            allow_ports: config.allow_ports.iter().map(range).collect(),
            config: config.clone(),
        }
    }
}

/// The original hands negative numbers to its library, which takes them for none.
fn quic(options: &frp_config::common::QuicOptions) -> QuicOptions {
    let seconds = |number: i64| Duration::from_secs(u64::try_from(number).unwrap_or(0).min(LONGEST_TIMEOUT));
    QuicOptions {
        keepalive_period: Some(seconds(options.keepalive_period)).filter(|period| !period.is_zero()),
        max_idle_timeout: seconds(options.max_idle_timeout),
        max_incoming_streams: u64::try_from(options.max_incoming_streams).unwrap_or(0),
    }
}

fn range(ports: &PortsRange) -> (u16, u16) {
    let (start, end) = ports.bounds();
    (port(start), port(end))
}

/// Ports of a checked configuration fit; what does not is cut to the nearest port there is.
fn port(number: i64) -> u16 {
    u16::try_from(number.clamp(0, i64::from(u16::MAX))).unwrap_or(u16::MAX)
}
