//! The configuration of frps (upstream `pkg/config/v1/server.go`).

use std::time::Duration;

use crate::common::{
    ApiMetadata, LogConfig, QuicOptions, TlsConfig, ValueSource, WEBSOCKET_PATH, WebServerConfig,
    default_number, default_text, seconds,
};
use crate::raw::Value;
use crate::table::{Decode, table};
use crate::value::{PortsRange, Secret};

table! {
    /// Everything that frps can be told. The default is an empty file: call [`ServerConfig::complete`] for the values
    /// that hold when nothing is said.
    pub struct ServerConfig = "v1.ServerConfig" {
        .. {
            /// The schema version.
            metadata: ApiMetadata,
        }
        /// Who may log in.
        auth: AuthServerConfig = "auth",
        /// Address of the listeners for clients. Default `0.0.0.0`.
        bind_addr: String = "bindAddr",
        /// Port for clients, TCP. Default 7000; 0 is not possible.
        bind_port: i64 = "bindPort",
        /// Port for clients over KCP, UDP; 0 is off.
        kcp_bind_port: i64 = "kcpBindPort",
        /// Port for clients over QUIC, UDP; 0 is off.
        quic_bind_port: i64 = "quicBindPort",
        /// Address of the proxies' listeners. Default: that of `bindAddr`.
        proxy_bind_addr: String = "proxyBindAddr",
        /// Port of the http proxies; 0 is off.
        vhost_http_port: i64 = "vhostHTTPPort",
        /// Seconds to wait for response headers of an http proxy. Default 60.
        vhost_http_timeout: i64 = "vhostHTTPTimeout" ("int64"),
        /// Port of the https proxies; 0 is off.
        vhost_https_port: i64 = "vhostHTTPSPort",
        /// Port of the tcpmux proxies; 0 is off.
        tcpmux_http_connect_port: i64 = "tcpmuxHTTPConnectPort",
        /// Hand the CONNECT request on to the service.
        tcpmux_passthrough: bool = "tcpmuxPassthrough",
        /// The domain that proxies' `subdomain` is put before; empty refuses subdomains.
        sub_domain_host: String = "subDomainHost",
        /// Path of a page to show for unknown hosts, read at each use.
        custom_404_page: String = "custom404Page",
        /// Tunnels for plain SSH clients.
        ssh_tunnel_gateway: SshTunnelGateway = "sshTunnelGateway",
        /// The dashboard.
        web_server: WebServerConfig = "webServer",
        /// Serves metrics on the dashboard's port.
        enable_prometheus: bool = "enablePrometheus",
        /// The log.
        log: LogConfig = "log",
        /// How clients' connections are carried.
        transport: ServerTransportConfig = "transport",
        /// Tell clients why a proxy is refused. Default true.
        detailed_errors_to_client: Option<bool> = "detailedErrorsToClient",
        /// Remote ports that one client may hold; 0 is no limit.
        max_ports_per_client: i64 = "maxPortsPerClient" ("int64"),
        /// Seconds that a user waits for a work connection. Default 10.
        user_conn_timeout: i64 = "userConnTimeout" ("int64"),
        /// Bytes of the largest UDP payload. Default 1500.
        udp_packet_size: i64 = "udpPacketSize" ("int64"),
        /// Hours to keep what NAT traversal learned of a client. Default 168.
        nathole_analysis_data_reserve_hours: i64 = "natholeAnalysisDataReserveHours" ("int64"),
        /// Remote ports that clients may ask for; empty allows all.
        allow_ports: Vec<PortsRange> = "allowPorts",
        /// Programs that are asked over HTTP before things happen.
        http_plugins: Vec<HttpPluginOptions> = "httpPlugins",
    }
}

impl ServerConfig {
    /// All keys with their values, under upstream's names.
    #[must_use]
    pub fn tree(&self) -> Value {
        Decode::tree(self)
    }

    /// Fills in the defaults of everything that is unset.
    pub fn complete(&mut self) {
        default_text(&mut self.auth.method, "token");
        self.log.complete();
        self.transport.complete();
        self.web_server.complete();
        default_text(&mut self.ssh_tunnel_gateway.auto_gen_private_key_path, "./.autogen_ssh_key");
        default_text(&mut self.bind_addr, "0.0.0.0");
        default_number(&mut self.bind_port, 7000);
        default_text(&mut self.proxy_bind_addr, &self.bind_addr);
        default_number(&mut self.vhost_http_timeout, 60);
        self.detailed_errors_to_client.get_or_insert(true);
        default_number(&mut self.user_conn_timeout, 10);
        default_number(&mut self.udp_packet_size, 1500);
        default_number(&mut self.nathole_analysis_data_reserve_hours, 7 * 24);
    }

    /// Whether clients are told why a proxy is refused.
    #[must_use]
    pub const fn detailed_errors_to_client(&self) -> bool {
        matches!(self.detailed_errors_to_client, None | Some(true))
    }

    /// How long a user waits for a work connection; zero and less give up at once.
    #[must_use]
    pub fn user_conn_timeout(&self) -> Duration {
        seconds(self.user_conn_timeout).unwrap_or_default()
    }
}

table! {
    /// `auth` of frps.
    pub struct AuthServerConfig = "v1.AuthServerConfig" {
        /// `token` or `oidc`. Default `token`.
        method: String = "method" ("v1.AuthMethod"),
        /// What besides the login carries a proof: `HeartBeats`, `NewWorkConns`.
        additional_scopes: Vec<String> = "additionalScopes" ("[]v1.AuthScope"),
        /// The secret that clients must share.
        token: Secret = "token",
        /// Where the token comes from instead.
        token_source: Option<ValueSource> = "tokenSource",
        /// For method `oidc`.
        oidc: AuthOidcServerConfig = "oidc",
    }
}

