//! What can be configured and is not built yet. Only a program that is about to run asks; verifying accepts it all.
//!
//! What guards a door stops the program: it must never run as if the key were not there. A proxy or visitor that
//! cannot run yet fails alone. What only shows things warns.

use crate::client::ClientConfig;
use crate::common::WebServerConfig;
use crate::proxy::{ProxyConfig, ProxyType};
use crate::server::ServerConfig;
use crate::visitor::{VisitorConfig, VisitorType};

/// Something configured that this version does not do. Displays as a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not supported yet by this version")]
pub struct Unbuilt {
    /// The key, with its value where that is what matters.
    what: String,
}

impl Unbuilt {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// What a configuration asks for and does not get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The program must not start.
    pub errors: Vec<Unbuilt>,
    /// The program runs without it, and says so.
    pub warnings: Vec<Unbuilt>,
}

impl Findings {
    fn stop(&mut self, configured: bool, what: impl Into<String>) {
        if configured {
            self.errors.push(Unbuilt::new(what));
        }
    }

    fn warn(&mut self, configured: bool, what: impl Into<String>) {
        if configured {
            self.warnings.push(Unbuilt::new(what));
        }
    }

    fn web_server(&mut self, config: &WebServerConfig) {
        self.warn(config.port > 0, "webServer");
    }
}

/// Looks through a completed configuration of frps.
#[must_use]
pub fn server(config: &ServerConfig) -> Findings {
    let mut findings = Findings::default();
    findings.stop(!config.http_plugins.is_empty(), "httpPlugins");
    findings.warn(config.ssh_tunnel_gateway.bind_port > 0, "sshTunnelGateway");
    findings.web_server(&config.web_server);
    findings
}

/// Looks through the completed common keys of frpc. The environment's `http_proxy` is part of them.
#[must_use]
pub fn client(config: &ClientConfig) -> Findings {
    let mut findings = Findings::default();
    findings.stop(!config.virtual_net.address.is_empty(), "virtualNet.address");
    findings.web_server(&config.web_server);
    findings
}

/// Whether a proxy can run. On frpc the text is the proxy's start error, on frps the answer to the client.
///
/// # Errors
/// The proxy's type or plugin is not built.
pub fn proxy(config: &ProxyConfig) -> Result<(), Unbuilt> {
    match config.kind() {
        ProxyType::Tcp | ProxyType::Http | ProxyType::Https | ProxyType::Tcpmux | ProxyType::Stcp => config
            .base()
            .backend
            .plugin
            .as_ref()
            .map_or(Ok(()), |plugin| Err(Unbuilt::new(format!("plugin [{}]", plugin.type_name())))),
        // As with upstream, a plugin of a udp or sudp proxy is never used.
        ProxyType::Udp | ProxyType::Sudp => Ok(()),
        other => Err(Unbuilt::new(format!("proxy type [{other}]"))),
    }
}

/// Whether a visitor can run. The text is the visitor's start error.
///
/// # Errors
/// The visitor's type or plugin is not built.
pub fn visitor(config: &VisitorConfig) -> Result<(), Unbuilt> {
    match (config.kind(), &config.base().plugin) {
        (VisitorType::Xtcp, _) => Err(Unbuilt::new(format!("visitor type [{}]", config.kind()))),
        (VisitorType::Stcp | VisitorType::Sudp, Some(plugin)) => {
            Err(Unbuilt::new(format!("visitor plugin [{}]", plugin.type_name())))
        }
        (VisitorType::Stcp | VisitorType::Sudp, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Environment;

    #[test]
    fn defaults_are_built() {
        let mut server_config = ServerConfig::default();
        server_config.complete();
        assert_eq!(server(&server_config), Findings::default());
        let mut client_config = ClientConfig::default();
        client_config.complete(&Environment::default());
        assert_eq!(client(&client_config), Findings::default());
        for kind in [
            ProxyType::Tcp,
            ProxyType::Udp,
            ProxyType::Http,
            ProxyType::Https,
            ProxyType::Tcpmux,
            ProxyType::Stcp,
            ProxyType::Sudp,
        ] {
            assert_eq!(proxy(&ProxyConfig::new(kind)), Ok(()));
        }
        for kind in [VisitorType::Stcp, VisitorType::Sudp] {
            assert_eq!(visitor(&VisitorConfig::new(kind)), Ok(()));
        }
    }

    #[test]
    fn doors_stop_the_program() {
        let mut config = ClientConfig::default();
        config.complete(&Environment::default());
        config.virtual_net.address = "10.0.0.1/24".to_owned();
        let texts: Vec<String> = client(&config).errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["virtualNet.address is not supported yet by this version"]);
    }

    #[test]
    fn entries_fail_alone() {
        let text = proxy(&ProxyConfig::new(ProxyType::Xtcp)).unwrap_err().to_string();
        assert_eq!(text, "proxy type [xtcp] is not supported yet by this version");
        assert!(visitor(&VisitorConfig::new(VisitorType::Xtcp)).is_err());
    }
}
