//! What all tasks of the server share.

use std::sync::Arc;
use std::time::Duration;

use frp_auth::ServerAuth;
use frp_net::tls::ServerTls;
use frp_proto::crypto::{Key, key};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Registry;
use crate::group::TcpGroups;
use crate::pending::Pending;
use crate::ports::Ports;
use crate::proxy::Table;
use crate::refusals::Refusals;
use crate::settings::Settings;
use crate::vhost::StreamHosts;
use crate::vhost::http::Sites;
use crate::visitor::Visitors;

/// How long one message may take to be written, outside a login.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Core {
    pub(crate) settings: Settings,
    pub(crate) tls: ServerTls,
    pub(crate) auth: ServerAuth,
    /// Key of encrypted work connections, derived from the token once.
    pub(crate) key: Key,
    pub(crate) registry: Arc<Registry>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) refusals: Refusals,
    pub(crate) proxies: Arc<Table>,
    pub(crate) visitors: Arc<Visitors>,
    pub(crate) tcp_ports: Arc<Ports>,
    pub(crate) udp_ports: Arc<Ports>,
    pub(crate) tcp_groups: Arc<TcpGroups>,
    /// Routes of http proxies.
    pub(crate) http: Arc<Sites>,
    /// Domains of https proxies, and of tcpmux proxies.
    pub(crate) https: Arc<StreamHosts>,
    pub(crate) tcpmux: Arc<StreamHosts>,
    /// Ends everything. Cancelled by whoever runs the server; all other tokens are its children.
    pub(crate) stop: CancellationToken,
    /// Every task that is not owned by something smaller: connections before they are known, mux sessions,
    /// controls, groups, and user connections. Relays are here because closing a proxy must not cut them. The
    /// server waits for all of them at its end.
    pub(crate) tasks: TaskTracker,
}

impl Core {
    pub(crate) fn new(
        settings: Settings,
        tls: ServerTls,
        auth: ServerAuth,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let tcp_ports = Ports::new(&settings.allow_ports);
        Arc::new(Self {
            registry: Arc::default(),
            pending: Pending::new(settings.max_pending_per_address),
            refusals: Refusals::default(),
            proxies: Arc::default(),
            visitors: Arc::default(),
            udp_ports: Ports::new(&settings.allow_ports),
            tcp_groups: TcpGroups::new(Arc::clone(&tcp_ports), tasks.clone(), stop.clone()),
            tcp_ports,
            http: Arc::default(),
            https: Arc::default(),
            tcpmux: Arc::default(),
            key: key::derive(auth.encryption_secret().as_bytes()),
            settings,
            tls,
            auth,
            stop,
            tasks,
        })
    }

    /// What a client is told of an error: its text, or only `summary` where the operator wants no details told.
    pub(crate) fn told(&self, summary: &str, error: &impl ToString) -> String {
        if self.settings.detailed_errors { error.to_string() } else { summary.to_owned() }
    }

    /// A server of defaults and the token `secret` that listens nowhere.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Arc<Self> {
        let mut config = frp_config::ServerConfig::default();
        config.complete();
        let tls = ServerTls::new(&frp_net::tls::ServerTlsOptions::default()).unwrap();
        let auth = ServerAuth::token(frp_auth::Token::from("secret"), frp_auth::Scopes::default());
        Self::new(Settings::new(&config), tls, auth, TaskTracker::new(), CancellationToken::new())
    }
}
