//! The header of a frame.
//!
//! ```text
//!  0        1        2                 4                                   8                                  12
//! +--------+--------+-----------------+-----------------------------------+-----------------------------------+
//! | version|  type  |      flags      |             stream id             |               length              |
//! |   = 0  | 0 .. 3 |  SYN ACK FIN RST|          0 = the session          | data: bytes that follow           |
//! |        |        |   1   2   4   8 |                                   | window update: delta              |
//! |        |        |                 |                                   | ping: opaque    goaway: code      |
//! +--------+--------+-----------------+-----------------------------------+-----------------------------------+
//! ```
//!
//! All numbers are big-endian. Only a data frame has a payload.

use crate::ProtocolError;

/// Bytes of a header.
pub const HEADER_LEN: usize = 12;

const VERSION: u8 = 0;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `length` bytes of a stream follow.
    Data,
    /// The peer may send `length` more bytes on a stream.
    WindowUpdate,
    /// With SYN a question, otherwise the answer; `length` is echoed.
    Ping,
    /// The sender takes no new streams (`length` 0) or gives up (any other).
    GoAway,
}

/// The flags of a frame. Bits beyond the four known ones are kept and mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Opens a stream; asks, on a ping.
    pub const SYN: Self = Self(1);
    /// Accepts a stream; answers, on a ping.
    pub const ACK: Self = Self(2);
    /// The sender sends nothing more on the stream.
    pub const FIN: Self = Self(4);
    /// The stream is over in both directions.
    pub const RST: Self = Self(8);

    /// Whether all flags of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the frame is.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
    /// The stream it belongs to; 0 for ping and goaway.
    pub stream: u32,
    /// Payload length, delta, opaque value or code, by kind.
    pub length: u32,
}

impl Header {
    /// A header of data: `length` bytes follow.
    pub fn data(stream: u32, length: u32) -> Self {
        Self { kind: Kind::Data, flags: Flags::NONE, stream, length }
    }

    /// A window update, which also carries the life of a stream in its flags.
    pub fn window(stream: u32, flags: Flags, delta: u32) -> Self {
        Self { kind: Kind::WindowUpdate, flags, stream, length: delta }
    }

    /// A ping ([`Flags::SYN`]) or its answer ([`Flags::ACK`]).
    pub fn ping(flags: Flags, opaque: u32) -> Self {
        Self { kind: Kind::Ping, flags, stream: 0, length: opaque }
    }

    /// A goaway: 0 normal, 1 protocol error, 2 internal error.
    pub fn go_away(code: u32) -> Self {
        Self { kind: Kind::GoAway, flags: Flags::NONE, stream: 0, length: code }
    }

    /// The bytes of the header.
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.0.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [VERSION, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// Reads a header.
    ///
    /// # Errors
    /// A version other than 0, or an unknown type: the peer speaks something else.
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, ProtocolError> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != VERSION {
            return Err(ProtocolError::InvalidVersion);
        }
        let kind = match kind {
            0 => Kind::Data,
            1 => Kind::WindowUpdate,
            2 => Kind::Ping,
            3 => Kind::GoAway,
            _ => return Err(ProtocolError::InvalidType),
        };
        Ok(Self {
            kind,
            flags: Flags(u16::from_be_bytes([f0, f1])),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(header: Header) -> String {
        header.encode().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes that upstream's yamux writes.
    #[test]
    fn golden_frames() {
        let delta = 6 * 1024 * 1024 - 256 * 1024;
        for (header, expected) in [
            (Header::window(1, Flags::SYN, delta), "0001000100000001005c0000"),
            (Header::window(1, Flags::ACK, delta), "0001000200000001005c0000"),
            (Header::window(1, Flags::FIN, 0), "000100040000000100000000"),
            (Header::window(1, Flags::RST, 0), "000100080000000100000000"),
            (Header::ping(Flags::SYN, 0), "000200010000000000000000"),
            (Header::ping(Flags::ACK, 0), "000200020000000000000000"),
            (Header::data(1, 5), "000000000000000100000005"),
            (Header::go_away(0), "000300000000000000000000"),
        ] {
            assert_eq!(hex(header), expected);
            assert_eq!(Header::decode(header.encode()), Ok(header));
        }
    }

    #[test]
    fn other_versions_and_types_are_refused() {
        let mut bytes = Header::data(1, 5).encode();
        bytes[0] = 1;
        assert_eq!(Header::decode(bytes), Err(ProtocolError::InvalidVersion));
        bytes[0] = 0;
        bytes[1] = 4;
        assert_eq!(Header::decode(bytes), Err(ProtocolError::InvalidType));
    }

    #[test]
    fn unknown_flags_are_kept() {
        let mut bytes = Header::data(7, 0).encode();
        bytes[2] = 0x80;
        let header = Header::decode(bytes).unwrap();
        assert!(!header.flags.has(Flags::SYN) && !header.flags.has(Flags::RST));
        assert_eq!(header.encode(), bytes);
    }
}
