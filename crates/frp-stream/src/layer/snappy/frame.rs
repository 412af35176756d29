//! The snappy framing format as pure functions, as golang/snappy writes and reads it.
//!
//! ```text
//! stream:  ff 06 00 00 "sNaPpY"   once, before the first chunk; repeats are allowed
//!          chunk*
//! chunk:   type (1)  length (3, little endian)  body
//!   00     compressed:    masked CRC-32C of the plain bytes (4, LE), snappy block
//!   01     uncompressed:  masked CRC-32C (4, LE), bytes
//!   02-7f  reserved: an error
//!   80-fe  skipped
//! ```
//!
//! A chunk carries at most 65,536 plain bytes.

use std::cell::RefCell;

use snap::raw::{Decoder as BlockDecoder, Encoder as BlockEncoder, decompress_len, max_compress_len};

/// Most plain bytes in a chunk.
pub const MAX_PLAIN: usize = 65_536;

/// Longest chunk body that a reader takes: golang/snappy's bound, the worst case of compressing
/// [`MAX_PLAIN`] bytes, and the checksum.
pub const MAX_BODY: usize = 76_490 + CHECKSUM;

/// Length of a chunk's type and length.
pub const HEADER: usize = 4;

/// The chunk that opens a stream.
pub const STREAM_IDENTIFIER: [u8; 10] = *b"\xff\x06\x00\x00sNaPpY";

const CHECKSUM: usize = 4;
const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
const FIRST_SKIPPABLE: u8 = 0x80;
const IDENTIFIER: u8 = 0xff;

/// The longest that [`encode_chunk`] appends for [`MAX_PLAIN`] bytes.
pub const MAX_ENCODED: usize = HEADER + CHECKSUM + MAX_PLAIN;

/// What is wrong with a snappy stream; the peer's fault. The texts are golang/snappy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnappyError {
    /// Malformed bytes, a wrong checksum, a missing stream identifier, or an end inside a chunk.
    #[error("snappy: corrupt input")]
    Corrupt,
    /// A chunk of a reserved type, or longer than any writer makes.
    #[error("snappy: unsupported input")]
    Unsupported,
}

/// What [`Decoder::next`] found at the start of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Not a whole chunk yet: so many bytes are needed in all before the next call can do more.
    Need(usize),
    /// A whole chunk, but the output is too short for its so many plain bytes. Nothing was consumed.
    Room(usize),
    /// The first `consumed` bytes are done with and gave no data.
    Skipped {
        /// Bytes of the input to drop.
        consumed: usize,
    },
    /// The first `consumed` bytes were a chunk of `plain` bytes, now in the output.
    Data {
        /// Bytes of the input to drop.
        consumed: usize,
        /// Bytes written to the start of the output.
        plain: usize,
    },
}

/// Reads a snappy stream. Holds no bytes itself.
#[derive(Debug, Default)]
pub struct Decoder {
    identified: bool,
}

