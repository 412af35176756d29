//! Wire version 2: how a hello or a message becomes a frame.
//!
//! ```text
//!  0            2            4                         8
//! +------------+------------+-------------------------+-------------------+
//! | frame type | flags: 0   | length of the payload   | payload           |
//! +------------+------------+-------------------------+-------------------+
//!                            payload of a message:     id, 16 bits | JSON
//! ```
//!
//! All numbers are big-endian. Every stream of the client's begins with [`V2_MAGIC`](crate::sniff::V2_MAGIC); the
//! frames follow. Flags and length are checked as soon as the header is there, and only then is a payload awaited, of
//! at most [`MAX_V2_PAYLOAD`] bytes. Upstream `pkg/proto/wire/wire.go` and `pkg/msg/wire_v2.go`; told in
//! `docs/protocol.md`.

use thiserror::Error;

use crate::json::JsonError;
use crate::limits::MAX_V2_PAYLOAD;
use crate::msg::{Message, MessageKind};
use crate::wire::EncodeError;

/// Bytes in front of a payload: frame type, flags, length.
pub const HEADER_LEN: usize = 8;
/// Bytes in front of a message's body: its id.
pub const ID_LEN: usize = 2;
/// Frame type of the client's hello.
pub const CLIENT_HELLO: u16 = 1;
/// Frame type of the server's hello.
pub const SERVER_HELLO: u16 = 2;
/// Frame type of a message.
pub const MESSAGE: u16 = 16;
/// Id of a datagram in binary, which only is one where both sides have agreed on it. Upstream v0.71.0.
pub const BINARY_UDP_PACKET: u16 = 19;

/// Bytes that are no frame, or not the one that is due: the peer's fault, and the end of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A flag is set, and none means anything.
    #[error("unsupported frame flags: {0}")]
    Flags(u16),
    /// The payload would be longer than [`MAX_V2_PAYLOAD`].
    #[error("frame payload length {0} exceeds limit {MAX_V2_PAYLOAD}")]
    TooLong(u32),
    /// Another kind of frame is due.
    #[error("unexpected frame type {found}, want {wanted}")]
    FrameType {
        /// What came.
        found: u16,
        /// What is due.
        wanted: u16,
    },
    /// The payload does not even hold a message's id.
    #[error("message frame payload too short")]
    Short,
    /// No message has this id.
    #[error("unknown v2 message type {0}")]
    UnknownId(u16),
    /// The body is not what the message's fields allow.
    #[error("{name}: {source}", name = kind.name())]
    Body {
        /// The message it was to be.
        kind: MessageKind,
        /// What is wrong with it.
        source: JsonError,
    },
    /// The hello is not what its fields allow.
    #[error("hello: {0}")]
    Hello(JsonError),
    /// A datagram came as JSON after the binary form had been agreed on.
    #[error("received JSON UDP packet after binary codec negotiation")]
    JsonDatagram,
    /// A datagram in binary is not one.
    #[error(transparent)]
    Datagram(#[from] crate::udp::BinaryError),
}

/// A frame, its payload still in the buffer that it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// [`MESSAGE`], or one of the hellos, or a number without meaning.
    pub frame_type: u16,
    /// At most [`MAX_V2_PAYLOAD`] bytes.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The payload of a frame of this type.
    ///
    /// # Errors
    /// If the frame has another one.
    pub const fn of_type(self, wanted: u16) -> Result<&'a [u8], DecodeError> {
        if self.frame_type == wanted {
            Ok(self.payload)
        } else {
            Err(DecodeError::FrameType { found: self.frame_type, wanted })
        }
    }

    /// Id and body of a message.
    ///
    /// # Errors
    /// If the frame is none.
    pub fn id_and_body(self) -> Result<(u16, &'a [u8]), DecodeError> {
        let (id, body) = self.of_type(MESSAGE)?.split_first_chunk::<ID_LEN>().ok_or(DecodeError::Short)?;
        Ok((u16::from_be_bytes(*id), body))
    }

    /// The message, all of JSON.
    ///
    /// # Errors
    /// If the frame holds no message.
    pub fn message(self) -> Result<Message, DecodeError> {
        let (id, body) = self.id_and_body()?;
        let kind = MessageKind::from_v2_id(id).ok_or(DecodeError::UnknownId(id))?;
        Message::from_json(kind, body).map_err(|source| DecodeError::Body { kind, source })
    }
}

/// Reads a header: frame type, and how many bytes of payload follow.
///
/// # Errors
/// If a flag is set or the length is out of bounds.
pub fn parse_header(header: &[u8; HEADER_LEN]) -> Result<(u16, usize), DecodeError> {
    let [t0, t1, f0, f1, length @ ..] = *header;
    let flags = u16::from_be_bytes([f0, f1]);
    if flags != 0 {
        return Err(DecodeError::Flags(flags));
    }
    let length = u32::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= MAX_V2_PAYLOAD => Ok((u16::from_be_bytes([t0, t1]), bytes)),
        _ => Err(DecodeError::TooLong(length)),
    }
}

