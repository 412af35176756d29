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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Random, hex};

    const HELLO: &str = "ff060000734e6150705901090000bb1f1c1968656c6c6f";

    /// Everything that a stream decodes to, or the error at its end.
    fn decode(mut input: &[u8]) -> Result<Vec<u8>, SnappyError> {
        let mut decoder = Decoder::default();
        let mut room = vec![0; MAX_PLAIN];
        let mut plain = Vec::new();
        loop {
            match decoder.next(input, &mut room)? {
                Step::Need(len) => {
                    assert!(len > input.len() && len <= HEADER + MAX_BODY);
                    return if input.is_empty() { Ok(plain) } else { Err(SnappyError::Corrupt) };
                }
                Step::Skipped { consumed } => input = &input[consumed..],
                Step::Data { consumed, plain: len } => {
                    plain.extend_from_slice(&room[..len]);
                    input = &input[consumed..];
                }
                Step::Room(len) => panic!("{len} bytes do not fit"),
            }
        }
    }

    fn encode(mut plain: &[u8]) -> Vec<u8> {
        let mut stream = STREAM_IDENTIFIER.to_vec();
        while !plain.is_empty() {
            let mut chunk = vec![0; MAX_ENCODED];
            let (taken, len) = encode_chunk(plain, &mut chunk);
            stream.extend_from_slice(&chunk[..len]);
            plain = &plain[taken..];
        }
        stream
    }

    fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
        let [a, b, c, _] = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&[kind, a, b, c], body].concat()
    }

    fn stream(chunks: &[Vec<u8>]) -> Vec<u8> {
        [STREAM_IDENTIFIER.to_vec(), chunks.concat()].concat()
    }

    #[test]
    fn golden_stream() {
        assert_eq!(encode(b"hello"), hex(HELLO));
        assert_eq!(decode(&hex(HELLO)), Ok(b"hello".to_vec()));
    }

    #[test]
    fn a_chunk_is_compressed_only_if_that_saves_an_eighth() {
        let mut out = vec![0; MAX_ENCODED];
        let random: Vec<u8> = (0..MAX_PLAIN)
            .map({
                let mut random = Random::new(1);
                move |_| random.byte()
            })
            .collect();
        assert_eq!(encode_chunk(&random, &mut out), (MAX_PLAIN, MAX_ENCODED));
        assert_eq!(out[0], UNCOMPRESSED);
        let (taken, len) = encode_chunk(&[7; 100_000], &mut out);
        assert_eq!((taken, out[0]), (MAX_PLAIN, COMPRESSED));
        assert!(len < 4000);
        // Little to gain: some equal bytes at the end of random ones.
        for zeros in (0..2000).step_by(50) {
            let plain = [&random[..4000], &vec![0; zeros][..]].concat();
            let (taken, len) = encode_chunk(&plain, &mut out);
            let block = len - HEADER - CHECKSUM;
            assert_eq!(taken, plain.len());
            assert_eq!(out[0] == COMPRESSED, block < plain.len() - plain.len() / 8);
        }
    }

    #[test]
    fn chunks_that_carry_nothing_are_passed_over() {
        let hello = hex(HELLO)[STREAM_IDENTIFIER.len()..].to_vec();
        let skipped = [
            chunk(0xfe, &[0; 70_000]),
            chunk(0x80, b"reserved"),
            chunk(0xfd, b""),
            STREAM_IDENTIFIER.to_vec(),
            // The checksum of no bytes, uncompressed and as a block of length 0.
            chunk(UNCOMPRESSED, &masked_crc(b"").to_le_bytes()),
            chunk(COMPRESSED, &[&masked_crc(b"").to_le_bytes()[..], &[0]].concat()),
        ];
        for skipped in skipped {
            assert_eq!(decode(&stream(&[hello.clone(), skipped, hello.clone()])), Ok(b"hellohello".to_vec()));
        }
    }

    #[test]
    fn malformed_streams_are_refused_with_the_originals_texts() {
        let corrupt = "snappy: corrupt input";
        let unsupported = "snappy: unsupported input";
        let mut flipped = hex(HELLO);
        flipped[19] ^= 1;
        let checksum = masked_crc(b"").to_le_bytes();
        let too_much = snap::raw::Encoder::new().compress_vec(&[0; MAX_PLAIN + 1]).unwrap();
        let cases = [
            ("data before the identifier", hex(HELLO)[10..].to_vec(), corrupt),
            ("padding before the identifier", chunk(0xfe, b""), corrupt),
            ("another identifier", b"\xff\x06\x00\x00sNaPpy".to_vec(), corrupt),
            ("identifier of other length", chunk(0xff, b"sNaPpYY"), corrupt),
            ("wrong checksum", flipped, corrupt),
            ("no room for a checksum", stream(&[chunk(COMPRESSED, &[0; 3])]), corrupt),
            ("the same, uncompressed", stream(&[chunk(UNCOMPRESSED, &[0; 3])]), corrupt),
            ("checksum without block", stream(&[chunk(COMPRESSED, &checksum)]), corrupt),
            (
                "block of no bytes with bytes",
                stream(&[chunk(COMPRESSED, &[&checksum[..], &[0, 1]].concat())]),
                corrupt,
            ),
            ("too many bytes", stream(&[chunk(UNCOMPRESSED, &[0; CHECKSUM + MAX_PLAIN + 1])]), corrupt),
            (
                "the same, compressed",
                stream(&[chunk(COMPRESSED, &[&checksum[..], &too_much].concat())]),
                corrupt,
            ),
            ("length of 4 GiB", stream(&[chunk(COMPRESSED, &[0, 0, 0, 0, 255, 255, 255, 255, 15])]), corrupt),
            ("reserved type", stream(&[chunk(0x02, b"")]), unsupported),
            ("last reserved type", stream(&[chunk(0x7f, b"")]), unsupported),
            ("too long", stream(&[chunk(COMPRESSED, &[0; MAX_BODY + 1])]), unsupported),
            ("too long to skip", stream(&[chunk(0x80, &[0; MAX_BODY + 1])]), unsupported),
        ];
        for (what, bytes, text) in cases {
            assert_eq!(decode(&bytes).unwrap_err().to_string(), text, "{what}");
        }
    }

    #[test]
    fn a_length_is_judged_before_the_body_comes() {
        let head = [&STREAM_IDENTIFIER[..], &[COMPRESSED, 255, 255, 255]].concat();
        assert_eq!(decode(&head), Err(SnappyError::Unsupported));
    }

    #[test]
    fn every_flipped_bit_is_noticed_or_harmless() {
        let mut plain = Random::new(9).bytes(300);
        plain.extend([3; 300]);
        let good = encode(&plain);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // A data chunk may become one to skip; its bytes never change.
            assert!(decode(&bad).map_or(true, |out| out.is_empty() || out == plain));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes: Vec<u8>, identified: bool) {
            let _ = decode(&bytes);
            if identified {
                let _ = decode(&stream(&[bytes]));
            }
        }

        #[test]
        fn any_chunks_decode_or_fail(chunks: Vec<(u8, Vec<u8>)>) {
            let chunks: Vec<_> = chunks.iter().map(|(kind, body)| chunk(*kind, body)).collect();
            let _ = decode(&stream(&chunks));
        }

        #[test]
        fn any_bytes_come_back(seed: u64, len in 0..200_000_usize) {
            let plain = Random::new(seed).bytes(len);
            prop_assert!(decode(&encode(&plain)).unwrap() == plain);
        }
    }
}
