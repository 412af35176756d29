//! What of a client's proxies and visitors is to run.

use std::collections::HashSet;

use crate::client::ClientConfig;
use crate::proxy::ProxyConfig;
use crate::visitor::VisitorConfig;

/// Keeps the proxies and visitors that `start` names, if it names any, drops those with `enabled = false`, and
/// completes the rest. The order stays.
#[must_use]
pub fn select(
    common: &ClientConfig,
    mut proxies: Vec<ProxyConfig>,
    mut visitors: Vec<VisitorConfig>,
) -> (Vec<ProxyConfig>, Vec<VisitorConfig>) {
    let start: HashSet<&str> = common.start.iter().map(String::as_str).collect();
    let named = |name: &str| start.is_empty() || start.contains(name);
    proxies.retain(|proxy| named(proxy.name()) && proxy.base().is_enabled());
    visitors.retain(|visitor| named(visitor.name()) && visitor.base().is_enabled());
    proxies.iter_mut().for_each(ProxyConfig::complete);
    visitors.iter_mut().for_each(VisitorConfig::complete);
    (proxies, visitors)
}
