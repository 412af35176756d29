//! PROXY protocol headers, which tell a local service who its user is.
//!
//! The client program writes one in front of the first byte to the service, in the version that
//! `proxyProtocolVersion` names. Only the source decides on the family, as in the original, which builds them
//! with pires/go-proxyproto (upstream `pkg/util/net/proxyprotocol.go`).

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

/// Version of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl Version {
    /// The version of a configured text: `v1`, or 2 for anything else, as in the original.
    #[must_use]
    pub fn from_config(text: &str) -> Self {
        if text == "v1" { Self::V1 } else { Self::V2 }
    }
}

/// An address pair that a header cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// The source is IPv4 and the destination is not.
    #[error("proxyproto: invalid address")]
    InvalidAddress,
}

/// First bytes of a version 2 header.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const V2_PROXY: u8 = 0x21;

/// Header for a connection. `source` is the user, `destination` the address that the user connected to.
///
/// # Errors
/// If the source is IPv4 and the destination IPv6.
pub fn tcp_header(version: Version, source: SocketAddr, destination: SocketAddr) -> Result<Vec<u8>, Error> {
    let addresses = Addresses::new(source, destination)?;
    Ok(match version {
        Version::V1 => addresses.text().into_bytes(),
        Version::V2 => addresses.binary(Transport::Stream),
    })
}

/// Header in front of the first datagram of a session. `source` is the user, `destination` the local service.
/// Version 1 has no form for datagrams and says `PROXY UNKNOWN`.
///
/// # Errors
/// If the source is IPv4 and the destination IPv6 (version 2 only).
pub fn udp_header(version: Version, source: SocketAddr, destination: SocketAddr) -> Result<Vec<u8>, Error> {
    match version {
        Version::V1 => Ok(b"PROXY UNKNOWN\r\n".to_vec()),
        Version::V2 => Ok(Addresses::new(source, destination)?.binary(Transport::Datagram)),
    }
}

/// Low half of the byte that names family and transport.
#[derive(Clone, Copy)]
enum Transport {
    Stream = 1,
    Datagram = 2,
}

/// Both addresses, without IPv4 in IPv6 clothes. If the source is IPv4, so is the destination.
struct Addresses {
    source: SocketAddr,
    destination: SocketAddr,
}

impl Addresses {
    fn new(source: SocketAddr, destination: SocketAddr) -> Result<Self, Error> {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (source, destination) = (canonical(source), canonical(destination));
        if source.is_ipv4() && destination.is_ipv6() {
            return Err(Error::InvalidAddress);
        }
        Ok(Self { source, destination })
    }

    fn text(&self) -> String {
        let family = if self.source.is_ipv4() { "TCP4" } else { "TCP6" };
        // An IPv4 destination stays a dotted quad even under TCP6.
        format!(
            "PROXY {family} {} {} {} {}\r\n",
            self.source.ip(),
            self.destination.ip(),
            self.source.port(),
            self.destination.port()
        )
    }

    /// Signature, command, family and transport, length of the rest (16 bits, big-endian), both addresses,
    /// both ports.
    fn binary(&self, transport: Transport) -> Vec<u8> {
        let mut header = SIGNATURE.to_vec();
        let ipv4 = self.source.is_ipv4();
        header.push(V2_PROXY);
        header.push(if ipv4 { 0x10 } else { 0x20 } | transport as u8);
        header.extend_from_slice(if ipv4 { &[0, 12] } else { &[0, 36] });
        for ip in [self.source.ip(), self.destination.ip()] {
            match ip {
                IpAddr::V4(ip) if ipv4 => header.extend_from_slice(&ip.octets()),
                IpAddr::V4(ip) => header.extend_from_slice(&ip.to_ipv6_mapped().octets()),
                IpAddr::V6(ip) => header.extend_from_slice(&ip.octets()),
            }
        }
        for port in [self.source.port(), self.destination.port()] {
            header.extend_from_slice(&port.to_be_bytes());
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn golden_headers() {
        let (user, public) = (address("10.0.0.1:50000"), address("10.0.0.2:6000"));
        assert_eq!(
            tcp_header(Version::V1, user, public).unwrap(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 50000 6000\r\n"
        );
        assert_eq!(
            hex(&tcp_header(Version::V2, user, public).unwrap()),
            "0d0a0d0a000d0a515549540a2111000c0a0000010a000002c3501770"
        );
        assert_eq!(
            hex(&udp_header(Version::V2, user, address("127.0.0.1:9000")).unwrap()),
            "0d0a0d0a000d0a515549540a2112000c0a0000017f000001c3502328"
        );
        let six = address("[2001:db8::1]:50000");
        assert_eq!(
            hex(&tcp_header(Version::V2, six, address("127.0.0.1:0")).unwrap()),
            "0d0a0d0a000d0a515549540a2121002420010db8000000000000000000000001\
             00000000000000000000ffff7f000001c3500000"
        );
        assert_eq!(
            tcp_header(Version::V1, six, address("127.0.0.1:0")).unwrap(),
            b"PROXY TCP6 2001:db8::1 127.0.0.1 50000 0\r\n"
        );
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        let mapped = address("[::ffff:10.0.0.1]:50000");
        let public = address("[::ffff:10.0.0.2]:6000");
        assert_eq!(
            tcp_header(Version::V1, mapped, public).unwrap(),
            b"PROXY TCP4 10.0.0.1 10.0.0.2 50000 6000\r\n"
        );
    }

    #[test]
    fn udp() {
        let six = address("[2001:db8::1]:50000");
        assert_eq!(udp_header(Version::V1, six, six).unwrap(), b"PROXY UNKNOWN\r\n");
        assert_eq!(udp_header(Version::V2, six, six).unwrap()[13..16], [0x22, 0, 36]);
        assert_eq!(udp_header(Version::V2, six, six).unwrap().len(), 16 + 36);
    }

    #[test]
    fn ipv4_to_ipv6_has_no_header() {
        let (four, six) = (address("10.0.0.1:1"), address("[2001:db8::1]:2"));
        for version in [Version::V1, Version::V2] {
            assert_eq!(tcp_header(version, four, six), Err(Error::InvalidAddress));
        }
        assert_eq!(udp_header(Version::V2, four, six), Err(Error::InvalidAddress));
    }

    #[test]
    fn versions() {
        assert_eq!(Version::from_config("v1"), Version::V1);
        assert_eq!(Version::from_config("v2"), Version::V2);
    }
}
