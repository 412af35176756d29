//! Starting what a client asks for.

use std::io;
use std::sync::Arc;

use frp_config::{ProxyConfig, ProxyType};
use frp_proto::msg::NewProxy;
use tracing::error_span;

use super::table::NameTaken;
use super::{Payload, Proxy, Running, http, https, stcp, sudp, tcp, tcpmux, udp};
use crate::control::Handle;
use crate::core::Core;
use crate::group::GroupError;
use crate::ids::ProxyName;
use crate::ports::PortError;
use crate::traffic::Traffic;
use crate::vhost::HostError;
use crate::visitor::Repeated;

/// Why a proxy was not started. The texts reach clients.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The message is not acceptable; the text is that of the configuration's own checks.
    #[error("{0}")]
    Invalid(String),
    /// The words of [`frp_config::unbuilt`].
    #[error("proxy type [{0}] is not supported yet by this version")]
    NotBuilt(ProxyType),
    #[error("exceed the max_ports_per_client")]
    TooManyPorts,
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("acquire port {wanted} error: {error}")]
    UdpPort { wanted: i64, error: PortError },
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Visited(#[from] Repeated),
    #[error(transparent)]
    Host(#[from] HostError),
    /// Of an http proxy. The text is ours.
    #[error("{0} domains with locations are more than an answer can name")]
    TooManyRoutes(usize),
    #[error("unknown multiplexer [{0}]")]
    UnknownMultiplexer(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What starting a proxy takes.
pub(crate) struct Start<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) control: &'a Arc<Handle>,
    /// Ports that the client's other proxies hold.
    pub(crate) held: i64,
}

impl Start<'_> {
    /// Starts what `message` asks for; `pool_count` is what the client keeps ready. Returns the public address, too.
    ///
    /// # Errors
    /// In upstream's order of checks: the message, the quota, the name, then what the type needs.
    pub(crate) fn start(
        self,
        message: &NewProxy,
        pool_count: usize,
    ) -> Result<(Running, String), StartError> {
        let config =
            ProxyConfig::from_message(message).map_err(|error| StartError::Invalid(error.to_string()))?;
        config
            .check_for_server(&self.core.settings.config)
            .map_err(|error| StartError::Invalid(error.to_string()))?;
        let ports = ports_needed(&config);
        if self.core.settings.max_ports_per_client.is_some_and(|limit| self.held + ports > limit) {
            return Err(StartError::TooManyPorts);
        }
        let name = ProxyName::from(config.name());
        let traffic = Arc::<Traffic>::default();
        let entry = self.core.proxies.enter(&name, &traffic)?;
        let proxy = Arc::new(Proxy {
            core: Arc::clone(self.core),
            payload: Payload::new(config.base()),
            datagrams: self.control.payload_framing,
            is_sudp: matches!(config, ProxyConfig::Sudp(_)),
            traffic,
            pool: Arc::clone(&self.control.pool),
            attempts: pool_count + 1,
            span: error_span!(parent: &self.control.span, "proxy", proxy = %name),
            name,
        });
        let mut running = Running::new(proxy, self.control.stop.child_token(), ports, entry);
        let span = running.proxy.span.clone();
        let remote_addr = span.in_scope(|| running.listen(&config, &self.control.client.user))?;
        Ok((running, remote_addr))
    }
}

impl Running {
    /// Opens what the type needs. Dropping `self` undoes what was done. `owner` is the client's user.
    fn listen(&mut self, config: &ProxyConfig, owner: &str) -> Result<String, StartError> {
        match config {
            ProxyConfig::Tcp(tcp) => tcp::listen(self, tcp),
            ProxyConfig::Udp(udp) => udp::listen(self, udp),
            ProxyConfig::Http(http) => http::listen(self, http),
            ProxyConfig::Https(https) => https::listen(self, https),
            ProxyConfig::Tcpmux(tcpmux) => tcpmux::listen(self, tcpmux),
            ProxyConfig::Stcp(stcp) => stcp::listen(self, stcp, owner),
            ProxyConfig::Sudp(sudp) => sudp::listen(self, sudp, owner),
            ProxyConfig::Xtcp(_) => Err(StartError::NotBuilt(config.kind())),
        }
    }
}

/// Also members of a group count, although they share one port.
fn ports_needed(config: &ProxyConfig) -> i64 {
    match config {
        ProxyConfig::Tcp(_) | ProxyConfig::Udp(_) => 1,
        ProxyConfig::Http(_)
        | ProxyConfig::Https(_)
        | ProxyConfig::Tcpmux(_)
        | ProxyConfig::Stcp(_)
        | ProxyConfig::Sudp(_)
        | ProxyConfig::Xtcp(_) => 0,
    }
}
