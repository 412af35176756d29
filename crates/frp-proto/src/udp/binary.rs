//! Datagrams in binary, on which two sides of wire version 2 may have agreed. The body of a frame is
//!
//! ```text
//! flags: 1 local, 2 remote | [local address] | remote address | length, 16 bits | content
//! address: family (4 or 6) | 4 or 16 bytes | port, 16 bits | length of the zone, 8 bits | zone
//! ```
//!
//! with big-endian numbers. Upstream `pkg/msg/udp_binary.go` of v0.71.0.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::limits::{MAX_DATAGRAM, MAX_V2_PAYLOAD};
use crate::msg::{MessageKind, UdpAddr, UdpPacket};
use crate::v2::{self, BINARY_UDP_PACKET};
use crate::wire::EncodeError;

const LOCAL: u8 = 1;
const REMOTE: u8 = 2;

/// A datagram in binary that is none: the peer's fault, and the end of the stream. The texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BinaryError {
    /// Shorter than the shortest.
    #[error("UDP packet body too short: {0}")]
    Short(usize),
    /// A flag that means nothing.
    #[error("reserved UDP packet flags set: {0:#04x}")]
    Flags(u8),
    /// Whose datagram it is does not stand there.
    #[error("UDP packet missing remote address")]
    NoRemote,
    /// Neither IPv4 nor IPv6.
    #[error("unknown address family {0}")]
    Family(u8),
    /// The body ends inside an address.
    #[error("truncated address")]
    Address,
    /// Only IPv6 has zones.
    #[error("IPv4 zone is forbidden")]
    Zone,
    /// The zone is no text.
    #[error("zone is not valid UTF-8")]
    ZoneText,
    /// The body ends inside the content's length.
    #[error("truncated UDP payload length")]
    Length,
    /// The content is longer than a datagram can be.
    #[error("UDP payload length {0} exceeds limit {MAX_DATAGRAM}")]
    TooLong(usize),
    /// The body ends inside the content.
    #[error("truncated UDP payload: have {have} want {want}")]
    Content {
        /// So much is there.
        have: usize,
        /// So much should be.
        want: usize,
    },
    /// Bytes behind the content.
    #[error("trailing UDP packet bytes: {0}")]
    Trailing(usize),
}

/// Appends the v2 frame of a datagram that came in a message.
///
/// # Errors
/// If the datagram is longer than any can be, or an address of it is none. `out` is then as it was.
pub fn encode_binary(packet: &UdpPacket, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let remote = packet.remote_addr.as_ref().ok_or(EncodeError::Address)?;
    let mut addresses = Vec::new();
    let known = match &packet.local_addr {
        None => {
            addresses.push(REMOTE);
            true
        }
        Some(local) => {
            addresses.push(LOCAL | REMOTE);
            write_address(local, &mut addresses)
        }
    };
    if !known || !write_address(remote, &mut addresses) {
        return Err(EncodeError::Address);
    }
    encode(&packet.content, &addresses, out)
}

/// What precedes the content's length in every datagram of a user; empty if the address is none.
pub(super) fn prefix(remote: &UdpAddr) -> Vec<u8> {
    let mut bytes = vec![REMOTE];
    if !write_address(remote, &mut bytes) {
        bytes.clear();
    }
    bytes
}

/// Appends the frame of a datagram whose flags and addresses are these.
pub(super) fn encode(content: &[u8], prefix: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if prefix.is_empty() {
        return Err(EncodeError::Address);
    }
    let kind = MessageKind::UdpPacket;
    let length = match u16::try_from(content.len()) {
        Ok(length) if content.len() <= MAX_DATAGRAM => length,
        _ => return Err(EncodeError::TooLong { kind, length: content.len(), limit: MAX_DATAGRAM }),
    };
    v2::encode_with(kind, BINARY_UDP_PACKET, out, |out| {
        out.extend_from_slice(prefix);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(content);
    })
}

/// False if the address cannot be written.
fn write_address(address: &UdpAddr, out: &mut Vec<u8>) -> bool {
    let (Some(ip), Ok(port)) = (address.ip, u16::try_from(address.port)) else { return false };
    let Ok(zone) = u8::try_from(address.zone.len()) else { return false };
    match ip.to_canonical() {
        IpAddr::V4(ip) if zone == 0 => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V4(_) => return false,
        IpAddr::V6(ip) => {
            out.push(6);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&port.to_be_bytes());
    out.push(zone);
    out.extend_from_slice(address.zone.as_bytes());
    true
}

/// A datagram in its parts, still in the body.
pub(super) struct Parts<'a> {
    /// Flags and addresses.
    pub(super) prefix: &'a [u8],
    pub(super) local: Option<UdpAddr>,
    pub(super) remote: UdpAddr,
    pub(super) content: &'a [u8],
}