/// Reads the first frame of `bytes` and says how many bytes it took; none if `bytes` ends inside it.
///
/// # Errors
/// If the bytes cannot begin a frame.
pub fn decode_frame(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, DecodeError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Ok(None) };
    let (frame_type, length) = parse_header(header)?;
    Ok(rest.get(..length).map(|payload| (Frame { frame_type, payload }, HEADER_LEN + length)))
}

/// Reads the first message of `bytes` and says how many bytes it took; none if `bytes` ends inside it.
///
/// # Errors
/// If the bytes cannot be, or begin, a message.
///
/// ```
/// use frp_proto::msg::{Message, Ping};
/// use frp_proto::v2;
///
/// let frame = v2::encode(&Ping::default().into())?;
/// assert_eq!(frame, b"\0\x10\0\0\0\0\0\x04\0\x0b{}");
/// assert_eq!(v2::decode(&frame), Ok(Some((Message::Ping(Ping::default()), frame.len()))));
/// assert_eq!(v2::decode(&frame[..9]), Ok(None));
/// # Ok::<(), frp_proto::wire::EncodeError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Option<(Message, usize)>, DecodeError> {
    match decode_frame(bytes)? {
        Some((frame, taken)) => Ok(Some((frame.message()?, taken))),
        None => Ok(None),
    }
}

/// The frame of a message.
///
/// # Errors
/// If it is longer than any reader takes.
pub fn encode(message: &Message) -> Result<Vec<u8>, EncodeError> {
    let mut frame = Vec::new();
    encode_into(message, &mut frame)?;
    Ok(frame)
}

/// Appends the frame of a message to `out`.
///
/// # Errors
/// As [`encode`]; `out` is then as it was.
pub fn encode_into(message: &Message, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let kind = message.kind();
    encode_with(kind, kind.v2_id(), out, |out| message.write_json(out))
}

/// Appends a message's frame whose body `write_body` appends.
pub(crate) fn encode_with(
    kind: MessageKind,
    id: u16,
    out: &mut Vec<u8>,
    write_body: impl FnOnce(&mut Vec<u8>),
) -> Result<(), EncodeError> {
    let start = out.len();
    let outcome = frame_with(MESSAGE, out, |out| {
        out.extend_from_slice(&id.to_be_bytes());
        write_body(out);
    });
    outcome.map_err(|length| {
        out.truncate(start);
        EncodeError::TooLong { kind, length: length - ID_LEN, limit: MAX_V2_PAYLOAD - ID_LEN }
    })
}

/// Appends a frame whose payload `write` appends; the error is the payload's length if that is too much.
pub(crate) fn frame_with(
    frame_type: u16,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), usize> {
    let start = out.len();
    out.extend_from_slice(&frame_type.to_be_bytes());
    out.extend_from_slice(&[0; HEADER_LEN - 2]);
    write(out);
    let length = out.len() - start - HEADER_LEN;
    match u32::try_from(length) {
        Ok(field) if length <= MAX_V2_PAYLOAD => {
            if let Some(place) = out.get_mut(start + 4..start + HEADER_LEN) {
                place.copy_from_slice(&field.to_be_bytes());
            }
            Ok(())
        }
        _ => Err(length),
    }
}

/// Collects one frame from pieces, never taking a byte beyond it.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// Header and payload as far as they have come.
    frame: Vec<u8>,
    /// The frame was given out: the next piece begins another one.
    given: bool,
}

impl FrameReader {
    /// A reader at the start of a frame.
    #[must_use]
    pub const fn new() -> Self {
        Self { frame: Vec::new(), given: false }
    }

    /// How many bytes may be read now without reading beyond the frame. 0 only if the frame is complete.
    ///
    /// # Errors
    /// If the header that has come is not one.
    pub fn wanted(&self) -> Result<usize, DecodeError> {
        let held = if self.given { &[][..] } else { &self.frame };
        Ok(match held.first_chunk::<HEADER_LEN>() {
            None => HEADER_LEN - held.len(),
            Some(header) => HEADER_LEN + parse_header(header)?.1 - held.len(),
        })
    }

    /// Takes bytes of the frame from the front of `input`. Returns how many it took, and the frame once its last byte
    /// has come; the next call begins the next frame.
    ///
    /// # Errors
    /// If the bytes cannot be a frame. The stream is then of no more use.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Frame<'_>>), DecodeError> {
        if std::mem::take(&mut self.given) {
            self.frame.clear();
        }
        let mut taken = 0;
        loop {
            let wanted = self.wanted()?;
            if wanted == 0 {
                self.given = true;
                return Ok((taken, decode_frame(&self.frame)?.map(|(frame, _)| frame)));
            }
            let rest = input.get(taken..).unwrap_or_default();
            let piece = rest.get(..wanted).unwrap_or(rest);
            self.frame.extend_from_slice(piece);
            taken += piece.len();
            if piece.len() < wanted {
                return Ok((taken, None));
            }
        }
    }
}
