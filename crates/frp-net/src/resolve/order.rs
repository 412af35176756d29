//! The order in which the addresses of a name are tried (RFC 6724, section 6, as far as it decides between
//! addresses that a name really has). `getaddrinfo` sorts its own answers; a DNS server's come in any order.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};

/// Sorts the addresses, best first; equal ones keep the order of the answer.
pub(super) fn by_preference(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    ordered(addresses, source_towards)
}

/// The rules: 1 avoid unusable destinations, 5 prefer a matching label, 6 prefer a higher precedence.
fn ordered(addresses: Vec<SocketAddr>, source: impl Fn(SocketAddr) -> Option<IpAddr>) -> Vec<SocketAddr> {
    let mut ranked: Vec<_> = addresses
        .into_iter()
        .map(|destination| {
            let policy = Policy::of(destination.ip());
            let rank = match source(destination) {
                None => (2, 0),
                Some(ours) if Policy::of(ours).label == policy.label => (0, -policy.precedence),
                Some(_) => (1, -policy.precedence),
            };
            (rank, destination)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

/// The address that we would send from, or `None` when there is no route. Connecting a UDP socket asks the
/// routing table and sends nothing.
fn source_towards(destination: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if destination.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = UdpSocket::bind(any).ok()?;
    // Some systems refuse port 0; the port does not change the route.
    socket.connect(SocketAddr::new(destination.ip(), 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// A row of the default policy table (RFC 6724, section 2.1).
struct Policy {
    precedence: i8,
    label: u8,
}

impl Policy {
    fn of(address: IpAddr) -> Self {
        let row = |precedence, label| Self { precedence, label };
        let v6 = match address.to_canonical() {
            IpAddr::V4(_) => return row(35, 4),
            IpAddr::V6(v6) => v6,
        };
        let [first, second, ..] = v6.segments();
        match (first, second) {
            _ if v6.is_loopback() => row(50, 0),
            (0x2001, 0) => row(5, 5),
            (0x2002, _) => row(30, 2),
            (first, _) if first & 0xfe00 == 0xfc00 => row(3, 13),
            (first, _) if first & 0xffc0 == 0xfec0 => row(1, 11),
            (0x3ffe, _) => row(1, 12),
            _ => row(40, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(addresses: &[&str], source: impl Fn(SocketAddr) -> Option<IpAddr>) -> Vec<String> {
        let parsed = addresses.iter().map(|a| SocketAddr::new(a.parse().unwrap(), 0)).collect();
        ordered(parsed, source).iter().map(|a| a.ip().to_string()).collect()
    }

    #[test]
    fn ipv6_first_where_it_works() {
        let source =
            |to: SocketAddr| Some(if to.is_ipv4() { "10.0.0.1" } else { "2001:db8::9" }.parse().unwrap());
        assert_eq!(sorted(&["192.0.2.1", "2001:db8::1"], source), ["2001:db8::1", "192.0.2.1"]);
        assert_eq!(sorted(&["192.0.2.2", "192.0.2.1"], source), ["192.0.2.2", "192.0.2.1"], "stable");
    }

    #[test]
    fn no_route_goes_last() {
        let source = |to: SocketAddr| to.is_ipv4().then(|| "10.0.0.1".parse().unwrap());
        assert_eq!(sorted(&["2001:db8::1", "192.0.2.1"], source), ["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn a_local_only_ipv6_source_gives_way() {
        let source =
            |to: SocketAddr| Some(if to.is_ipv4() { "10.0.0.1" } else { "fd00::9" }.parse().unwrap());
        assert_eq!(sorted(&["2001:db8::1", "192.0.2.1"], source), ["192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn loopback_is_reachable() {
        assert_eq!(source_towards("127.0.0.1:80".parse().unwrap()), Some("127.0.0.1".parse().unwrap()));
    }
}
