//! What frpc is told besides its proxies and visitors (upstream `pkg/config/v1/client.go`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::common::{
    ApiMetadata, LogConfig, QuicOptions, TlsConfig, ValueSource, WEBSOCKET_PATH, WebServerConfig,
    default_number, default_text, seconds,
};
use crate::load::Environment;
use crate::no_proxy;
use crate::raw::Value;
use crate::table::{Decode, table};
use crate::value::{Pairs, Secret};

table! {
    /// Everything that frpc can be told about itself. The default is an empty file: call
    /// [`ClientConfig::complete`] for the values that hold when nothing is said.
    pub struct ClientConfig = "v1.ClientCommonConfig" {
        .. {
            /// The schema version.
            metadata: ApiMetadata,
        }
        /// How to log in.
        auth: AuthClientConfig = "auth",
        /// Put before the names of all proxies, as `user.name`.
        user: String = "user",
        /// A name for this client, shown by the server.
        client_id: String = "clientID",
        /// Host of the server. Default `0.0.0.0`, which reaches this host.
        server_addr: String = "serverAddr",
        /// Port of the server. Default 7000.
        server_port: i64 = "serverPort",
        /// STUN server of xtcp. Default `stun.easyvoip.com:3478`.
        nat_hole_stun_server: String = "natHoleStunServer",
        /// Name server for every look-up, with or without port; empty is the system's.
        dns_server: String = "dnsServer",
        /// End when the first login fails. Default true.
        login_fail_exit: Option<bool> = "loginFailExit",
        /// Names of the proxies and visitors to start; empty starts all.
        start: Vec<String> = "start",
        /// The log.
        log: LogConfig = "log",
        /// The admin interface.
        web_server: WebServerConfig = "webServer",
        /// How the server is reached.
        transport: ClientTransportConfig = "transport",
        /// The virtual network.
        virtual_net: VirtualNetConfig = "virtualNet",
        /// Features in the making, by name.
        feature_gates: BTreeMap<String, bool> = "featureGates",
        /// Bytes of the largest UDP payload. Default 1500.
        udp_packet_size: i64 = "udpPacketSize" ("int64"),
        /// Users of each udp or sudp work connection at one time, each with a socket of its own to the local service; one more ends
        /// the session that was least recently used. Default 4096.
        udp_max_sessions: i64 = own "udpMaxSessions" ("int64"),
        /// Texts that go to the server with the login.
        metadatas: Pairs = "metadatas",
        /// Patterns of further files with proxies and visitors.
        includes: Vec<String> = "includes",
        /// Proxies and visitors that are kept by the admin interface.
        store: StoreConfig = "store",
    }
}

impl ClientConfig {
    /// All keys with their values, under upstream's names.
    #[must_use]
    pub fn tree(&self) -> Value {
        Decode::tree(self)
    }

    /// Fills in the defaults of everything that is unset. The environment supplies `transport.proxyURL`.
    pub fn complete(&mut self, environment: &Environment) {
        default_text(&mut self.server_addr, "0.0.0.0");
        default_number(&mut self.server_port, 7000);
        self.login_fail_exit.get_or_insert(true);
        default_text(&mut self.nat_hole_stun_server, "stun.easyvoip.com:3478");
        default_text(&mut self.auth.method, "token");
        self.log.complete();
        self.transport.complete(environment, &self.server_addr, self.server_port);
        self.web_server.complete();
        default_number(&mut self.udp_packet_size, 1500);
        default_number(&mut self.udp_max_sessions, 4096);
    }

    /// Users of a udp or sudp proxy at one time: at least one.
    #[must_use]
    pub fn udp_max_sessions(&self) -> usize {
        usize::try_from(self.udp_max_sessions.max(1)).unwrap_or(usize::MAX)
    }

    /// Whether a failed first login ends the program.
    #[must_use]
    pub const fn login_fail_exit(&self) -> bool {
        matches!(self.login_fail_exit, None | Some(true))
    }
}

