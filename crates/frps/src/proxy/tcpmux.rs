//! `tcpmux`: a place in the routes of the shared port for each domain. Upstream `server/proxy/tcpmux.go`.

use frp_config::proxy::TcpmuxProxy;
use tracing::info;

use super::{Running, StartError};
use crate::vhost::{HostTerms, Route, domains};

/// Takes the domains and returns them as the client is told them.
pub(super) fn listen(running: &mut Running, config: &TcpmuxProxy) -> Result<String, StartError> {
    if config.multiplexer != "httpconnect" {
        return Err(StartError::UnknownMultiplexer(config.multiplexer.clone()));
    }
    let core = &running.proxy.core;
    let balancer = &config.base.load_balancer;
    let by_user = config.route_by_http_user.as_str();
    let mut addresses = Vec::new();
    for domain in domains::of_proxy(&config.domain, &core.settings.config.sub_domain_host) {
        addresses.push(domains::public_address(&domain, core.settings.tcpmux_port));
        let terms = HostTerms {
            route: Route { domain: domain.clone(), user: by_user.to_owned(), ..Route::default() },
            http_user: config.http_user.clone(),
            http_password: config.http_password.clone(),
        };
        running.hosts.push(core.tcpmux.take(&running.proxy, terms, balancer)?);
        info!(
            "tcpmux httpconnect multiplexer listens for host [{domain}], group [{}] routeByHTTPUser [{by_user}]",
            balancer.group
        );
    }
    Ok(addresses.join(","))
}