/// Reads the body of a datagram in binary.
///
/// # Errors
/// [`BinaryError`].
pub fn decode_binary(body: &[u8]) -> Result<UdpPacket, BinaryError> {
    let Parts { local, remote, content, .. } = parts(body)?;
    Ok(UdpPacket { content: content.to_vec(), local_addr: local, remote_addr: Some(remote) })
}

pub(super) fn parts(body: &[u8]) -> Result<Parts<'_>, BinaryError> {
    let Some((&flags, mut rest)) = body.split_first().filter(|_| body.len() >= 3) else {
        return Err(BinaryError::Short(body.len()));
    };
    debug_assert!(body.len() <= MAX_V2_PAYLOAD, "a frame's payload is bounded");
    if flags & !(LOCAL | REMOTE) != 0 {
        return Err(BinaryError::Flags(flags));
    }
    if flags & REMOTE == 0 {
        return Err(BinaryError::NoRemote);
    }
    let local = if flags & LOCAL == 0 { None } else { Some(read_address(&mut rest)?) };
    let remote = read_address(&mut rest)?;
    let prefix = body.get(..body.len() - rest.len()).unwrap_or_default();
    Ok(Parts { prefix, local, remote, content: content(rest)? })
}

/// The content behind its length, which must be that of the rest.
pub(super) fn content(rest: &[u8]) -> Result<&[u8], BinaryError> {
    let (length, content) = rest.split_first_chunk().ok_or(BinaryError::Length)?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length > MAX_DATAGRAM {
        return Err(BinaryError::TooLong(length));
    }
    match content.len() {
        have if have < length => Err(BinaryError::Content { have, want: length }),
        have if have > length => Err(BinaryError::Trailing(have - length)),
        _ => Ok(content),
    }
}