table! {
    /// `auth` of frpc.
    pub struct AuthClientConfig = "v1.AuthClientConfig" {
        /// `token` or `oidc`. Default `token`.
        method: String = "method" ("v1.AuthMethod"),
        /// What besides the login carries a proof: `HeartBeats`, `NewWorkConns`.
        additional_scopes: Vec<String> = "additionalScopes" ("[]v1.AuthScope"),
        /// The secret shared with the server.
        token: Secret = "token",
        /// Where the token comes from instead.
        token_source: Option<ValueSource> = "tokenSource",
        /// For method `oidc`.
        oidc: AuthOidcClientConfig = "oidc",
    }
}

table! {
    /// `auth.oidc` of frpc: how to get a token.
    pub struct AuthOidcClientConfig = "v1.AuthOIDCClientConfig" {
        /// Client id of the client credentials flow.
        client_id: String = "clientID",
        /// Client secret of the client credentials flow.
        client_secret: Secret = "clientSecret",
        /// Audience to ask for.
        audience: String = "audience",
        /// Scope to ask for.
        scope: String = "scope",
        /// URL of the token endpoint.
        token_endpoint_url: String = "tokenEndpointURL",
        /// Further parameters of the request.
        additional_endpoint_params: Pairs = "additionalEndpointParams",
        /// Path of the authorities to verify the endpoint with, PEM.
        trusted_ca_file: String = "trustedCaFile",
        /// Do not verify the endpoint.
        insecure_skip_verify: bool = "insecureSkipVerify",
        /// Proxy on the way to the endpoint.
        proxy_url: Secret = "proxyURL",
        /// Where the token comes from instead of the endpoint.
        token_source: Option<ValueSource> = "tokenSource",
    }
}

table! {
    /// `transport` of frpc.
    pub struct ClientTransportConfig = "v1.ClientTransportConfig" {
        /// `tcp`, `kcp`, `quic`, `websocket` or `wss`. Default `tcp`.
        protocol: String = "protocol",
        /// `v1` or `v2`. Default `v1`.
        wire_protocol: String = "wireProtocol",
        /// Seconds to wait for a connection. Default 10.
        dial_server_timeout: i64 = "dialServerTimeout" ("int64"),
        /// Seconds between TCP keepalive probes; negative is off. Default 7200.
        dial_server_keepalive: i64 = "dialServerKeepalive" ("int64"),
        /// Address to dial from.
        connect_server_local_ip: String = "connectServerLocalIP",
        /// Proxy on the way to the server. Default: the environment's `http_proxy`, in lower case only, unless its
        /// `no_proxy` or `NO_PROXY` names the server.
        proxy_url: Secret = "proxyURL",
        /// Work connections to keep ready. Default 1; 0 is not possible.
        pool_count: i64 = "poolCount",
        /// Several streams over one connection; must agree with the server's. Default true.
        tcp_mux: Option<bool> = "tcpMux",
        /// Seconds between keepalives of the multiplexer. Default 30.
        tcp_mux_keepalive_interval: i64 = "tcpMuxKeepaliveInterval" ("int64"),
        /// For protocol `quic`.
        quic: QuicOptions = "quic",
        /// Seconds between heartbeats; zero and less are off. Default 30, and -1 with `tcpMux`.
        heartbeat_interval: i64 = "heartbeatInterval" ("int64"),
        /// Seconds without an answer after which the server is given up; zero and less are off. Default 90, and -1
        /// with `tcpMux`.
        heartbeat_timeout: i64 = "heartbeatTimeout" ("int64"),
        /// TLS towards the server.
        tls: TlsClientConfig = "tls",
        /// Seconds that an answer may go without progress after its user has stopped writing. Default 60. A key of
        /// our own: upstream closes both ways at once.
        half_close_timeout: i64 = own "halfCloseTimeout" ("int64"),
        /// Multiplexed connections to the server, with `tcpMux`. Default 1, at most 64. A key of our own: upstream has
        /// one.
        tcp_mux_connections: i64 = own "tcpMuxConnections" ("int64"),
        /// Path of the request that opens a websocket. Default `/~!frp`, which every server has. A key of our own.
        websocket_path: String = own "websocketPath",
        /// Host that the request for a websocket names, with its port where that matters. Default: the server's
        /// address and port for protocol `websocket`, the name that TLS goes by for `wss`. A key of our own.
        websocket_host: String = own "websocketHost",
    }
}

