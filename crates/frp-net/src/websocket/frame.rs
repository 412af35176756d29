//! Frame headers and masks (RFC 6455 section 5.2), without I/O.

/// The longest header.
pub const MAX_HEADER: usize = 14;
/// The longest payload of a control frame.
pub const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
/// In place of the length: it follows in two bytes.
const LENGTH_16: u8 = 126;
/// In place of the length: it follows in eight bytes.
const LENGTH_64: u8 = 127;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of a message.
    Continuation = 0,
    /// Text, as frp before v0.70.0 sends whatever it sends.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end of what its sender sends.
    Close = 8,
    /// Asks for a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether frames of this kind are about the connection and not part of the stream.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What the peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Reserved bits are set, and no extension was agreed on.
    #[error("websocket: reserved bits are set")]
    Reserved,
    /// No such opcode.
    #[error("websocket: bad opcode {0}")]
    Opcode(u8),
    /// A control frame is in fragments or too long.
    #[error("websocket: bad control frame")]
    Control,
    /// A length of 2^63 or more.
    #[error("websocket: bad length")]
    Length,
    /// A client does not mask, or a server does.
    #[error("websocket: bad mask")]
    Mask,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The last of its message.
    pub fin: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// What the payload is combined with.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload that follow. Never to be allocated.
    pub length: u64,
}

impl Header {
    /// Reads a header at the front of `bytes`, and says how long it is; none while it is incomplete. What is wrong
    /// is found as early as possible.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(FrameError::Reserved);
        }
        let bits = first & 0x0f;
        let opcode = Opcode::from_bits(bits).ok_or(FrameError::Opcode(bits))?;
        let fin = first & FIN != 0;
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        let short = second & !MASKED;
        if opcode.is_control() && (!fin || usize::from(short) > MAX_CONTROL) {
            return Err(FrameError::Control);
        }
        let (length, rest) = match short {
            LENGTH_16 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*bytes)), rest)
            }
            LENGTH_64 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                (u64::from_be_bytes(*bytes), rest)
            }
            short => (u64::from(short), rest),
        };
        if length > i64::MAX as u64 {
            return Err(FrameError::Length);
        }
        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else {
            let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (Some(*mask), rest)
        };
        Ok(Some((Self { fin, opcode, mask, length }, bytes.len() - rest.len())))
    }

    /// Writes the header, and says how long it is.
    #[must_use]
    pub fn encode(&self) -> ([u8; MAX_HEADER], usize) {
        let mut bytes = [0; MAX_HEADER];
        let mut end = 0;
        let mut put = |part: &[u8]| {
            if let Some(room) = bytes.get_mut(end..end + part.len()) {
                room.copy_from_slice(part);
                end += part.len();
            }
        };
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        put(&[self.opcode as u8 | if self.fin { FIN } else { 0 }]);
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length), _) if usize::from(length) <= MAX_CONTROL => put(&[masked | length]),
            (_, Ok(length)) => {
                put(&[masked | LENGTH_16]);
                put(&length.to_be_bytes());
            }
            _ => {
                put(&[masked | LENGTH_64]);
                put(&self.length.to_be_bytes());
            }
        }
        if let Some(mask) = self.mask {
            put(&mask);
        }
        (bytes, end)
    }
}

/// Combines `bytes` with a mask, whose first byte belongs to the first of them: masks and unmasks.
pub fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(length: u64, mask: Option<[u8; 4]>) -> Header {
        Header { fin: true, opcode: Opcode::Binary, mask, length }
    }

    #[test]
    fn lengths_take_the_shortest_form_and_come_back_from_every_prefix() {
        for (length, size) in
            [(0, 2), (125, 2), (126, 4), (255, 4), (65_535, 4), (65_536, 10), (i64::MAX as u64, 10)]
        {
            for mask in [None, Some([1, 2, 3, 4])] {
                let header = header(length, mask);
                let (bytes, end) = header.encode();
                assert_eq!(end, size + mask.map_or(0, |mask| mask.len()));
                for cut in 0..end {
                    assert_eq!(Header::parse(&bytes[..cut]), Ok(None));
                }
                assert_eq!(Header::parse(&bytes), Ok(Some((header, end))));
            }
        }
    }

    #[test]
    fn what_is_no_header() {
        for (bytes, error) in [
            (&[0xc2][..], FrameError::Reserved),
            (&[0x83], FrameError::Opcode(3)),
            (&[0x8b], FrameError::Opcode(11)),
            (&[0x09, 0], FrameError::Control),
            (&[0x89, 126], FrameError::Control),
            (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::Length),
        ] {
            assert_eq!(Header::parse(bytes), Err(error), "{bytes:x?}");
        }
    }

    #[test]
    fn a_mask_is_its_own_inverse_at_every_length() {
        let bytes: Vec<u8> = (0..70).collect();
        for length in 0..bytes.len() {
            let mut masked = bytes[..length].to_vec();
            apply_mask(&mut masked, [1, 20, 3, 200]);
            for (at, byte) in masked.iter().enumerate() {
                assert_eq!(*byte, bytes[at] ^ [1, 20, 3, 200][at % 4]);
            }
            apply_mask(&mut masked, [1, 20, 3, 200]);
            assert_eq!(masked, bytes[..length]);
        }
    }
}