impl Decoder {
    /// Looks at the start of `input`, and decodes a chunk into `output` if a whole one is there and
    /// has room. [`MAX_PLAIN`] bytes of room are always enough.
    ///
    /// # Errors
    /// [`SnappyError`]; the stream can't go on after it.
    pub fn next(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, SnappyError> {
        let Some(header) = input.first_chunk::<HEADER>() else { return Ok(Step::Need(HEADER)) };
        let (kind, len) = self.parse(*header)?;
        let consumed = HEADER + len;
        let Some(body) = input.get(HEADER..consumed) else { return Ok(Step::Need(consumed)) };
        if kind == IDENTIFIER && body != &STREAM_IDENTIFIER[HEADER..] {
            return Err(SnappyError::Corrupt);
        }
        if kind >= FIRST_SKIPPABLE {
            self.identified = true;
            return Ok(Step::Skipped { consumed });
        }
        let (checksum, data) = body.split_first_chunk().ok_or(SnappyError::Corrupt)?;
        let plain = plain_len(kind, data)?;
        let Some(output) = output.get_mut(..plain) else { return Ok(Step::Room(plain)) };
        decode_data(kind, data, output)?;
        if masked_crc(output) != u32::from_le_bytes(*checksum) {
            return Err(SnappyError::Corrupt);
        }
        Ok(Step::Data { consumed, plain })
    }

    /// Judges a chunk by its header, before its body is waited for.
    fn parse(&self, [kind, a, b, c]: [u8; HEADER]) -> Result<(u8, usize), SnappyError> {
        let len = chunk_len(a, b, c);
        match kind {
            _ if !self.identified && kind != IDENTIFIER => Err(SnappyError::Corrupt),
            _ if len > MAX_BODY => Err(SnappyError::Unsupported),
            COMPRESSED if len < CHECKSUM => Err(SnappyError::Corrupt),
            UNCOMPRESSED if !(CHECKSUM..=CHECKSUM + MAX_PLAIN).contains(&len) => Err(SnappyError::Corrupt),
            IDENTIFIER if len != STREAM_IDENTIFIER.len() - HEADER => Err(SnappyError::Corrupt),
            COMPRESSED | UNCOMPRESSED | FIRST_SKIPPABLE.. => Ok((kind, len)),
            _ => Err(SnappyError::Unsupported),
        }
    }
}

fn chunk_len(a: u8, b: u8, c: u8) -> usize {
    usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16
}

/// How many plain bytes a data chunk says it carries; never more than [`MAX_PLAIN`].
fn plain_len(kind: u8, data: &[u8]) -> Result<usize, SnappyError> {
    let len = match kind {
        COMPRESSED => decompress_len(data).map_err(|_| SnappyError::Corrupt)?,
        _ => data.len(),
    };
    if len <= MAX_PLAIN { Ok(len) } else { Err(SnappyError::Corrupt) }
}

fn decode_data(kind: u8, data: &[u8], output: &mut [u8]) -> Result<(), SnappyError> {
    if kind == COMPRESSED {
        BlockDecoder::new().decompress(data, output).map_err(|_| SnappyError::Corrupt)?;
    } else {
        output.copy_from_slice(data);
    }
    Ok(())
}

struct Scratch {
    encoder: BlockEncoder,
    /// Room for the worst case of a block that grows when compressed.
    block: Box<[u8]>,
}

thread_local! {
    /// The encoder's hash table and worst-case output: of use only during a call, so that one per
    /// thread serves all connections.
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Writes one chunk with `plain` (at most [`MAX_PLAIN`] bytes of it) to the start of `output`;
/// returns how many plain bytes it holds and how long it is.
///
/// The bytes are stored uncompressed unless compressing saves at least an eighth, as golang/snappy
/// does. `output` must hold [`MAX_ENCODED`] bytes; with less, the chunk carries less.
pub fn encode_chunk(plain: &[u8], output: &mut [u8]) -> (usize, usize) {
    let Some((head, room)) = output.split_first_chunk_mut::<{ HEADER + CHECKSUM }>() else { return (0, 0) };
    let plain = &plain[..plain.len().min(MAX_PLAIN).min(room.len())];
    let compressed = SCRATCH.with_borrow_mut(|scratch| {
        let scratch = scratch.get_or_insert_with(|| Scratch {
            encoder: BlockEncoder::new(),
            block: vec![0; max_compress_len(MAX_PLAIN)].into_boxed_slice(),
        });
        let len = scratch.encoder.compress(plain, &mut scratch.block).ok()?;
        if len >= plain.len() - plain.len() / 8 {
            return None;
        }
        room.get_mut(..len)?.copy_from_slice(scratch.block.get(..len)?);
        Some(len)
    });
    let (kind, len) = match compressed {
        Some(len) => (COMPRESSED, len),
        None => {
            room[..plain.len()].copy_from_slice(plain);
            (UNCOMPRESSED, plain.len())
        }
    };
    let [a, b, c, ..] = u32::try_from(CHECKSUM + len).unwrap_or(u32::MAX).to_le_bytes();
    let [d, e, f, g] = masked_crc(plain).to_le_bytes();
    *head = [kind, a, b, c, d, e, f, g];
    (plain.len(), HEADER + CHECKSUM + len)
}

/// CRC-32C, rotated and offset, so that a checksum of data with checksums stays strong.
fn masked_crc(plain: &[u8]) -> u32 {
    crc32c::crc32c(plain).rotate_right(15).wrapping_add(0xa282_ead8)
}
