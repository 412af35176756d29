//! Datagrams as messages, for the data path of udp and sudp proxies: the frame is written straight from the
//! datagram, without a [`UdpPacket`](crate::msg::UdpPacket) in between.
//!
//! Reading one is [`crate::v1::decode_body`], which allocates the datagram and nothing else.

use std::net::SocketAddr;

use crate::json::{ObjectWriter, write_body, write_bytes};
use crate::msg::{MessageKind, UdpAddr};
use crate::v1::{self, EncodeError};

/// Appends the v1 frame of one datagram from or for the user at `remote`.
///
/// # Errors
/// If the datagram is too long for one message (above some 7,600 bytes). `out` is then as it was.
pub fn encode_v1(content: &[u8], remote: SocketAddr, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode_v1_to(content, &UdpAddr::from(remote), out)
}

/// As [`encode_v1`], for an address that came in a message: it is sent back as it was.
///
/// # Errors
/// As [`encode_v1`].
pub fn encode_v1_to(content: &[u8], remote: &UdpAddr, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    v1::encode_with(MessageKind::UdpPacket, out, |out| {
        let mut object = ObjectWriter::open(out);
        if !content.is_empty() {
            write_bytes(object.key("c"), content);
        }
        write_body(remote, object.key("r"));
        object.close();
    })
}