impl ClientTransportConfig {
    /// Fills in the defaults.
    pub fn complete(&mut self, environment: &Environment, server_addr: &str, server_port: i64) {
        default_text(&mut self.protocol, "tcp");
        default_text(&mut self.wire_protocol, "v1");
        default_number(&mut self.dial_server_timeout, 10);
        default_number(&mut self.dial_server_keepalive, 7200);
        let direct = no_proxy::covers(environment.get("no_proxy"), server_addr, server_port)
            || no_proxy::covers(environment.get("NO_PROXY"), server_addr, server_port);
        if self.proxy_url.is_empty() && !direct {
            self.proxy_url = environment.get("http_proxy").into();
        }
        default_number(&mut self.pool_count, 1);
        let tcp_mux = *self.tcp_mux.get_or_insert(true);
        default_number(&mut self.tcp_mux_keepalive_interval, 30);
        default_number(&mut self.heartbeat_interval, if tcp_mux { -1 } else { 30 });
        default_number(&mut self.heartbeat_timeout, if tcp_mux { -1 } else { 90 });
        self.quic.complete();
        self.tls.enable.get_or_insert(true);
        self.tls.disable_custom_tls_first_byte.get_or_insert(true);
        default_number(&mut self.half_close_timeout, 60);
        default_number(&mut self.tcp_mux_connections, 1);
        default_text(&mut self.websocket_path, WEBSOCKET_PATH);
    }

    /// Whether connections are multiplexed.
    #[must_use]
    pub const fn tcp_mux(&self) -> bool {
        matches!(self.tcp_mux, None | Some(true))
    }

    /// How long to wait for a connection; `None` waits as long as the system does.
    #[must_use]
    pub fn dial_server_timeout(&self) -> Option<Duration> {
        seconds(self.dial_server_timeout)
    }

    /// Time between keepalives of the multiplexer; `None` is off.
    #[must_use]
    pub fn tcp_mux_keepalive_interval(&self) -> Option<Duration> {
        seconds(self.tcp_mux_keepalive_interval)
    }

    /// Time between heartbeats; `None` is off.
    #[must_use]
    pub fn heartbeat_interval(&self) -> Option<Duration> {
        seconds(self.heartbeat_interval)
    }

    /// Time without an answer after which the server is given up; `None` is off.
    #[must_use]
    pub fn heartbeat_timeout(&self) -> Option<Duration> {
        seconds(self.heartbeat_timeout)
    }

    /// Multiplexed connections to the server, 1 to 64; what is configured beyond is cut.
    #[must_use]
    pub fn tcp_mux_connections(&self) -> usize {
        usize::try_from(self.tcp_mux_connections.clamp(1, 64)).unwrap_or(1)
    }

    /// Bound of a half-closed relay without progress; zero closes at once.
    #[must_use]
    pub fn half_close_timeout(&self) -> Duration {
        seconds(self.half_close_timeout).unwrap_or_default()
    }
}

table! {
    /// `transport.tls` of frpc.
    pub struct TlsClientConfig = "v1.TLSClientConfig" {
        .. {
            /// Certificate, key, authorities and server name. Without authorities the server is not verified.
            config: TlsConfig,
        }
        /// Use TLS. Default true.
        enable: Option<bool> = "enable",
        /// Start with the TLS hello itself instead of the byte 0x17. Default true.
        disable_custom_tls_first_byte: Option<bool> = "disableCustomTLSFirstByte",
    }
}

impl TlsClientConfig {
    /// Whether the connection uses TLS.
    #[must_use]
    pub const fn enable(&self) -> bool {
        matches!(self.enable, None | Some(true))
    }

    /// Whether the TLS hello comes first, without the byte 0x17.
    #[must_use]
    pub const fn disable_custom_tls_first_byte(&self) -> bool {
        matches!(self.disable_custom_tls_first_byte, None | Some(true))
    }
}

table! {
    /// `virtualNet`.
    pub struct VirtualNetConfig = "v1.VirtualNetConfig" {
        /// Address and prefix length of this client; empty is off.
        address: String = "address",
    }
}

table! {
    /// `store`.
    pub struct StoreConfig = "v1.StoreConfig" {
        /// Path of the store's file, relative to the configuration file's folder; empty is off.
        path: String = "path",
    }
}
