//! `http`: requests for a domain, on the server's shared port, lead to an HTTP service.

use frp_proto::msg::NewProxy;

use super::{DomainConfig, ProxyBase};
use crate::check::CheckError;
use crate::common::HeaderOperations;
use crate::server::ServerConfig;
use crate::table::table;
use crate::value::Secret;

table! {
    /// An http proxy.
    pub struct HttpProxy = "v1.HTTPProxyConfig" {
        .. {
            /// The keys of every proxy.
            base: ProxyBase,
            /// Its domains.
            domain: DomainConfig,
        }
        /// Path prefixes to serve; empty serves all.
        locations: Vec<String> = "locations",
        /// User of basic authentication; none if user and password are both empty.
        http_user: String = "httpUser",
        /// Password of basic authentication.
        http_password: Secret = "httpPassword",
        /// Replaces the `Host` header.
        host_header_rewrite: String = "hostHeaderRewrite",
        /// Changes to request headers.
        request_headers: HeaderOperations = "requestHeaders",
        /// Changes to response headers.
        response_headers: HeaderOperations = "responseHeaders",
        /// Serve only requests of this user of basic authentication.
        route_by_http_user: String = "routeByHTTPUser",
    }
}

impl HttpProxy {
    pub(super) fn write_message(&self, message: &mut NewProxy) {
        self.domain.write_message(message);
        message.locations.clone_from(&self.locations);
        message.http_user.clone_from(&self.http_user);
        message.http_pwd = self.http_password.clone();
        message.host_header_rewrite.clone_from(&self.host_header_rewrite);
        message.headers = (*self.request_headers.set).clone();
        message.response_headers = (*self.response_headers.set).clone();
        message.route_by_http_user.clone_from(&self.route_by_http_user);
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self {
            base: ProxyBase::from_message(message),
            domain: DomainConfig::from_message(message),
            locations: message.locations.clone(),
            http_user: message.http_user.clone(),
            http_password: message.http_pwd.clone(),
            host_header_rewrite: message.host_header_rewrite.clone(),
            request_headers: HeaderOperations { set: message.headers.clone().into() },
            response_headers: HeaderOperations { set: message.response_headers.clone().into() },
            route_by_http_user: message.route_by_http_user.clone(),
        }
    }

    pub(super) fn check_for_client(&self) -> Result<(), CheckError> {
        self.domain.check_for_client()
    }

    pub(super) fn check_for_server(&self, server: &ServerConfig) -> Result<(), CheckError> {
        if server.vhost_http_port == 0 {
            return Err(CheckError::new("type [http] not supported when vhost http port is not set"));
        }
        self.domain.check_for_server(server)
    }
}
