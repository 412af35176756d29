//! The bytes of a body as its framing cuts them. Without I/O: given what was read, says what it is.

use memchr::{memchr, memchr2};

use crate::framing::Framing;

/// Longest line of a chunk's size, extensions included. Go `net/http/internal/chunked.go`, `maxLineLength`.
const MAX_SIZE_LINE: usize = 4096;
/// Bytes that the framing of a body may cost beyond 16 and twice the payload for each chunk. Go's
/// `chunkedReader.excess`.
const MAX_EXCESS: usize = 16 * 1024;
/// Longest trailer section.
pub const MAX_TRAILERS: usize = 64 * 1024;

/// The body is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// What should be the framing of a chunk is none, or costs too much.
    #[error("malformed chunked encoding")]
    Chunk,
    /// The connection ended first.
    #[error("unexpected EOF")]
    Incomplete,
}

/// What comes next in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// That is not known before more bytes have come.
    More,
    /// So many bytes of framing, of no interest.
    Framing(usize),
    /// So many bytes of payload.
    Data(usize),
    /// The end: `trailers` bytes of field lines; with what else ends the body, `all`.
    End {
        /// Length of the trailers' lines, the last line's end included.
        trailers: usize,
        /// Length of everything that still belongs to the body.
        all: usize,
    },
}

/// A body on its way.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    state: State,
    excess: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Done,
    Length(u64),
    UntilClose,
    Size,
    Chunk(u64),
    ChunkEnd,
    Trailers,
}

impl Body {
    /// A body of which nothing has come.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, excess: 0 }
    }

    /// Nothing more belongs to it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How many bytes are still to come at least, and whether that is certain.
    #[must_use]
    pub fn rest(&self) -> (u64, bool) {
        match self.state {
            State::Done => (0, true),
            State::Length(length) => (length, true),
            State::Chunk(length) => (length, false),
            State::UntilClose | State::Size | State::ChunkEnd | State::Trailers => (0, false),
        }
    }

    /// What `input` begins with. Its bytes count as taken, except for [`Piece::More`].
    ///
    /// # Errors
    /// When the framing is malformed.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        match self.state {
            State::Done => Ok(Piece::End { trailers: 0, all: 0 }),
            _ if input.is_empty() => Ok(Piece::More),
            State::UntilClose => Ok(Piece::Data(input.len())),
            State::Length(left) => {
                let (now, left) = take(input, left);
                self.state = if left == 0 { State::Done } else { State::Length(left) };
                Ok(Piece::Data(now))
            }
            State::Chunk(left) => {
                let (now, left) = take(input, left);
                self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                Ok(Piece::Data(now))
            }
            State::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    self.state = State::Size;
                    Ok(Piece::Framing(2))
                }
                [b'\r'] => Ok(Piece::More),
                _ => Err(BodyError::Chunk),
            },
            State::Size => self.size(input),
            State::Trailers => self.trailers(input),
        }
    }

    /// The connection ended.
    ///
    /// # Errors
    /// When the body is not complete.
    pub fn ended(&mut self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BodyError::Incomplete),
        }
    }

    fn size(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        let line = match memchr2(b'\r', b'\n', input) {
            Some(at) if at > MAX_SIZE_LINE => return Err(BodyError::Chunk),
            Some(at) => match input.get(at..) {
                Some([b'\r', b'\n', ..]) => input.get(..at).unwrap_or_default(),
                Some([b'\r']) => return Ok(Piece::More),
                _ => return Err(BodyError::Chunk),
            },
            None if input.len() > MAX_SIZE_LINE => return Err(BodyError::Chunk),
            None => return Ok(Piece::More),
        };
        let size = chunk_size(line).ok_or(BodyError::Chunk)?;
        let allowance = usize::try_from(size.saturating_mul(2).saturating_add(16)).unwrap_or(usize::MAX);
        self.excess = (self.excess + line.len() + 2).saturating_sub(allowance);
        if self.excess > MAX_EXCESS {
            return Err(BodyError::Chunk);
        }
        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
        Ok(Piece::Framing(line.len() + 2))
    }

    /// All lines up to an empty one; every one must end in CRLF.
    fn trailers(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        let mut at = 0;
        while let Some(lf) = memchr(b'\n', input.get(at..).unwrap_or_default()) {
            let line = input.get(at..at + lf).unwrap_or_default();
            match line {
                [b'\r'] if at <= MAX_TRAILERS => {
                    self.state = State::Done;
                    return Ok(Piece::End { trailers: at, all: at + 2 });
                }
                [text @ .., b'\r'] if !text.is_empty() && memchr(b'\r', text).is_none() => at += lf + 1,
                _ => return Err(BodyError::Chunk),
            }
        }
        let first = input.get(at..).unwrap_or_default();
        // A lone CR begins the last line end and nothing else.
        let broken = memchr(b'\r', first).is_some_and(|cr| cr + 1 < first.len());
        if broken || input.len() > MAX_TRAILERS { Err(BodyError::Chunk) } else { Ok(Piece::More) }
    }
}

