//! Canonical addresses and `host:port` text.

use std::net::{IpAddr, SocketAddr};

/// The address as a person would write it: an IPv4 address that arrived IPv4-mapped (`::ffff:192.0.2.1`) on a
/// dual-stack socket becomes plain IPv4. Everything that is printed, sent in `StartWorkConn` or put in a PROXY
/// header must have passed through here.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, address.port())),
        // Unchanged, with the zone of a link-local address.
        IpAddr::V6(_) => address,
    }
}

/// `host:port`, with brackets around a host that contains a colon: Go's `net.JoinHostPort`.
#[must_use]
pub fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The inverse of [`join_host_port`]: `[::1]:53` is (`::1`, `53`). `None` where Go's `net.SplitHostPort`
/// returns an error: no port, a bare IPv6 address, unbalanced brackets. The port is not parsed.
#[must_use]
pub fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

/// The address to connect to when the configuration names a wildcard: `serverAddr` is `0.0.0.0` by default and
/// means the local host. Linux does this by itself; other systems refuse the wildcard (Go maps it there, too).
pub(crate) fn dialable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_become_ipv4() {
        let canonical = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(canonical("[::ffff:192.0.2.7]:80"), "192.0.2.7:80");
        assert_eq!(canonical("192.0.2.7:80"), "192.0.2.7:80");
        assert_eq!(canonical("[2001:db8::1]:80"), "[2001:db8::1]:80");
        assert_eq!(canonical("[::1]:80"), "[::1]:80", "not an IPv4-compatible address");
        assert_eq!(canonical("[fe80::1%3]:80"), "[fe80::1%3]:80", "the zone stays");
    }

    #[test]
    fn joins_like_go() {
        assert_eq!(join_host_port("127.0.0.1", 7000), "127.0.0.1:7000");
        assert_eq!(join_host_port("::1", 7000), "[::1]:7000");
        assert_eq!(join_host_port("fe80::1%eth0", 7000), "[fe80::1%eth0]:7000");
        assert_eq!(join_host_port("", 7000), ":7000");
    }

    #[test]
    fn splits_like_go() {
        assert_eq!(split_host_port("1.1.1.1:53"), Some(("1.1.1.1", "53")));
        assert_eq!(split_host_port("[2606::1]:53"), Some(("2606::1", "53")));
        assert_eq!(split_host_port(":53"), Some(("", "53")));
        for text in ["1.1.1.1", "2606::1", "[2606::1]", "[2606::1:53", "::1]:53", ""] {
            assert_eq!(split_host_port(text), None, "{text}");
        }
    }

    #[test]
    fn wildcards_dial_the_local_host() {
        let dialable = |text: &str| dialable(text.parse().unwrap()).to_string();
        assert_eq!(dialable("0.0.0.0"), "127.0.0.1");
        assert_eq!(dialable("::"), "::1");
        assert_eq!(dialable("192.0.2.1"), "192.0.2.1");
    }
}
