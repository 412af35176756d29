//! The environment's `no_proxy`: which servers are reached without the environment's proxy.
//!
//! The original knows `http_proxy` only and goes through it whatever `no_proxy` says; the rules here are those that
//! Go's programs have elsewhere (golang.org/x/net/http/httpproxy), but for loopback, which is reached directly only where
//! the list says so. A proxy that the configuration names is always used.

use std::net::IpAddr;

/// Whether `list` names the server: an address, a network (`10.0.0.0/8`), a name and what is below it
/// (`example.com`), only what is below it (`.example.com`, `*.example.com`), each with a port or without, or `*`.
pub(crate) fn covers(list: &str, host: &str, port: i64) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let Some((network, bits)) = entry.split_once('/') {
            let network = network.parse::<IpAddr>().ok().zip(bits.parse().ok());
            return network.zip(address).is_some_and(|((net, bits), address)| contains(net, bits, address));
        }
        let (name, its_port) = split_port(&entry);
        if its_port.is_some_and(|its| its != port) {
            return false;
        }
        if let Ok(its) = name.parse::<IpAddr>() {
            return address == Some(its);
        }
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        !name.is_empty()
            && address.is_none()
            && (if name.starts_with('.') {
                host.ends_with(name)
            } else {
                host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
    })
}

/// A port behind a name, an IPv4 address, or an IPv6 address in brackets.
fn split_port(entry: &str) -> (&str, Option<i64>) {
    if let Some(rest) = entry.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').unwrap_or((rest, ""));
        return (name, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.split_once(':') {
        Some((name, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) if bits <= 32 => {
            let differ = network.to_bits() ^ address.to_bits();
            differ.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) if bits <= 128 => {
            let differ = network.to_bits() ^ address.to_bits();
            differ.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn who_is_reached_directly() {
        for (list, host, expected) in [
            ("", "a.test", false),
            ("*", "a.test", true),
            ("b.test, a.test", "A.test.", true),
            ("a.test", "x.a.test", true),
            ("a.test", "xa.test", false),
            (".a.test", "a.test", false),
            (".a.test", "x.a.test", true),
            ("*.a.test", "x.a.test", true),
            ("a.test:7000", "a.test", true),
            ("a.test:80", "a.test", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1:1", "127.0.0.1", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/99", "10.0.0.0", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::1", "::1", true),
            ("[::1]:7000", "::1", true),
            ("1", "127.0.0.1", false),
        ] {
            assert_eq!(covers(list, host, 7000), expected, "{list:?} {host}");
        }
    }
}
