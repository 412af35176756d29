//! `tcpmux`: CONNECT requests for a domain, on the server's shared port, lead to a TCP service.

use frp_proto::msg::NewProxy;

use super::{DomainConfig, ProxyBase};
use crate::check::CheckError;
use crate::server::ServerConfig;
use crate::table::table;
use crate::value::Secret;

/// The only multiplexer there is.
const HTTP_CONNECT: &str = "httpconnect";

table! {
    /// A tcpmux proxy.
    pub struct TcpmuxProxy = "v1.TCPMuxProxyConfig" {
        .. {
            /// The keys of every proxy.
            base: ProxyBase,
            /// Its domains.
            domain: DomainConfig,
        }
        /// User of proxy authentication; none if user and password are both empty.
        http_user: String = "httpUser",
        /// Password of proxy authentication.
        http_password: Secret = "httpPassword",
        /// Serve only requests of this user of proxy authentication.
        route_by_http_user: String = "routeByHTTPUser",
        /// How connections are told apart: `httpconnect`.
        multiplexer: String = "multiplexer",
    }
}

impl TcpmuxProxy {
    pub(super) fn write_message(&self, message: &mut NewProxy) {
        self.domain.write_message(message);
        message.http_user.clone_from(&self.http_user);
        message.http_pwd = self.http_password.clone();
        message.route_by_http_user.clone_from(&self.route_by_http_user);
        message.multiplexer.clone_from(&self.multiplexer);
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self {
            base: ProxyBase::from_message(message),
            domain: DomainConfig::from_message(message),
            http_user: message.http_user.clone(),
            http_password: message.http_pwd.clone(),
            route_by_http_user: message.route_by_http_user.clone(),
            multiplexer: message.multiplexer.clone(),
        }
    }

    pub(super) fn check_for_client(&self) -> Result<(), CheckError> {
        self.domain.check_for_client()?;
        if self.multiplexer == HTTP_CONNECT {
            Ok(())
        } else {
            Err(CheckError::new(format!("not support multiplexer: {}", self.multiplexer)))
        }
    }

    pub(super) fn check_for_server(&self, server: &ServerConfig) -> Result<(), CheckError> {
        if self.multiplexer == HTTP_CONNECT && server.tcpmux_http_connect_port == 0 {
            return Err(CheckError::new(
                "tcpmux with multiplexer httpconnect not supported because this feature is not enabled in server",
            ));
        }
        self.domain.check_for_server(server)
    }
}
