//! One direction of an encrypted control channel of wire version 2: sealed records.
//!
//! ```text
//! +-------------------------------+------------------+--------------------------------+----------
//! | nonce of the stream, in clear | length, 32 bits, | ciphertext and tag of 16 bytes | length ..
//! | 12 or 24 bytes, once          | big-endian       |                                |
//! +-------------------------------+------------------+--------------------------------+----------
//! ```
//!
//! The n-th record is sealed under the stream's nonce plus n, with the stream's nonce and the length field as
//! associated data. Where a record ends means nothing: what is inside is one run of bytes. The end of a stream is not
//! authenticated. Upstream golib `crypto`, `aead_stream.go`.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use chacha20poly1305::XChaCha20Poly1305;
use thiserror::Error;

use super::transcript::{Algorithm, RecordKey};
use crate::limits::{MAX_GCM_RECORDS, MAX_RECORD};

/// Length of the tag behind each record's ciphertext.
pub const TAG_LEN: usize = 16;
/// Length of the field in front of each record.
const LENGTH_LEN: usize = 4;
/// The longest nonce.
const MAX_NONCE: usize = 24;
/// Memory that an [`Opener`] keeps between records.
const KEPT: usize = 4096;

/// Why a record was not sealed or opened; the stream is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The length field is out of bounds: the peer's fault.
    #[error("invalid record length {0}")]
    Length(u32),
    /// The record was changed on its way, or the two sides have different keys, so different tokens.
    #[error("record authentication failed")]
    Forged,
    /// The key has sealed as many records as it may.
    #[error("too many records for one key")]
    Exhausted,
    /// The cipher refused.
    #[error("record not sealed")]
    Cipher,
}

enum Cipher {
    Gcm(Box<Aes256Gcm>),
    XChaCha(Box<XChaCha20Poly1305>),
}

impl Cipher {
    fn new(key: &RecordKey) -> Self {
        let bytes = key.as_bytes().into();
        match key.algorithm() {
            Algorithm::Aes256Gcm => Self::Gcm(Box::new(Aes256Gcm::new(bytes))),
            Algorithm::XChaCha20Poly1305 => Self::XChaCha(Box::new(XChaCha20Poly1305::new(bytes))),
        }
    }
}

/// What both directions have in common: cipher, nonces, associated data.
struct Records {
    cipher: Cipher,
    /// The stream's nonce; of the length that the algorithm has.
    first: [u8; MAX_NONCE],
    /// The nonce of the next record.
    next: [u8; MAX_NONCE],
    nonce_len: usize,
    count: u64,
    limit: u64,
}

impl Records {
    fn new(key: &RecordKey, nonce: [u8; MAX_NONCE]) -> Self {
        let (nonce_len, limit) = match key.algorithm() {
            Algorithm::Aes256Gcm => (key.algorithm().nonce_len(), MAX_GCM_RECORDS),
            Algorithm::XChaCha20Poly1305 => (key.algorithm().nonce_len(), u64::MAX),
        };
        Self { cipher: Cipher::new(key), first: nonce, next: nonce, nonce_len, count: 0, limit }
    }

    fn start(&self) -> &[u8] {
        self.first.get(..self.nonce_len).unwrap_or_default()
    }

    /// Associated data of a record with this length field.
    fn associated(&self, length: [u8; LENGTH_LEN]) -> ([u8; MAX_NONCE + LENGTH_LEN], usize) {
        let mut data = [0; MAX_NONCE + LENGTH_LEN];
        let bytes = self.start().iter().chain(&length);
        data.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        (data, self.nonce_len + LENGTH_LEN)
    }

    /// Counts a record; must be called once for each, after its nonce was used.
    fn advance(&mut self) {
        self.count += 1;
        let nonce = self.next.get_mut(..self.nonce_len).unwrap_or_default();
        for byte in nonce.iter_mut().rev() {
            let (sum, carry) = byte.overflowing_add(1);
            *byte = sum;
            if !carry {
                break;
            }
        }
    }

    fn seal(&mut self, length: [u8; LENGTH_LEN], plain: &mut [u8]) -> Result<[u8; TAG_LEN], RecordError> {
        if self.count >= self.limit {
            return Err(RecordError::Exhausted);
        }
        let (data, data_len) = self.associated(length);
        let data = data.get(..data_len).unwrap_or_default();
        let nonce = self.next.get(..self.nonce_len).unwrap_or_default();
        let tag: Option<[u8; TAG_LEN]> = match &self.cipher {
            Cipher::Gcm(cipher) => Nonce::<Aes256Gcm>::try_from(nonce)
                .ok()
                .and_then(|nonce| cipher.encrypt_inout_detached(&nonce, data, plain.into()).ok())
                .map(Into::into),
            Cipher::XChaCha(cipher) => Nonce::<XChaCha20Poly1305>::try_from(nonce)
                .ok()
                .and_then(|nonce| cipher.encrypt_inout_detached(&nonce, data, plain.into()).ok())
                .map(Into::into),
        };
        self.advance();
        tag.ok_or(RecordError::Cipher)
    }

