//! Wire version 1: how a message becomes a frame.
//!
//! ```text
//!  0        1                                                      9
//! +--------+------------------------------------------------------+----------------+
//! | type   | length of the body, signed 64 bits, big-endian       | body: JSON     |
//! +--------+------------------------------------------------------+----------------+
//! ```
//!
//! The type byte is checked as soon as it is there, the length as soon as it is complete, and only then is a
//! body awaited, of at most [`MAX_MESSAGE`] bytes. Upstream golib `msg/json`; told in `docs/protocol.md`.

use thiserror::Error;

use crate::json::JsonError;
use crate::limits::MAX_MESSAGE;
use crate::msg::{Message, MessageKind};
pub use crate::wire::EncodeError;

/// Bytes in front of a body: type and length.
pub const HEADER_LEN: usize = 9;

/// Bytes that are no frame: the peer's fault, and the end of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No message has this type byte.
    #[error("message type error")]
    UnknownType(u8),
    /// The body would be longer than [`MAX_MESSAGE`], or what else is the bound there.
    #[error("message length exceed the limit")]
    TooLong(i64),
    /// The length is negative.
    #[error("message length error")]
    NegativeLength(i64),
    /// The body is not what the message's fields allow.
    #[error("{name}: {source}", name = kind.name())]
    Body {
        /// The message it was to be.
        kind: MessageKind,
        /// What is wrong with it.
        source: JsonError,
    },
}

/// Reads a header: which message, and how many bytes of body follow.
///
/// # Errors
/// If the type is unknown or the length is out of bounds.
pub fn parse_header(header: &[u8; HEADER_LEN]) -> Result<(MessageKind, usize), DecodeError> {
    parse_header_within(header, MAX_MESSAGE)
}

/// As [`parse_header`], with a bound of the caller's.
pub(crate) fn parse_header_within(
    header: &[u8; HEADER_LEN],
    limit: usize,
) -> Result<(MessageKind, usize), DecodeError> {
    let [kind, length @ ..] = *header;
    let kind = MessageKind::from_v1_byte(kind).ok_or(DecodeError::UnknownType(kind))?;
    let length = i64::from_be_bytes(length);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= limit => Ok((kind, bytes)),
        _ if length < 0 => Err(DecodeError::NegativeLength(length)),
        _ => Err(DecodeError::TooLong(length)),
    }
}

/// Reads the body that a header announced.
///
/// # Errors
/// If the body is not JSON that fits the message.
pub fn decode_body(kind: MessageKind, body: &[u8]) -> Result<Message, DecodeError> {
    Message::from_json(kind, body).map_err(|source| DecodeError::Body { kind, source })
}

/// Reads the first message of `bytes` and says how many bytes it took; none if `bytes` ends inside it.
///
/// # Errors
/// If the bytes cannot be, or begin, a message.
///
/// ```
/// use frp_proto::msg::{Message, Ping};
/// use frp_proto::v1;
///
/// let frame = v1::encode(&Ping::default().into())?;
/// assert_eq!(v1::decode(&frame), Ok(Some((Message::Ping(Ping::default()), frame.len()))));
/// assert_eq!(v1::decode(&frame[..5]), Ok(None));
/// # Ok::<(), v1::EncodeError>(())
/// ```
pub fn decode(bytes: &[u8]) -> Result<Option<(Message, usize)>, DecodeError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return match bytes.first() {
            Some(&byte) if MessageKind::from_v1_byte(byte).is_none() => Err(DecodeError::UnknownType(byte)),
            _ => Ok(None),
        };
    };
    let (kind, length) = parse_header(header)?;
    match rest.get(..length) {
        Some(body) => Ok(Some((decode_body(kind, body)?, HEADER_LEN + length))),
        None => Ok(None),
    }
}

/// The frame of a message.
///
/// # Errors
/// If the body is longer than [`MAX_MESSAGE`], which every reader refuses.
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
    encode_with(message.kind(), out, |out| message.write_json(out))
}

/// Appends a frame whose body `write_body` appends.
pub(crate) fn encode_with(
    kind: MessageKind,
    out: &mut Vec<u8>,
    write_body: impl FnOnce(&mut Vec<u8>),
) -> Result<(), EncodeError> {
    let start = out.len();
    out.push(kind.v1_byte());
    out.extend_from_slice(&[0; HEADER_LEN - 1]);
    write_body(out);
    let length = out.len() - start - HEADER_LEN;
    if length > MAX_MESSAGE {
        out.truncate(start);
        return Err(EncodeError::TooLong { kind, length, limit: MAX_MESSAGE });
    }
    if let Some(field) = out.get_mut(start + 1..start + HEADER_LEN) {
        field.copy_from_slice(&(length as u64).to_be_bytes());
    }
    Ok(())
}
