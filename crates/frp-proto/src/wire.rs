//! Either version of the wire behind one face.
//!
//! A stream says by its first bytes which [`WireVersion`] it is. What its messages look like from then on is a
//! [`Framing`]: that of its version, or, inside the payload of udp and sudp connections, the one on which the two
//! sides of the session have agreed.

use thiserror::Error;

use crate::json::JsonError;
use crate::msg::{Message, MessageKind};
use crate::{limits, udp, v1, v2};

/// Which version of the protocol a stream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WireVersion {
    /// See [`crate::v1`].
    #[default]
    V1,
    /// See [`crate::v2`].
    V2,
}

impl WireVersion {
    /// What the client sends first on a stream: the magic of version 2, nothing in version 1.
    #[must_use]
    pub const fn magic(self) -> &'static [u8] {
        match self {
            Self::V1 => &[],
            Self::V2 => &crate::sniff::V2_MAGIC,
        }
    }

    /// The name in `transport.wireProtocol` and on dashboards.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }

    /// The version of this name; none if there is no such one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::V1, Self::V2].into_iter().find(|version| version.name() == name)
    }
}

/// How messages become bytes on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Framing {
    /// Type byte, 64-bit length, JSON.
    #[default]
    V1,
    /// Frames of version 2, every message as JSON.
    V2,
    /// Frames of version 2, datagrams in binary and everything else as JSON. For the payload of udp and sudp
    /// connections of sessions that have agreed on it.
    V2BinaryUdp,
}