    fn open(
        &mut self,
        length: [u8; LENGTH_LEN],
        sealed: &mut [u8],
        tag: [u8; TAG_LEN],
    ) -> Result<(), RecordError> {
        if self.count >= self.limit {
            return Err(RecordError::Exhausted);
        }
        let (data, data_len) = self.associated(length);
        let data = data.get(..data_len).unwrap_or_default();
        let nonce = self.next.get(..self.nonce_len).unwrap_or_default();
        let opened = match &self.cipher {
            Cipher::Gcm(cipher) => Nonce::<Aes256Gcm>::try_from(nonce).ok().and_then(|nonce| {
                let tag = Tag::<Aes256Gcm>::from(tag);
                cipher.decrypt_inout_detached(&nonce, data, sealed.into(), &tag).ok()
            }),
            Cipher::XChaCha(cipher) => Nonce::<XChaCha20Poly1305>::try_from(nonce).ok().and_then(|nonce| {
                let tag = Tag::<XChaCha20Poly1305>::from(tag);
                cipher.decrypt_inout_detached(&nonce, data, sealed.into(), &tag).ok()
            }),
        };
        self.advance();
        opened.ok_or(RecordError::Forged)
    }
}

/// Seals one direction.
pub struct Sealer {
    records: Records,
    started: bool,
}

impl Sealer {
    /// At the start of a stream. `nonce` must be random; an algorithm with a shorter one takes the first bytes.
    #[must_use]
    pub fn new(key: &RecordKey, nonce: [u8; 24]) -> Self {
        Self { records: Records::new(key, nonce), started: false }
    }

    /// Appends what goes over the wire for `plain`: records of at most [`MAX_RECORD`] bytes, the first one of the
    /// stream behind the nonce. Nothing for no bytes.
    ///
    /// # Errors
    /// If the key has sealed enough.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        for piece in plain.chunks(MAX_RECORD) {
            if !self.started {
                self.started = true;
                out.extend_from_slice(self.records.start());
            }
            let length = u32::try_from(piece.len() + TAG_LEN).map_err(|_| RecordError::Cipher)?.to_be_bytes();
            out.extend_from_slice(&length);
            let at = out.len();
            out.extend_from_slice(piece);
            let tag = self.records.seal(length, out.get_mut(at..).unwrap_or_default())?;
            out.extend_from_slice(&tag);
        }
        Ok(())
    }
}

/// Opens one direction. Takes bytes in pieces of any length; holds one record at most.
pub struct Opener {
    key: RecordKey,
    records: Option<Records>,
    /// The nonce, or a record with its length field, as far as it has come.
    held: Vec<u8>,
}

impl Opener {
    /// At the start of a stream.
    #[must_use]
    pub const fn new(key: RecordKey) -> Self {
        Self { key, records: None, held: Vec::new() }
    }

