//! From the configuration to a client that can run: the one place where configured keys become options.

use std::sync::Arc;
use std::time::Duration;

use frp_auth::token_source::{self, TokenSource, TokenSourceError};
use frp_auth::{ClientAuth, Scopes, Token};
use frp_config::common::ValueSource;
use frp_config::http_proxy;
use frp_config::{ClientConfig, ProxyConfig, VisitorConfig, unbuilt};
use frp_net::address::join_host_port;
use frp_net::dial;
use frp_net::kcp;
use frp_net::keepalive::Keepalive;
use frp_net::open_files;
use frp_net::proxy::{Proxy, ProxyError};
use frp_net::quic::QuicOptions;
use frp_net::resolve::Resolver;
use frp_net::tls::ClientTlsOptions;
use frp_net::websocket;
use frp_oidc::{ClientCredentials, CredentialsOptions, Http, HttpOptions};
use frp_proto::crypto::key;
use frp_proto::hello::Bootstrap;
use frp_proto::wire::WireVersion;
use frp_stream::relay::RelayOptions;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::client::{Client, ClientOptions, Shared};
use crate::connector::{Connector, ConnectorOptions, WebSocketOptions};
use crate::proxy::{Common, ProxySpec};
use crate::visitor::{self, VisitorSpec};

/// `transport.dialServerTimeout` where it is switched off by a negative number: a wait for a peer has a bound.
const DIAL_TIMEOUT: Duration = Duration::from_secs(60);

/// A year: as good as none.
const LONGEST_TIMEOUT: u64 = 365 * 86_400;

/// What one client is to run: a configuration that was loaded, completed and checked.
#[derive(Debug)]
pub struct Setup {
    /// The common part.
    pub common: ClientConfig,
    /// The proxies to start.
    pub proxies: Vec<ProxyConfig>,
    /// The visitors to start.
    pub visitors: Vec<VisitorConfig>,
    /// The file it came from, as given on the command line; none for a configuration made of flags.
    pub config_file: Option<String>,
}

