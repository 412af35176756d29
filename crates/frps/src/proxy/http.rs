//! `http`: a place in the routes of the shared port for each domain and location. Upstream `server/proxy/http.go`.

use std::sync::Arc;

use frp_config::proxy::HttpProxy;
use frp_proto::limits::MAX_MESSAGE;
use tracing::info;

use super::{Running, StartError};
use crate::vhost::http::{Policy, SiteTerms};
use crate::vhost::{Route, domains};

/// Takes the routes and returns the domains as the client is told them.
pub(super) fn listen(running: &mut Running, config: &HttpProxy) -> Result<String, StartError> {
    let core = &running.proxy.core;
    let (balancer, user) = (&config.base.load_balancer, &config.route_by_http_user);
    let everywhere = [String::new()];
    let locations = if config.locations.is_empty() { &everywhere[..] } else { &config.locations };
    let policy = Arc::new(Policy::new(config));
    let names = domains::of_proxy(&config.domain, &core.settings.config.sub_domain_host);
    // A message has room for thousands of each, and so for millions of routes.
    let length: usize = names.iter().map(|name| name.len() + 1).sum();
    if length * locations.len() > MAX_MESSAGE {
        return Err(StartError::TooManyRoutes(names.len() * locations.len()));
    }
    let mut addresses = Vec::new();
    for domain in names {
        for location in locations {
            let route = Route { domain: domain.clone(), location: location.clone(), user: user.clone() };
            let terms = SiteTerms { route, policy: Arc::clone(&policy) };
            running.sites.push(core.http.take(&running.proxy, terms, balancer)?);
            addresses.push(domains::public_address(&domain, core.settings.vhost_http_port));
            info!(
                "http proxy listen for host [{domain}] location [{location}] group [{}], routeByHTTPUser [{user}]",
                balancer.group
            );
        }
    }
    Ok(addresses.join(","))
}