table! {
    /// `auth.oidc` of frps: which tokens to trust.
    pub struct AuthOidcServerConfig = "v1.AuthOIDCServerConfig" {
        /// URL of the issuer, whose keys sign the tokens.
        issuer: String = "issuer",
        /// The audience that tokens must name; empty skips that check.
        audience: String = "audience",
        /// Accept expired tokens.
        skip_expiry_check: bool = "skipExpiryCheck",
        /// Accept tokens of other issuers.
        skip_issuer_check: bool = "skipIssuerCheck",
    }
}

table! {
    /// `transport` of frps.
    pub struct ServerTransportConfig = "v1.ServerTransportConfig" {
        /// Several streams over one connection; must agree with the client's. Default true.
        tcp_mux: Option<bool> = "tcpMux",
        /// Seconds between keepalives of the multiplexer. Default 30.
        tcp_mux_keepalive_interval: i64 = "tcpMuxKeepaliveInterval" ("int64"),
        /// Seconds between TCP keepalive probes; negative is off. Default 7200.
        tcp_keepalive: i64 = "tcpKeepalive" ("int64"),
        /// Upper bound for a client's pool of work connections. Default 5.
        max_pool_count: i64 = "maxPoolCount" ("int64"),
        /// Seconds without a heartbeat after which a client is dropped; zero and less are off. Default 90, and -1
        /// with `tcpMux`, whose own keepalive does the work.
        heartbeat_timeout: i64 = "heartbeatTimeout" ("int64"),
        /// For `quicBindPort`.
        quic: QuicOptions = "quic",
        /// TLS towards clients.
        tls: TlsServerConfig = "tls",
        /// Seconds that an answer may go without progress after its user has stopped writing. Default 60. A key of
        /// our own: upstream closes both ways at once.
        half_close_timeout: i64 = own "halfCloseTimeout" ("int64"),
        /// Connections of one source address that have neither logged in nor named a run id; at the bound the oldest
        /// goes. Default 1024. A key of our own.
        max_pending_per_address: i64 = own "maxPendingPerAddress" ("int64"),
        /// Another path, besides `/~!frp`, on which clients open a websocket. Default `/~!frp`. A key of our own.
        websocket_path: String = own "websocketPath",
    }
}

impl ServerTransportConfig {
    /// Fills in the defaults.
    pub fn complete(&mut self) {
        let tcp_mux = *self.tcp_mux.get_or_insert(true);
        default_number(&mut self.tcp_mux_keepalive_interval, 30);
        default_number(&mut self.tcp_keepalive, 7200);
        default_number(&mut self.max_pool_count, 5);
        default_number(&mut self.heartbeat_timeout, if tcp_mux { -1 } else { 90 });
        self.quic.complete();
        if !self.tls.config.trusted_ca_file.is_empty() {
            self.tls.force = true;
        }
        default_number(&mut self.half_close_timeout, 60);
        default_number(&mut self.max_pending_per_address, 1024);
        default_text(&mut self.websocket_path, WEBSOCKET_PATH);
    }

    /// Whether connections are multiplexed.
    #[must_use]
    pub const fn tcp_mux(&self) -> bool {
        matches!(self.tcp_mux, None | Some(true))
    }

    /// Time between keepalives of the multiplexer; `None` is off.
    #[must_use]
    pub fn tcp_mux_keepalive_interval(&self) -> Option<Duration> {
        seconds(self.tcp_mux_keepalive_interval)
    }

    /// Time without a heartbeat after which a client is dropped; `None` is off.
    #[must_use]
    pub fn heartbeat_timeout(&self) -> Option<Duration> {
        seconds(self.heartbeat_timeout)
    }

    /// Bound of a half-closed relay without progress; zero closes at once.
    #[must_use]
    pub fn half_close_timeout(&self) -> Duration {
        seconds(self.half_close_timeout).unwrap_or_default()
    }
}

table! {
    /// `transport.tls` of frps.
    pub struct TlsServerConfig = "v1.TLSServerConfig" {
        .. {
            /// Certificate, key and authorities. Without certificate or key frps makes its own certificate; with
            /// authorities, clients must present a certificate of theirs.
            config: TlsConfig,
        }
        /// Refuse connections without TLS. Default false; true if `trustedCaFile` is set.
        force: bool = "force",
    }
}

table! {
    /// `sshTunnelGateway`: tunnels for plain SSH clients.
    pub struct SshTunnelGateway = "v1.SSHTunnelGateway" {
        /// Port to listen on; 0 is off.
        bind_port: i64 = "bindPort",
        /// Path of the host key.
        private_key_file: String = "privateKeyFile",
        /// Where a host key is made when there is none. Default `./.autogen_ssh_key`.
        auto_gen_private_key_path: String = "autoGenPrivateKeyPath",
        /// Path of the keys that may log in; empty asks for none.
        authorized_keys_file: String = "authorizedKeysFile",
    }
}

table! {
    /// One entry of `httpPlugins`: a program that may refuse or change what clients ask for.
    pub struct HttpPluginOptions = "v1.HTTPPluginOptions" {
        /// A name for the log.
        name: String = "name",
        /// Host and port, with or without scheme; `http://` is assumed.
        addr: String = "addr",
        /// Path of the URL.
        path: String = "path",
        /// The operations to ask about, such as `Login`.
        ops: Vec<String> = "ops",
        /// Verify the certificate of an `https` address.
        tls_verify: bool = "tlsVerify",
    }
}