fn read_address(rest: &mut &[u8]) -> Result<UdpAddr, BinaryError> {
    let (&family, bytes) = rest.split_first().ok_or(BinaryError::Address)?;
    let (ip, bytes): (IpAddr, _) = match family {
        4 => {
            let (ip, bytes) = bytes.split_first_chunk::<4>().ok_or(BinaryError::Address)?;
            (Ipv4Addr::from(*ip).into(), bytes)
        }
        6 => {
            let (ip, bytes) = bytes.split_first_chunk::<16>().ok_or(BinaryError::Address)?;
            (IpAddr::from(Ipv6Addr::from(*ip)).to_canonical(), bytes)
        }
        other => return Err(BinaryError::Family(other)),
    };
    let (port, bytes) = bytes.split_first_chunk::<2>().ok_or(BinaryError::Address)?;
    let (&zone_len, bytes) = bytes.split_first().ok_or(BinaryError::Address)?;
    let (zone, bytes) = bytes.split_at_checked(zone_len.into()).ok_or(BinaryError::Address)?;
    if family == 4 && !zone.is_empty() {
        return Err(BinaryError::Zone);
    }
    let zone = std::str::from_utf8(zone).map_err(|_| BinaryError::ZoneText)?.to_owned();
    *rest = bytes;
    Ok(UdpAddr { ip: Some(ip), port: u16::from_be_bytes(*port).into(), zone })
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::msg::Message;
    use crate::udp::{UserText, encode_for};
    use crate::v2::DecodeError;
    use crate::wire::Framing;

    fn encode_binary_to(content: &[u8], user: &UdpAddr, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        encode_for(content, &UserText::framed(user, Framing::V2BinaryUdp), out)
    }

    fn packet(content: &[u8], remote: &str) -> UdpPacket {
        let remote: SocketAddr = remote.parse().unwrap();
        UdpPacket { content: content.to_vec(), local_addr: None, remote_addr: Some(remote.into()) }
    }

    #[test]
    fn a_datagram_in_binary() {
        let mut frame = Vec::new();
        encode_binary(&packet(b"udp", "203.0.113.9:54321"), &mut frame).unwrap();
        let head = b"\0\x10\0\0\0\0\0\x10\0\x13";
        assert_eq!(frame, [&head[..], b"\x02\x04\xcb\0\x71\x09\xd4\x31\0\0\x03udp"].concat());
    }

    #[test]
    fn both_ways_in_every_framing() {
        let zoned = UdpAddr { zone: "eth0".into(), .."[fe80::1]:5353".parse::<SocketAddr>().unwrap().into() };
        for remote in [UdpAddr::from(SocketAddr::from(([10, 0, 0, 1], 1))), zoned] {
            for framing in [Framing::V1, Framing::V2, Framing::V2BinaryUdp] {
                for content in [&b""[..], b"x", &[0xff; 7000]] {
                    let mut frame = Vec::new();
                    encode_for(content, &UserText::framed(&remote, framing), &mut frame).unwrap();
                    let packet = UdpPacket {
                        content: content.to_vec(),
                        local_addr: None,
                        remote_addr: Some(remote.clone()),
                    };
                    let mut again = Vec::new();
                    framing.encode_into(&packet.clone().into(), &mut again).unwrap();
                    assert_eq!(again, frame);
                    assert_eq!(framing.decode(&frame), Ok(Some((packet.into(), frame.len()))));
                    for cut in 0..frame.len() {
                        assert_eq!(framing.decode(&frame[..cut]), Ok(None));
                    }
                }
            }
        }
    }

    #[test]
    fn a_local_address_is_kept() {
        let with_local = UdpPacket {
            local_addr: Some(SocketAddr::from(([127, 0, 0, 1], 53)).into()),
            ..packet(b"x", "[2001:db8::1]:5")
        };
        let mut frame = Vec::new();
        encode_binary(&with_local, &mut frame).unwrap();
        assert_eq!(decode_binary(&frame[10..]), Ok(with_local));
    }

    #[test]
    fn the_longest() {
        let remote = UdpAddr::from(SocketAddr::from(([10, 0, 0, 1], 1)));
        let mut out = b"before".to_vec();
        assert!(encode_binary_to(&[0; MAX_DATAGRAM + 1], &remote, &mut out).is_err());
        assert_eq!(out, b"before");
        encode_binary_to(&[0; MAX_DATAGRAM], &remote, &mut out).unwrap();
        let (read, _) = Framing::V2BinaryUdp.decode(&out[6..]).unwrap().unwrap();
        assert!(matches!(read, Message::UdpPacket(packet) if packet.content.len() == MAX_DATAGRAM));
        // An address so long that the frame would be too long.
        let zone = UdpAddr { ip: Some(Ipv6Addr::LOCALHOST.into()), port: 1, zone: "z".repeat(255) };
        out.clear();
        assert!(matches!(encode_binary_to(&[0; 65_400], &zone, &mut out), Err(EncodeError::TooLong { .. })));
        assert!(out.is_empty());
    }

    #[test]
    fn addresses_that_are_none_are_not_written() {
        let good = UdpAddr::from(SocketAddr::from(([10, 0, 0, 1], 1)));
        for bad in [
            UdpAddr::default(),
            UdpAddr { port: 65_536, ..good.clone() },
            UdpAddr { zone: "eth0".into(), ..good },
            UdpAddr { zone: "z".repeat(256), ip: Some(Ipv6Addr::LOCALHOST.into()), port: 1 },
        ] {
            let mut out = Vec::new();
            assert_eq!(encode_binary_to(b"x", &bad, &mut out), Err(EncodeError::Address));
            assert!(out.is_empty());
        }
        let nobody = UdpPacket::default();
        assert_eq!(encode_binary(&nobody, &mut Vec::new()), Err(EncodeError::Address));
    }

    #[test]
    fn bodies_that_are_none() {
        let good = b"\x02\x04\x0a\0\0\x01\0\x35\0\0\x01x";
        assert!(decode_binary(good).is_ok());
        for (body, error) in [
            (&b"\x02\x04"[..], "UDP packet body too short: 2"),
            (b"\x06\x04\x0a", "reserved UDP packet flags set: 0x06"),
            (b"\x01\x04\x0a", "UDP packet missing remote address"),
            (b"\x02\x05\x0a", "unknown address family 5"),
            (b"\x02\x04\x0a", "truncated address"),
            (b"\x02\x04\x0a\0\0\x01\0\x35\x01z\0\x01x", "IPv4 zone is forbidden"),
            (b"\x02\x04\x0a\0\0\x01\0\x35\0\0", "truncated UDP payload length"),
            (b"\x02\x04\x0a\0\0\x01\0\x35\0\xff\xffx", "UDP payload length 65535 exceeds limit 65507"),
            (b"\x02\x04\x0a\0\0\x01\0\x35\0\0\x02x", "truncated UDP payload: have 1 want 2"),
            (b"\x02\x04\x0a\0\0\x01\0\x35\0\0\0x", "trailing UDP packet bytes: 1"),
        ] {
            assert_eq!(decode_binary(body).unwrap_err().to_string(), error);
        }
        let zone = [b"\x02\x06", &[0; 16][..], b"\0\x35\x01\xff\0\0"].concat();
        assert_eq!(decode_binary(&zone), Err(BinaryError::ZoneText));
    }

    #[test]
    fn each_form_only_where_it_was_agreed_on() {
        let remote = UdpAddr::from(SocketAddr::from(([10, 0, 0, 1], 1)));
        let (mut json, mut binary) = (Vec::new(), Vec::new());
        encode_for(b"x", &UserText::framed(&remote, Framing::V2), &mut json).unwrap();
        encode_binary_to(b"x", &remote, &mut binary).unwrap();
        assert_eq!(Framing::V2BinaryUdp.decode(&json), Err(DecodeError::JsonDatagram.into()));
        let error = Framing::V2.decode(&binary).unwrap_err();
        assert_eq!(error.to_string(), "unknown v2 message type 19");
    }
}