/// The body of a message, still in the buffer that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// Of any kind.
    Json(MessageKind, &'a [u8]),
    /// A datagram.
    BinaryDatagram(&'a [u8]),
}

impl From<WireVersion> for Framing {
    fn from(version: WireVersion) -> Self {
        match version {
            WireVersion::V1 => Self::V1,
            WireVersion::V2 => Self::V2,
        }
    }
}

/// Bytes that are no message: the peer's fault, and the end of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// In version 1.
    #[error(transparent)]
    V1(#[from] v1::DecodeError),
    /// In version 2.
    #[error(transparent)]
    V2(#[from] v2::DecodeError),
}

/// A message that no peer would take: our own fault, or that of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The body is too long.
    #[error("{name} message of {length} bytes exceeds the limit of {limit}", name = kind.name())]
    TooLong {
        /// The message.
        kind: MessageKind,
        /// Length of its body in bytes.
        length: usize,
        /// The longest that is allowed.
        limit: usize,
    },
    /// A datagram's user has an address that the binary form cannot express. Only a peer's message can bring such a
    /// one.
    #[error("the address of a datagram's user is no address")]
    Address,
}

impl Framing {
    /// Appends the frame of a message to `out`.
    ///
    /// # Errors
    /// If the message is too long. `out` is then as it was.
    pub fn encode_into(self, message: &Message, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match (self, message) {
            (Self::V1, _) => v1::encode_into(message, out),
            (Self::V2BinaryUdp, Message::UdpPacket(packet)) => udp::encode_binary(packet, out),
            (Self::V2 | Self::V2BinaryUdp, _) => v2::encode_into(message, out),
        }
    }

    /// Content in bytes that no message holds on any account if it is longer; somewhat shorter ones fit or not by the
    /// length of their user's address.
    #[must_use]
    pub const fn longest_datagram(self) -> usize {
        match self {
            // Base64 makes four bytes of three.
            Self::V1 => limits::MAX_MESSAGE / 4 * 3,
            Self::V2 => limits::MAX_V2_PAYLOAD / 4 * 3,
            Self::V2BinaryUdp => limits::MAX_DATAGRAM,
        }
    }

    /// Reads the first message of `bytes` and says how many bytes it took; none if `bytes` ends inside it.
    ///
    /// # Errors
    /// If the bytes cannot be, or begin, a message.
    pub fn decode(self, bytes: &[u8]) -> Result<Option<(Message, usize)>, DecodeError> {
        let Some((body, taken)) = self.split(bytes)? else { return Ok(None) };
        Ok(Some((self.message(body)?, taken)))
    }

    /// Finds the first message of `bytes` without reading its body, and says how many bytes it takes; none if `bytes`
    /// ends inside it.
    ///
    /// # Errors
    /// If the bytes cannot begin a message.
    pub fn split(self, bytes: &[u8]) -> Result<Option<(Body<'_>, usize)>, DecodeError> {
        self.split_within(bytes, limits::MAX_MESSAGE)
    }

    /// As [`split`](Self::split), in the payload of a udp or sudp connection, where messages of version 1 may be longer
    /// than elsewhere: [`limits::MAX_V1_PAYLOAD_MESSAGE`].
    ///
    /// # Errors
    /// If the bytes cannot begin a message.
    pub fn split_payload(self, bytes: &[u8]) -> Result<Option<(Body<'_>, usize)>, DecodeError> {
        self.split_within(bytes, limits::MAX_V1_PAYLOAD_MESSAGE)
    }

    fn split_within(self, bytes: &[u8], v1_limit: usize) -> Result<Option<(Body<'_>, usize)>, DecodeError> {
        if self == Self::V1 {
            let Some((header, rest)) = bytes.split_first_chunk() else {
                return match bytes.first() {
                    Some(&byte) if MessageKind::from_v1_byte(byte).is_none() => {
                        Err(v1::DecodeError::UnknownType(byte).into())
                    }
                    _ => Ok(None),
                };
            };
            let (kind, length) = v1::parse_header_within(header, v1_limit)?;
            return Ok(rest.get(..length).map(|body| (Body::Json(kind, body), v1::HEADER_LEN + length)));
        }
        let Some((frame, taken)) = v2::decode_frame(bytes)? else { return Ok(None) };
        let (id, body) = frame.id_and_body()?;
        let kind = MessageKind::from_v2_id(id);
        Ok(Some(match (self, kind) {
            (Self::V2BinaryUdp, None) if id == v2::BINARY_UDP_PACKET => (Body::BinaryDatagram(body), taken),
            (Self::V2BinaryUdp, Some(MessageKind::UdpPacket)) => {
                return Err(v2::DecodeError::JsonDatagram.into());
            }
            (_, Some(kind)) => (Body::Json(kind, body), taken),
            (_, None) => return Err(v2::DecodeError::UnknownId(id).into()),
        }))
    }

    /// Reads a body that [`split`](Self::split) has found.
    ///
    /// # Errors
    /// If it is not one.
    pub fn message(self, body: Body<'_>) -> Result<Message, DecodeError> {
        match body {
            Body::Json(kind, body) => {
                Message::from_json(kind, body).map_err(|source| self.body_error(kind, source))
            }
            Body::BinaryDatagram(body) => match udp::decode_binary(body) {
                Ok(packet) => Ok(packet.into()),
                Err(error) => Err(v2::DecodeError::from(error).into()),
            },
        }
    }

    /// The error of a body that is not JSON that fits its message.
    #[must_use]
    pub fn body_error(self, kind: MessageKind, source: JsonError) -> DecodeError {
        match self {
            Self::V1 => v1::DecodeError::Body { kind, source }.into(),
            Self::V2 | Self::V2BinaryUdp => v2::DecodeError::Body { kind, source }.into(),
        }
    }

    /// How many bytes are missing to the end of the message that `bytes` begins, as far as its header tells.
    ///
    /// # Errors
    /// If the bytes cannot begin a message.
    pub fn missing(self, bytes: &[u8]) -> Result<usize, DecodeError> {
        self.missing_within(bytes, limits::MAX_MESSAGE)
    }

    /// As [`missing`](Self::missing), with the bound of [`split_payload`](Self::split_payload).
    ///
    /// # Errors
    /// If the bytes cannot begin a message.
    pub fn missing_of_payload(self, bytes: &[u8]) -> Result<usize, DecodeError> {
        self.missing_within(bytes, limits::MAX_V1_PAYLOAD_MESSAGE)
    }

    fn missing_within(self, bytes: &[u8], v1_limit: usize) -> Result<usize, DecodeError> {
        let whole = match self {
            Self::V1 => match bytes.first_chunk() {
                Some(header) => v1::HEADER_LEN + v1::parse_header_within(header, v1_limit)?.1,
                None => v1::HEADER_LEN,
            },
            Self::V2 | Self::V2BinaryUdp => match bytes.first_chunk() {
                Some(header) => v2::HEADER_LEN + v2::parse_header(header)?.1,
                None => v2::HEADER_LEN,
            },
        };
        Ok(whole.saturating_sub(bytes.len()))
    }
}

/// Collects one message from pieces, never taking a byte beyond it.
#[derive(Debug, Default)]
pub struct MessageCollector {
    framing: Framing,
    /// Header and body as far as they have come.
    frame: Vec<u8>,
}

impl MessageCollector {
    /// At the start of a message.
    #[must_use]
    pub const fn new(framing: Framing) -> Self {
        Self { framing, frame: Vec::new() }
    }

    /// Whether no byte of the next message has come.
    #[must_use]
    pub const fn is_at_start(&self) -> bool {
        self.frame.is_empty()
    }

    /// How many bytes may be read from the stream now without reading beyond the message: at least 1.
    ///
    /// # Errors
    /// If the header that has come is not one.
    pub fn wanted(&self) -> Result<usize, DecodeError> {
        self.framing.missing(&self.frame)
    }

    /// Takes bytes of the message from the front of `input`. Returns how many it took, and the message once its last
    /// byte has come; the next message may follow then.
    ///
    /// # Errors
    /// If the bytes cannot be a message. The stream is then of no more use.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Message>), DecodeError> {
        let mut taken = 0;
        loop {
            let wanted = self.wanted()?;
            let rest = input.get(taken..).unwrap_or_default();
            let piece = rest.get(..wanted).unwrap_or(rest);
            self.frame.extend_from_slice(piece);
            taken += piece.len();
            if let Some((message, _)) = self.framing.decode(&self.frame)? {
                self.frame.clear();
                return Ok((taken, Some(message)));
            }
            if piece.len() < wanted {
                return Ok((taken, None));
            }
        }
    }
}
