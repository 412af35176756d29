//! The domains of a proxy: what it registers, where users find it, and how a request's host is written.

use std::borrow::Cow;

use frp_config::proxy::DomainConfig;
use frp_net::address::{join_host_port, split_host_port};

/// Every domain of a proxy: its own in order, empty ones left out, then its subdomain under the server's
/// `subDomainHost`. Upstream `server/proxy/proxy.go`, `buildDomains`.
pub(crate) fn of_proxy(config: &DomainConfig, sub_domain_host: &str) -> Vec<String> {
    let own = config.custom_domains.iter().filter(|domain| !domain.is_empty()).cloned();
    let below = (!config.subdomain.is_empty()).then(|| format!("{}.{sub_domain_host}", config.subdomain));
    own.chain(below).collect()
}

/// Where users find a domain: without the port on both well-known ports, whichever the type. Upstream
/// `pkg/util/util/util.go`, `CanonicalAddr`.
pub(crate) fn public_address(domain: &str, port: u16) -> String {
    if matches!(port, 80 | 443) { domain.to_owned() } else { join_host_port(domain, port) }
}

/// The host of a request's authority as the router wants it: lower-cased, without port and without one trailing dot.
/// Upstream `pkg/util/http/http.go`, `CanonicalHost`; what that cannot split is no host at all.
pub(crate) fn canonical_host(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority).unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_ascii() && !host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Borrowed(host)
    } else {
        Cow::Owned(host.to_lowercase())
    }
}

/// Several colons without brackets are no port. `None` for brackets that do not match.
fn without_port(authority: &str) -> Option<&str> {
    let has_port = match authority.bytes().filter(|byte| *byte == b':').count() {
        0 => false,
        1 => true,
        _ => authority.starts_with('[') && authority.contains("]:"),
    };
    if has_port { split_host_port(authority).map(|(host, _)| host) } else { Some(authority) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_domains_then_the_subdomain() {
        let config = DomainConfig {
            custom_domains: vec!["A.test".to_owned(), String::new(), "*.b.test".to_owned()],
            subdomain: "www".to_owned(),
        };
        assert_eq!(of_proxy(&config, "sub.test"), ["A.test", "*.b.test", "www.sub.test"]);
        assert!(of_proxy(&DomainConfig::default(), "sub.test").is_empty());
    }

    #[test]
    fn well_known_ports_are_not_told() {
        assert_eq!(public_address("a.test", 80), "a.test");
        assert_eq!(public_address("a.test", 443), "a.test");
        assert_eq!(public_address("*.a.test", 8443), "*.a.test:8443");
    }

    #[test]
    fn hosts() {
        let cases = [
            ("a.test", "a.test"),
            ("A.Test:80", "a.test"),
            ("a.test.", "a.test"),
            ("a.test..:1", "a.test."),
            ("a.test:", "a.test"),
            ("a.test:abc", "a.test"),
            ("", ""),
            (":80", ""),
            ("[::1]:80", "::1"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("[a]:1", "a"),
            ("[a:1", ""),
            ("*", "*"),
        ];
        for (authority, host) in cases {
            assert_eq!(canonical_host(authority), host, "{authority}");
        }
        assert!(matches!(canonical_host("a.test:80"), Cow::Borrowed("a.test")));
    }
}
