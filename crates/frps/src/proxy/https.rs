//! `https`: a place in the routes of the shared port for each domain. Upstream `server/proxy/https.go`.

use frp_config::proxy::HttpsProxy;
use tracing::info;

use super::{Running, StartError};
use crate::vhost::{HostTerms, Route, domains};

/// Takes the domains and returns them as the client is told them.
pub(super) fn listen(running: &mut Running, config: &HttpsProxy) -> Result<String, StartError> {
    let core = &running.proxy.core;
    let balancer = &config.base.load_balancer;
    let mut addresses = Vec::new();
    for domain in domains::of_proxy(&config.domain, &core.settings.config.sub_domain_host) {
        addresses.push(domains::public_address(&domain, core.settings.vhost_https_port));
        let route = Route { domain: domain.clone(), ..Route::default() };
        let terms = HostTerms { route, ..HostTerms::default() };
        running.hosts.push(core.https.take(&running.proxy, terms, balancer)?);
        info!("https proxy listen for host [{domain}] group [{}]", balancer.group);
    }
    Ok(addresses.join(","))
}
