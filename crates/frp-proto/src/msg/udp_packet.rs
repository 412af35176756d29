//! One datagram as a message.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::define::wire_struct;
use crate::json::{Field, JsonError, JsonErrorKind, Object, ObjectWriter, Reader, StructField};

wire_struct! {
    /// One datagram, in the payload of udp and sudp connections. [`crate::udp`] writes one without building
    /// this struct first.
    pub struct UdpPacket {
        /// The datagram's bytes; base64 on the wire, absent when empty.
        content: Vec<u8> = "c" [length],
        /// Not set by current programs.
        local_addr: Option<UdpAddr> = "l",
        /// Address of the user that sent the datagram or shall get it.
        remote_addr: Option<UdpAddr> = "r",
    }
}

/// An address as Go's `net.UDPAddr` looks on the wire: `{"IP":"10.0.0.1","Port":50000,"Zone":""}`.
///
/// Answers repeat the address of the question, so it is kept as it came, apart from an IPv4 address in IPv6
/// clothes, which Go undresses too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct UdpAddr {
    /// None is the empty text.
    pub ip: Option<IpAddr>,
    /// The port; a peer can send any number.
    pub port: i64,
    /// Zone of a link-local IPv6 address: the name or number of an interface.
    pub zone: String,
}

impl UdpAddr {
    /// The address to send to; none without IP or with a port beyond 65535. A zone counts if it is a number.
    #[must_use]
    pub fn to_socket_addr(&self) -> Option<SocketAddr> {
        let port = u16::try_from(self.port).ok()?;
        Some(match self.ip? {
            IpAddr::V4(ip) => SocketAddr::from((ip, port)),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.zone.parse().unwrap_or_default()).into(),
        })
    }
}

impl From<SocketAddr> for UdpAddr {
    fn from(address: SocketAddr) -> Self {
        let zone = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => v6.scope_id().to_string(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => String::new(),
        };
        Self { ip: Some(address.ip().to_canonical()), port: address.port().into(), zone }
    }
}

impl Object for UdpAddr {
    const NAMES: &'static [&'static str] = &["IP", "Port", "Zone"];

    fn write_members(&self, object: &mut ObjectWriter<'_>) {
        write_ip(object.key("IP"), self.ip);
        self.port.write(object.key("Port"));
        self.zone.write(object.key("Zone"));
    }

    fn read_member(&mut self, name: &str, reader: &mut Reader<'_>) -> Result<bool, JsonError> {
        match name {
            "IP" => self.ip = read_ip(reader)?,
            "Port" => self.port.read(reader)?,
            "Zone" => self.zone.read(reader)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl StructField for UdpAddr {}

fn write_ip(out: &mut Vec<u8>, ip: Option<IpAddr>) {
    out.push(b'"');
    if let Some(ip) = ip {
        out.extend_from_slice(ip.to_canonical().to_string().as_bytes());
    }
    out.push(b'"');
}

fn read_ip(reader: &mut Reader<'_>) -> Result<Option<IpAddr>, JsonError> {
    if reader.null()? {
        return Ok(None);
    }
    let text = reader.string()?;
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<IpAddr>() {
        Ok(ip) => Ok(Some(ip.to_canonical())),
        Err(_) => Err(reader.error(JsonErrorKind::Address)),
    }
}
