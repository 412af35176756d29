//! `https`: TLS connections for a domain, on the server's shared port, lead to a TLS service.

use frp_proto::msg::NewProxy;

use super::{DomainConfig, ProxyBase};
use crate::check::CheckError;
use crate::server::ServerConfig;
use crate::table::table;

table! {
    /// An https proxy.
    pub struct HttpsProxy = "v1.HTTPSProxyConfig" {
        .. {
            /// The keys of every proxy.
            base: ProxyBase,
            /// Its domains.
            domain: DomainConfig,
        }
    }
}

impl HttpsProxy {
    pub(super) fn write_message(&self, message: &mut NewProxy) {
        self.domain.write_message(message);
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self { base: ProxyBase::from_message(message), domain: DomainConfig::from_message(message) }
    }

    pub(super) fn check_for_client(&self) -> Result<(), CheckError> {
        self.domain.check_for_client()
    }

    pub(super) fn check_for_server(&self, server: &ServerConfig) -> Result<(), CheckError> {
        if server.vhost_https_port == 0 {
            return Err(CheckError::new("type [https] not supported when vhost https port is not set"));
        }
        self.domain.check_for_server(server)
    }
}
