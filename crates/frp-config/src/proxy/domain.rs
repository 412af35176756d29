//! The domains of http, https and tcpmux proxies.

use frp_proto::msg::NewProxy;

use crate::check::CheckError;
use crate::server::ServerConfig;
use crate::table::table;

table! {
    /// The domains by which users reach a proxy.
    pub struct DomainConfig = "v1.DomainConfig" {
        /// Domains of the user's own, `*.` at the front allowed.
        custom_domains: Vec<String> = "customDomains",
        /// A label under the server's `subDomainHost`.
        subdomain: String = "subdomain",
    }
}

impl DomainConfig {
    pub(super) fn write_message(&self, message: &mut NewProxy) {
        message.custom_domains.clone_from(&self.custom_domains);
        message.subdomain.clone_from(&self.subdomain);
    }

    pub(super) fn from_message(message: &NewProxy) -> Self {
        Self { custom_domains: message.custom_domains.clone(), subdomain: message.subdomain.clone() }
    }

    pub(super) fn check_for_client(&self) -> Result<(), CheckError> {
        if self.subdomain.is_empty() && self.custom_domains.is_empty() {
            return Err(CheckError::new("subdomain and custom domains should not be both empty"));
        }
        Ok(())
    }

    pub(super) fn check_for_server(&self, server: &ServerConfig) -> Result<(), CheckError> {
        let host = server.sub_domain_host.as_str();
        let labels = |domain: &str| domain.split('.').count();
        for domain in &self.custom_domains {
            let below_host = domain.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'));
            if !host.is_empty() && labels(host) < labels(domain) && below_host {
                return Err(CheckError::new(format!(
                    "custom domain [{domain}] should not belong to subdomain host [{host}]"
                )));
            }
        }
        if self.subdomain.is_empty() {
            return Ok(());
        }
        if host.is_empty() {
            return Err(CheckError::new(
                "subdomain is not supported because this feature is not enabled in server",
            ));
        }
        if self.subdomain.contains(['.', '*']) {
            return Err(CheckError::new("'.' and '*' are not supported in subdomain"));
        }
        Ok(())
    }
}
