//! Bind everything, then run.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use frp_auth::token_source::{self, TokenSource, TokenSourceError};
use frp_auth::{Scopes, ServerAuth, Token};
use frp_config::ServerConfig;
use frp_config::common::ValueSource;
use frp_config::http_proxy;
use frp_net::address::join_host_port;
use frp_net::listen::{bind_tcp, bind_tcp_with, resolve_once};
use frp_net::resolve::Resolver;
use frp_net::tls::{ServerTls, ServerTlsOptions};
use frp_oidc::{Http, HttpOptions, Verifier, VerifierOptions};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::accept;
use crate::core::Core;
use crate::settings::Settings;
use crate::{kcp, quic, vhost};

/// How long the server waits for its tasks at the end. Programs end within a second of being told.
const END_TIMEOUT: Duration = Duration::from_millis(800);

/// Why the server cannot start. The texts are those that the original prints before it exits with status 1.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A certificate, key or authority cannot be used.
    #[error(transparent)]
    Tls(frp_net::tls::TlsError),
    /// `auth.tokenSource` gives no token.
    #[error("failed to resolve auth.tokenSource: {0}")]
    TokenSource(#[from] TokenSourceError),
    /// The issuer of `auth.oidc` cannot be used.
    #[error(transparent)]
    Discovery(#[from] frp_oidc::DiscoveryError),
    /// How it is reached cannot be set up.
    #[error(transparent)]
    OidcHttp(#[from] frp_oidc::SetupError),
    /// The address for clients, or for users of https or tcpmux proxies, cannot be had.
    #[error("create server listener error, {0}")]
    Listen(std::io::Error),
    /// `kcpBindPort` cannot be had.
    #[error("listen on kcp udp address {address} error: {error}")]
    Kcp {
        /// The address.
        address: String,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// The address for clients over QUIC cannot be had.
    #[error("listen on quic udp address {address} error: {error}")]
    Quic {
        /// The address.
        address: String,
        /// Why not.
        #[source]
        error: std::io::Error,
    },
    /// The address for users of http proxies cannot be had.
    #[error("create vhost http listener error, {0}")]
    VhostHttp(std::io::Error),
    /// `proxyBindAddr` is a name that cannot be looked up. The original starts and then refuses every proxy.
    #[error("resolve proxyBindAddr: {0}")]
    ProxyAddress(#[source] std::io::Error),
}

/// A server that is bound to its address and not yet serving.
pub struct Server {
    core: Arc<Core>,
    /// For clients, and for users of ports that are shared with them.
    listener: TcpListener,
    kcp: Option<kcp::Bound>,
    quic: Option<quic::Listener>,
    http: Option<TcpListener>,
    https: Option<TcpListener>,
    tcpmux: Option<TcpListener>,
    /// Cancelled by whoever wants the server to end. The token of `core` follows once nobody can connect any more,
    /// so that no client that is cut off comes back to a server that is about to go.
    asked: CancellationToken,
}

impl Server {
    /// Binds everything that the configuration asks for. `config` is completed and checked. Must be called inside
    /// a tokio runtime.
    ///
    /// # Errors
    /// When something cannot be loaded or bound.
    pub async fn bind(config: &ServerConfig) -> Result<Self, BindError> {
        let mut settings = Settings::new(config);
        let tls = server_tls(config)?;
        let auth = server_auth(config).await?;
        // Proxies bind it under a lock, where nobody may wait for a name server.
        settings.proxy_bind_addr =
            resolve_once(&settings.proxy_bind_addr).await.map_err(BindError::ProxyAddress)?;
        let tcpmux = match settings.tcpmux_port {
            0 => None,
            port => Some(bind_vhost(&settings, port).map(|(listener, address)| {
                let passthrough = config.tcpmux_passthrough;
                info!("tcpmux httpconnect multiplexer listen on {address}, passthrough: {passthrough}");
                listener
            })?),
        };
        let listener = bind_tcp_with(&settings.bind_addr, settings.bind_port, settings.keepalive)
            .map_err(BindError::Listen)?;
        info!("frps tcp listen on {}", join_host_port(&settings.bind_addr, settings.bind_port));
        let kcp = match settings.kcp_bind_port {
            0 => None,
            port => Some(kcp::bind(&settings, port)?),
        };
        let tasks = TaskTracker::new();
        let quic = match settings.quic_bind_port {
            0 => None,
            port => Some(quic::bind(&settings, port, &tls, &tasks)?),
        };
        let http = match settings.vhost_http_port {
            port if port == 0 || settings.shares_http => None,
            port => Some(bind_tcp(&settings.proxy_bind_addr, port).map_err(BindError::VhostHttp)?),
        };
        if settings.vhost_http_port > 0 {
            let address = join_host_port(&config.proxy_bind_addr, settings.vhost_http_port);
            info!("http service listen on {address}");
        }
        let https = match settings.vhost_https_port {
            port if port == 0 || settings.shares_https => None,
            port => Some(bind_vhost(&settings, port).map(|(listener, address)| {
                info!("https service listen on {address}");
                listener
            })?),
        };
        let core = Core::new(settings, tls, auth, tasks, CancellationToken::new());
        Ok(Self { core, listener, kcp, quic, http, https, tcpmux, asked: CancellationToken::new() })
    }

    /// The address that clients connect to.
    ///
    /// # Errors
    /// That of the system.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The address that clients reach over KCP, if that is on. A wildcard as it was bound.
    #[must_use]
    pub fn kcp_addr(&self) -> Option<SocketAddr> {
        self.kcp.as_ref().map(kcp::Bound::local_addr)
    }

    /// The address that clients connect to over QUIC; `None` where that is off.
    ///
    /// # Errors
    /// That of the system.
    pub fn quic_addr(&self) -> std::io::Result<Option<SocketAddr>> {
        self.quic.as_ref().map(quic::Listener::local_addr).transpose()
    }

    /// What ends the server when it is cancelled.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.asked.clone()
    }

    /// Serves until the token of [`Server::stop_token`] is cancelled; then ends within a second. Dropping the future
    /// ends the server, too, without waiting for its tasks.
    pub async fn run(self) {
        let Self { core, listener, kcp, quic, http, https, tcpmux, asked } = self;
        let ends_with_us = core.stop.clone().drop_guard();
        let mut accepting = JoinSet::new();
        core.tasks.spawn(Arc::clone(&core.http.sweeper).run(core.stop.clone()));
        if let Some(bound) = kcp {
            accepting.spawn(kcp::serve(Arc::clone(&core), bound, asked.clone()));
        }
        if let Some(listener) = quic {
            accepting.spawn(quic::serve(Arc::clone(&core), listener, asked.clone()));
        }
        if let Some(listener) = http {
            accepting.spawn(vhost::http::serve(Arc::clone(&core), listener, asked.clone()));
        }
        if let Some(listener) = https {
            accepting.spawn(vhost::https::serve(Arc::clone(&core), listener, asked.clone()));
        }
        if let Some(listener) = tcpmux {
            accepting.spawn(vhost::tcpmux::serve(Arc::clone(&core), listener, asked.clone()));
        }
        accepting.spawn(accept::serve(Arc::clone(&core), listener, asked));
        while accepting.join_next().await.is_some() {}
        drop(ends_with_us);
        core.registry.close();
        core.tasks.close();
        if tokio::time::timeout(END_TIMEOUT, core.tasks.wait()).await.is_err() {
            warn!("{} tasks did not end in time", core.tasks.len());
        }
    }
}

/// A listener for users of several proxies, and its address as it is logged.
fn bind_vhost(settings: &Settings, port: u16) -> Result<(TcpListener, String), BindError> {
    let address = settings.proxy_bind_addr.as_str();
    let listener = bind_tcp(address, port).map_err(BindError::Listen)?;
    Ok((listener, join_host_port(&settings.config.proxy_bind_addr, port)))
}

fn server_tls(config: &ServerConfig) -> Result<ServerTls, BindError> {
    let tls = &config.transport.tls.config;
    let options = ServerTlsOptions {
        cert_file: tls.cert_file.clone(),
        key_file: tls.key_file.clone(),
        trusted_ca_file: tls.trusted_ca_file.clone(),
    };
    ServerTls::new(&options).map_err(BindError::Tls)
}

/// The token of the configuration, or of its source, which is asked once; with method `oidc` the issuer is asked for its
/// documents, and the token has one use less.
async fn server_auth(config: &ServerConfig) -> Result<ServerAuth, BindError> {
    let auth = &config.auth;
    let has = |scope: &str| auth.additional_scopes.iter().any(|given| given == scope);
    let scopes = Scopes { heart_beats: has("HeartBeats"), new_work_conns: has("NewWorkConns") };
    if auth.method == "oidc" {
        let options =
            HttpOptions { environment_proxy: Some(http_proxy::of_process), ..HttpOptions::default() };
        let http = Http::new(&options, Arc::new(Resolver::system()))?;
        let options = VerifierOptions {
            issuer: auth.oidc.issuer.clone(),
            audience: auth.oidc.audience.clone(),
            skip_issuer_check: auth.oidc.skip_issuer_check,
            skip_expiry_check: auth.oidc.skip_expiry_check,
        };
        let verifier = Box::pin(Verifier::discover(options, http)).await?;
        // As upstream: a source of the token is for the method of that name.
        return Ok(ServerAuth::oidc(verifier, Token::from(auth.token.expose()), scopes));
    }
    let token = match &auth.token_source {
        None => Token::from(auth.token.expose()),
        Some(source) => {
            token_source::resolve(&token_source(source), frp_net::open_files::restore_in_child).await?
        }
    };
    Ok(ServerAuth::token(token, scopes))
}

/// A checked source names a file or a program.
fn token_source(source: &ValueSource) -> TokenSource {
    match &source.exec {
        Some(exec) if source.kind == "exec" => TokenSource::Exec {
            command: exec.command.clone(),
            args: exec.args.iter().map(|arg| arg.expose().to_owned()).collect(),
            env: exec.env.iter().map(|var| (var.name.clone(), var.value.expose().to_owned())).collect(),
        },
        _ => TokenSource::File {
            path: source.file.as_ref().map(|file| file.path.clone().into()).unwrap_or_default(),
        },
    }
}