    /// Whether the stream may end here: between two records.
    #[must_use]
    pub const fn is_between_records(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes all of `input` and appends the bytes of the records that are complete.
    ///
    /// # Errors
    /// If a record is not what the peer sealed. What was appended before is good.
    pub fn open(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), RecordError> {
        let mut rest = input;
        loop {
            let wanted = self.wanted()?;
            let piece = rest.get(..wanted).unwrap_or(rest);
            self.held.extend_from_slice(piece);
            rest = rest.get(piece.len()..).unwrap_or_default();
            if piece.len() < wanted {
                return Ok(());
            }
            self.complete(out)?;
        }
    }

    /// How many bytes are missing to the end of the nonce, of a length field, or of a record.
    fn wanted(&self) -> Result<usize, RecordError> {
        if self.records.is_none() {
            return Ok(self.key.algorithm().nonce_len() - self.held.len());
        }
        let Some(length) = self.held.first_chunk::<LENGTH_LEN>() else {
            return Ok(LENGTH_LEN - self.held.len());
        };
        Ok(LENGTH_LEN + record_len(*length)? - self.held.len())
    }

    /// Acts on what has come whole, if it is more than a length field.
    fn complete(&mut self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let Some(records) = &mut self.records else {
            let mut nonce = [0; MAX_NONCE];
            nonce.iter_mut().zip(&self.held).for_each(|(to, from)| *to = *from);
            self.records = Some(Records::new(&self.key, nonce));
            self.held.clear();
            return Ok(());
        };
        let Some((length, record)) = self.held.split_first_chunk_mut::<LENGTH_LEN>() else { return Ok(()) };
        // A record has a tag at least, so this only means that nothing but the length has come.
        let Some((sealed, tag)) = record.split_last_chunk_mut::<TAG_LEN>() else { return Ok(()) };
        records.open(*length, sealed, *tag)?;
        out.extend_from_slice(sealed);
        self.held.clear();
        self.held.shrink_to(KEPT);
        Ok(())
    }
}

/// Length of a record behind this field, with its tag.
fn record_len(field: [u8; LENGTH_LEN]) -> Result<usize, RecordError> {
    let length = u32::from_be_bytes(field);
    match usize::try_from(length) {
        Ok(bytes) if (TAG_LEN..=MAX_RECORD + TAG_LEN).contains(&bytes) => Ok(bytes),
        _ => Err(RecordError::Length(length)),
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("records", &self.records.count).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::transcript::{Direction, Transcript};

    fn key(algorithm: Algorithm) -> RecordKey {
        let transcript = Transcript::new(b"c", b"s");
        RecordKey::derive(b"123", &transcript, algorithm, Direction::ClientToServer)
    }

    fn sealed(algorithm: Algorithm, pieces: &[&[u8]]) -> Vec<u8> {
        let mut sealer = Sealer::new(&key(algorithm), [0xff; 24]);
        let mut out = Vec::new();
        for piece in pieces {
            sealer.seal(piece, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn what_is_sealed_is_opened_from_pieces_of_any_length() {
        for algorithm in Algorithm::ALL {
            let long = vec![7; MAX_RECORD + 3];
            let wire = sealed(algorithm, &[b"hello", b"", &long, b"x"]);
            assert_eq!(wire.len(), algorithm.nonce_len() + 4 * (LENGTH_LEN + TAG_LEN) + long.len() + 6);
            for piece in [1, 2, 7, 100, 70_000, wire.len()] {
                let mut opener = Opener::new(key(algorithm));
                let mut plain = Vec::new();
                for piece in wire.chunks(piece) {
                    opener.open(piece, &mut plain).unwrap();
                }
                assert_eq!(plain, [b"hello", &long[..], b"x"].concat());
                assert!(opener.is_between_records() && opener.held.capacity() <= KEPT);
            }
        }
    }

    #[test]
    fn an_empty_record_is_skipped() {
        for algorithm in Algorithm::ALL {
            let mut records = Records::new(&key(algorithm), [1; 24]);
            let mut wire = records.start().to_vec();
            let length = 16_u32.to_be_bytes();
            wire.extend_from_slice(&length);
            wire.extend_from_slice(&records.seal(length, &mut []).unwrap());
            let mut opener = Opener::new(key(algorithm));
            let mut plain = Vec::new();
            opener.open(&wire, &mut plain).unwrap();
            assert!(plain.is_empty() && opener.is_between_records());
        }
    }

    #[test]
    fn any_changed_bit_is_noticed() {
        for algorithm in Algorithm::ALL {
            let wire = sealed(algorithm, &[b"hello", b"you"]);
            for bit in 0..wire.len() * 8 {
                let mut wire = wire.clone();
                wire[bit / 8] ^= 1 << (bit % 8);
                let mut opener = Opener::new(key(algorithm));
                let mut plain = Vec::new();
                let outcome = opener.open(&wire, &mut plain);
                // A longer length waits for more; nothing false comes out.
                assert!(outcome.is_err() || !opener.is_between_records(), "bit {bit}");
                assert!(plain.is_empty() || plain == b"hello");
            }
        }
    }

    #[test]
    fn lengths_out_of_bounds() {
        for length in [0, 15, 65_553, u32::MAX] {
            let mut opener = Opener::new(key(Algorithm::Aes256Gcm));
            let wire = [&[0; 12][..], &length.to_be_bytes()].concat();
            assert_eq!(opener.open(&wire, &mut Vec::new()), Err(RecordError::Length(length)));
        }
    }

    #[test]
    fn a_key_is_used_so_often_and_not_more() {
        let key = key(Algorithm::Aes256Gcm);
        let mut sealer = Sealer::new(&key, [0; 24]);
        sealer.records.count = MAX_GCM_RECORDS - 1;
        sealer.seal(b"last", &mut Vec::new()).unwrap();
        assert_eq!(sealer.seal(b"more", &mut Vec::new()), Err(RecordError::Exhausted));
    }
}