fn take(input: &[u8], left: u64) -> (usize, u64) {
    let now = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    (now, left - now as u64)
}

/// Hex digits, at most 16, then white space or an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = match memchr(b';', line) {
        Some(at) => line.get(..at)?,
        None => line,
    };
    let digits = digits.trim_ascii_end();
    if digits.is_empty() || digits.len() > 16 || line.iter().any(|byte| *byte < b' ' && *byte != b'\t') {
        return None;
    }
    digits.iter().try_fold(0_u64, |size, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(size << 4 | u64::from(digit))
    })
}

/// Writes `data` as one chunk. An empty one would end the body and is left out.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    write_hex(out, data.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

fn write_hex(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        let digit = (number >> (digit * 4)) & 0xf;
        out.push(b"0123456789abcdef"[digit]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Payload, trailers and what is left over.
    type Decoded = Result<(Vec<u8>, Vec<u8>, Vec<u8>), BodyError>;

    /// The payload and trailers of `text`, which comes in two pieces, and what is left over.
    fn decode(framing: Framing, text: &[u8], cut: usize) -> Decoded {
        let (mut body, mut data, mut from, mut to) = (Body::new(framing), Vec::new(), 0, cut);
        loop {
            match body.next(&text[from..to])? {
                Piece::More if to == text.len() => {
                    body.ended()?;
                    return Ok((data, Vec::new(), Vec::new()));
                }
                Piece::More => to = text.len(),
                Piece::Framing(length) => from += length,
                Piece::Data(length) => {
                    data.extend_from_slice(&text[from..from + length]);
                    from += length;
                }
                Piece::End { trailers, all } => {
                    let trailers = text[from..from + trailers].to_vec();
                    return Ok((data, trailers, text[from + all..].to_vec()));
                }
            }
        }
    }

    #[test]
    fn chunks_whatever_the_cut() {
        let text: &[u8] = b"5;a=b\r\nhello\r\n00A  \r\n0123456789\r\n0;c\r\nX-A: 1\r\nX-B: 2\r\n\r\nGET";
        for cut in 0..=text.len() {
            let (data, trailers, _) = decode(Framing::Chunked, text, cut).unwrap();
            assert_eq!(data, b"hello0123456789", "{cut}");
            assert_eq!(trailers, b"X-A: 1\r\nX-B: 2\r\n");
        }
        assert_eq!(decode(Framing::Chunked, text, text.len()).unwrap().2, b"GET");
        assert_eq!(decode(Framing::Chunked, b"000\r\n\r\n", 0).unwrap().0, b"");
    }

    #[test]
    fn malformed_chunks() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(5000));
        let many = format!("1;{}\r\nx\r\n", "e".repeat(100)).repeat(300) + "0\r\n\r\n";
        for text in [
            "5;a\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "-5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            ";a\r\nhello\r\n0\r\n\r\n",
            "5;\0\r\nhello\r\n0\r\n\r\n",
            "5\r\nhelloX0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\nhello\n0\n\n",
            "5\rhello\r0\r\r",
            "5\r\nhello\r\n0\r\n\n",
            "5\r\nhello\r\n0\r\nA: b\n\r\n",
            "0\r\nA: b\rc\r\n\r\n",
            &long,
            &many,
        ] {
            let text = text.as_bytes();
            for cut in (0..=text.len()).step_by(1 + text.len() / 50) {
                let decoded = decode(Framing::Chunked, text, cut);
                assert!(decoded.is_err(), "{:?}", String::from_utf8_lossy(&text[..text.len().min(40)]));
            }
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(
            decode(Framing::Length(3), b"abcdef", 1).unwrap(),
            (b"abc".to_vec(), vec![], b"def".to_vec())
        );
        assert_eq!(decode(Framing::Length(3), b"ab", 1).unwrap_err(), BodyError::Incomplete);
        assert_eq!(decode(Framing::Chunked, b"5\r\nhel", 1).unwrap_err(), BodyError::Incomplete);
        assert_eq!(decode(Framing::UntilClose, b"abc", 1).unwrap().0, b"abc");
        assert_eq!(decode(Framing::None, b"abc", 1).unwrap().2, b"abc");
        assert_eq!(Body::new(Framing::Length(u64::MAX)).next(b"ab"), Ok(Piece::Data(2)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..9), cut in 0..200_usize) {
            let mut text = Vec::new();
            for part in &parts {
                write_chunk(&mut text, part);
            }
            text.extend_from_slice(b"0\r\n\r\nrest");
            let cut = cut.min(text.len());
            prop_assert_eq!(decode(Framing::Chunked, &text, cut).unwrap().0, parts.concat());
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..100), cut in 0..100_usize) {
            let _ = decode(Framing::Chunked, &text, cut.min(text.len()));
        }
    }
}