/// Why a configuration cannot be run.
#[derive(Debug, Error)]
pub enum SetupError {
    /// It asks for something that guards a door and is not built yet.
    #[error("{0}")]
    Unbuilt(String),
    /// `auth.tokenSource` gives no token.
    #[error("failed to resolve auth.tokenSource: {0}")]
    TokenSource(#[from] TokenSourceError),
    /// `auth.tokenSource` names neither a file nor a program; the configuration's checks refuse that before.
    #[error("failed to resolve auth.tokenSource: unsupported value source type: {0}")]
    NoTokenSource(String),
    /// How the token endpoint is reached cannot be set up.
    #[error(transparent)]
    Oidc(#[from] frp_oidc::SetupError),
    /// `transport.proxyURL` is none.
    #[error("transport.proxyURL: {0}")]
    Proxy(#[from] ProxyError),
    /// A number of the configuration is out of range.
    #[error("{key}: {value} is out of range")]
    OutOfRange {
        /// The key.
        key: &'static str,
        /// Its value.
        value: i64,
    },
}

impl Setup {
    /// Resolves the token and puts the client together. Nothing is dialled. `shutdown` becomes the client's own.
    pub(crate) async fn into_client(self, shutdown: CancellationToken) -> Result<Client, SetupError> {
        let findings = unbuilt::client(&self.common);
        if !findings.errors.is_empty() {
            let errors: Vec<_> = findings.errors.iter().map(ToString::to_string).collect();
            return Err(SetupError::Unbuilt(errors.join("\n")));
        }
        for warning in &findings.warnings {
            warn!("{warning}");
        }
        let common = &self.common;
        let resolver = Arc::new(match common.dns_server.as_str() {
            "" => Resolver::system(),
            server => Resolver::with_server(server),
        });
        let auth = auth(common, &resolver).await?;
        let key = key::derive(auth.encryption_secret().as_bytes());
        let relay = RelayOptions { half_close_timeout: common.transport.half_close_timeout() };
        let udp_packet_size =
            usize::try_from(common.udp_packet_size).unwrap_or(frp_stream::udp::DEFAULT_PACKET_SIZE);
        let specs = Common {
            user: &common.user,
            key: &key,
            relay,
            udp_packet_size,
            udp_max_sessions: common.udp_max_sessions(),
            resolver: &resolver,
        };
        let specs = self.proxies.iter().map(|config| ProxySpec::new(config, &specs)).collect();
        let visited = visitor::Common { user: &common.user, relay, udp_packet_size };
        let visitors = self.visitors.iter().map(|config| VisitorSpec::new(config, &visited)).collect();
        let connector = Connector::new(connector_options(common, &resolver).await?, Arc::clone(&resolver));
        let shared = Shared::new(client_options(common), auth, resolver, shutdown);
        Ok(Client::new(shared, connector, specs, visitors))
    }
}

/// How this client proves who it is. Nobody is asked for an OpenID token before the first login.
async fn auth(common: &ClientConfig, resolver: &Arc<Resolver>) -> Result<ClientAuth, SetupError> {
    let scopes = scopes(common);
    if common.auth.method != "oidc" {
        return Ok(ClientAuth::token(token(common).await?, scopes));
    }
    // As upstream: a source of the token is for the method of that name.
    let token = Token::from(common.auth.token.expose());
    let oidc = &common.auth.oidc;
    if let Some(source) = &oidc.token_source {
        let source = token_source(source)?;
        return Ok(ClientAuth::oidc_source(source, open_files::restore_in_child, token, scopes));
    }
    let options = HttpOptions {
        trusted_ca_file: oidc.trusted_ca_file.clone(),
        insecure_skip_verify: oidc.insecure_skip_verify,
        proxy_url: oidc.proxy_url.clone(),
        environment_proxy: Some(http_proxy::of_process),
    };
    let http = Http::new(&options, Arc::clone(resolver))?;
    let options = CredentialsOptions {
        token_endpoint_url: oidc.token_endpoint_url.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: oidc.client_secret.clone(),
        audience: oidc.audience.clone(),
        scope: oidc.scope.clone(),
        additional_params: (*oidc.additional_endpoint_params).clone(),
    };
    Ok(ClientAuth::oidc(ClientCredentials::new(options, http), token, scopes))
}

async fn token(common: &ClientConfig) -> Result<Token, SetupError> {
    match &common.auth.token_source {
        None => Ok(common.auth.token.expose().into()),
        Some(source) => {
            Ok(token_source::resolve(&token_source(source)?, open_files::restore_in_child).await?)
        }
    }
}

/// `type` decides; a section of the other type may be there and means nothing.
fn token_source(source: &ValueSource) -> Result<TokenSource, SetupError> {
    match (source.kind.as_str(), &source.file, &source.exec) {
        ("file", Some(file), _) => Ok(TokenSource::File { path: file.path.clone().into() }),
        ("exec", _, Some(exec)) => Ok(TokenSource::Exec {
            command: exec.command.clone(),
            args: exec.args.iter().map(|arg| arg.expose().to_owned()).collect(),
            env: exec.env.iter().map(|pair| (pair.name.clone(), pair.value.expose().to_owned())).collect(),
        }),
        (kind, ..) => Err(SetupError::NoTokenSource(kind.to_owned())),
    }
}

fn scopes(common: &ClientConfig) -> Scopes {
    let has = |scope: &str| common.auth.additional_scopes.iter().any(|name| name == scope);
    Scopes { heart_beats: has("HeartBeats"), new_work_conns: has("NewWorkConns") }
}

fn client_options(common: &ClientConfig) -> ClientOptions {
    ClientOptions {
        user: common.user.clone(),
        client_id: common.client_id.clone(),
        metadatas: (*common.metadatas).clone(),
        // The configuration's checks know no other name.
        wire: WireVersion::from_name(&common.transport.wire_protocol).unwrap_or_default(),
        bootstrap: Bootstrap {
            transport: common.transport.protocol.clone(),
            tls: common.transport.tls.enable()
                || matches!(common.transport.protocol.as_str(), "wss" | "quic"),
            tcp_mux: common.transport.tcp_mux(),
        },
        pool_count: common.transport.pool_count,
        login_fail_exit: common.login_fail_exit(),
        mux_connections: match common.transport.tcp_mux() || common.transport.protocol == "quic" {
            true => common.transport.tcp_mux_connections(),
            false => 1,
        },
        heartbeat_interval: common.transport.heartbeat_interval(),
        heartbeat_timeout: common.transport.heartbeat_timeout(),
    }
}

async fn connector_options(
    common: &ClientConfig,
    resolver: &Resolver,
) -> Result<ConnectorOptions, SetupError> {
    let transport = &common.transport;
    let port = common.server_port;
    let local_ip = dial::local_address(resolver, &transport.connect_server_local_ip).await;
    if local_ip.is_none() && !transport.connect_server_local_ip.is_empty() {
        warn!(
            "transport.connectServerLocalIP [{}] is no address, ignored",
            transport.connect_server_local_ip
        );
    }
    Ok(ConnectorOptions {
        host: common.server_addr.clone(),
        port: u16::try_from(port).map_err(|_| SetupError::OutOfRange { key: "serverPort", value: port })?,
        dial_timeout: transport.dial_server_timeout().unwrap_or(DIAL_TIMEOUT),
        keepalive: Keepalive::from_seconds(transport.dial_server_keepalive),
        local_ip,
        proxy: Proxy::parse(transport.proxy_url.expose())?,
        kcp: (transport.protocol == "kcp").then(|| kcp::config(transport.tcp_mux())),
        websocket: websocket_options(common),
        tls: match transport.protocol.as_str() {
            // Never without TLS; switched off, it proves nothing to nobody.
            "quic" if !transport.tls.enable() => Some(ClientTlsOptions {
                server_name: tls_options(common).server_name,
                ..ClientTlsOptions::default()
            }),
            "quic" | "wss" => Some(tls_options(common)),
            _ => transport.tls.enable().then(|| tls_options(common)),
        },
        custom_tls_first_byte: !transport.tls.disable_custom_tls_first_byte(),
        quic: (transport.protocol == "quic").then(|| quic_options(&transport.quic)),
        mux: transport.tcp_mux().then(|| frp_mux::Config {
            keepalive_interval: transport.tcp_mux_keepalive_interval(),
            // A server opens no streams towards a client.
            inbound_limit: 0,
            ..frp_mux::Config::default()
        }),
    })
}

/// The original hands negative numbers to its library, which takes them for none.
fn quic_options(options: &frp_config::common::QuicOptions) -> QuicOptions {
    let seconds = |number: i64| Duration::from_secs(u64::try_from(number).unwrap_or(0).min(LONGEST_TIMEOUT));
    QuicOptions {
        keepalive_period: Some(seconds(options.keepalive_period)).filter(|period| !period.is_zero()),
        max_idle_timeout: seconds(options.max_idle_timeout),
        max_incoming_streams: 0,
    }
}

/// What to ask for with protocol `websocket` and `wss`. Without a session on it, pings keep the connection alive.
fn websocket_options(common: &ClientConfig) -> Option<WebSocketOptions> {
    let transport = &common.transport;
    let is_within_tls = match transport.protocol.as_str() {
        "websocket" => false,
        "wss" => true,
        _ => return None,
    };
    let host = match transport.websocket_host.as_str() {
        "" if is_within_tls => tls_options(common).server_name,
        "" => join_host_port(&common.server_addr, u16::try_from(common.server_port).unwrap_or_default()),
        host => host.to_owned(),
    };
    let ping = (!transport.tcp_mux()).then_some(websocket::PING_INTERVAL);
    let request = websocket::ClientOptions { path: transport.websocket_path.clone(), host, ping };
    Some(WebSocketOptions { is_within_tls, request })
}

fn tls_options(common: &ClientConfig) -> ClientTlsOptions {
    let tls = &common.transport.tls.config;
    let server_name = if tls.server_name.is_empty() { &common.server_addr } else { &tls.server_name };
    ClientTlsOptions {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        trusted_ca_file: tls.trusted_ca_file.clone(),
        server_name: server_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use frp_config::load::Environment;

    use super::*;

    #[test]
    fn without_multiplexing_pings_keep_a_websocket_alive() {
        for protocol in ["websocket", "wss"] {
            for (tcp_mux, ping) in [(true, None), (false, Some(websocket::PING_INTERVAL))] {
                let mut config = ClientConfig::default();
                config.transport.protocol = protocol.to_owned();
                config.transport.tcp_mux = Some(tcp_mux);
                config.complete(&Environment::default());
                assert_eq!(websocket_options(&config).unwrap().request.ping, ping, "{protocol} {tcp_mux}");
            }
        }
    }

    #[test]
    fn a_websocket_within_tls_is_asked_for_by_the_name_of_tls() {
        let mut config = ClientConfig::default();
        config.transport.protocol = "wss".to_owned();
        config.transport.tls.config.server_name = "a.test".to_owned();
        config.complete(&Environment::default());
        assert_eq!(websocket_options(&config).unwrap().request.host, "a.test");
    }
}
