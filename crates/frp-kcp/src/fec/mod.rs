//! Parity over datagrams: any ten of a group of thirteen give the ten of data (kcp-go `fec.go`, 10 and 3 shards).
//!
//! ```text
//! data    sequence u32 · 0x00f1 u16 · size u16 · segments           size counts itself and the segments
//! parity  sequence u32 · 0x00f2 u16 · parity over everything from the sizes on, to the longest of the ten
//! ```

mod decoder;
mod encoder;
pub mod field;

pub use decoder::Decoder;
pub use encoder::Encoder;

/// Datagrams of data in a group.
pub const DATA: usize = 10;
/// Datagrams of parity after them.
pub const PARITY: usize = 3;
/// Sequence numbers of a group.
pub(crate) const GROUP: u32 = 13;
/// How many of them are data, and how many parity, as numbers of the wire.
pub(crate) const DATA_NUMBERS: u32 = 10;
const PARITY_NUMBERS: u32 = GROUP - DATA_NUMBERS;
const _: () = assert!(DATA == DATA_NUMBERS as usize && PARITY == PARITY_NUMBERS as usize);
/// Bytes before the segments of a datagram.
pub const HEADER_LEN: usize = 8;
/// Bytes before what the parity is computed over.
pub(crate) const SEQUENCE_AND_TYPE: usize = 6;
/// Longer datagrams are of no peer, and are ignored: kcp-go reads at most this (`mtuLimit`).
pub(crate) const LONGEST: usize = 1500;

const TYPE_DATA: u16 = 0x00f1;
const TYPE_PARITY: u16 = 0x00f2;

/// A datagram, as far as this layer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// One of data. `body` begins with the size.
    Data {
        /// Its number.
        sequence: u32,
        /// From the size on.
        body: &'a [u8],
    },
    /// One of parity.
    Parity {
        /// Its number.
        sequence: u32,
        /// The parity.
        body: &'a [u8],
    },
    /// Segments without this layer: kcp-go takes them, so do we.
    Plain(&'a [u8]),
}

impl<'a> Datagram<'a> {
    /// What a datagram is. Nothing if it is too short for a segment, as in kcp-go, or longer than any peer sends.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        if !(crate::segment::OVERHEAD..=LONGEST).contains(&datagram.len()) {
            return None;
        }
        let (&[s0, s1, s2, s3, t0, t1], body) = datagram.split_first_chunk::<SEQUENCE_AND_TYPE>()?;
        let sequence = u32::from_le_bytes([s0, s1, s2, s3]);
        // A segment has its command here, which is neither.
        Some(match u16::from_le_bytes([t0, t1]) {
            TYPE_DATA => Self::Data { sequence, body },
            TYPE_PARITY => Self::Parity { sequence, body },
            _ => Self::Plain(datagram),
        })
    }

    /// The segments that it carries openly.
    #[must_use]
    pub fn segments(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Data { body, .. } => body.get(size_of::<u16>()..),
            Self::Plain(segments) => Some(segments),
            Self::Parity { .. } => None,
        }
    }
}
