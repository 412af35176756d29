//! AES-128 in CFB mode with full-block feedback, as a byte stream.
//!
//! ```text
//! +---------------------+------------------------------------------+
//! | IV, 16 random bytes | ciphertext, as many bytes as plain text  |
//! +---------------------+------------------------------------------+
//! ```
//!
//! Each direction has its own IV, in clear, sent once and only when the first byte is to be sent; the state
//! then runs on over all messages to the end of the stream. There is no padding and no integrity check.
//! Upstream golib `crypto`.
//!
//! The key stream of a block depends on the ciphertext before it. So encryption goes block by block, while
//! decryption, which has all the ciphertext, works on several blocks at once.

use std::fmt;

use aes::Aes128;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16,
};

use super::Key;
use crate::limits::IV_LEN;

/// One block, as bytes and as the cipher's own type.
type Bytes = [u8; IV_LEN];
type Block = aes::Block;

/// How many blocks are decrypted at once: enough to keep the processor's AES unit busy.
const PARALLEL: usize = 16;

/// What both directions share.
#[derive(Clone)]
struct Feedback {
    aes: Aes128,
    /// Key stream of the current block. A byte that is used up makes room for its ciphertext, so that at the
    /// end of the block the input of the next one stands here.
    block: Block,
    /// How many bytes of `block` are used up.
    used: usize,
}

impl Feedback {
    fn new(key: &Key, iv: Bytes) -> Self {
        Self { aes: Aes128::new(key.as_bytes().into()), block: iv.into(), used: IV_LEN }
    }

    /// Turns the ciphertext of a full block into the key stream of the next.
    fn next_block(&mut self) {
        self.aes.encrypt_block(&mut self.block);
        self.used = 0;
    }

    /// Uses up what is left of the current block, or as much of it as `data` has bytes.
    fn part<'a>(&mut self, data: &'a mut [u8], step: fn(&mut u8, &mut u8)) -> &'a mut [u8] {
        let left = self.block.get_mut(self.used..).unwrap_or_default();
        let (part, rest) = data.split_at_mut(left.len().min(data.len()));
        for (byte, stream) in part.iter_mut().zip(left) {
            step(byte, stream);
        }
        self.used += part.len();
        rest
    }
}

fn xor(data: &mut Bytes, stream: &Block) {
    *data = (u128::from_ne_bytes(*data) ^ u128::from_ne_bytes((*stream).into())).to_ne_bytes();
}

/// Encrypts one direction of a stream.
#[derive(Clone)]
pub struct Encryptor(Feedback);

impl Encryptor {
    /// At the start of the stream. `iv` must be random, and sent before the first encrypted byte.
    #[must_use]
    pub fn new(key: &Key, iv: [u8; IV_LEN]) -> Self {
        Self(Feedback::new(key, iv))
    }

    /// Encrypts the next bytes of the stream in place.
    pub fn apply(&mut self, data: &mut [u8]) {
        let Self(feedback) = self;
        let rest = feedback.part(data, encrypt_byte);
        if rest.is_empty() {
            return;
        }
        let (blocks, tail) = rest.as_chunks_mut::<IV_LEN>();
        feedback.aes.encrypt_with_backend(EncryptBlocks { previous: &mut feedback.block, blocks });
        if !tail.is_empty() {
            feedback.next_block();
            feedback.part(tail, encrypt_byte);
        }
    }
}

fn encrypt_byte(byte: &mut u8, stream: &mut u8) {
    *byte ^= *stream;
    *stream = *byte;
}

/// The blocks of one call, all within one choice of the cipher's implementation.
struct EncryptBlocks<'a> {
    /// Ciphertext of the block before these; of their last one afterwards.
    previous: &'a mut Block,
    blocks: &'a mut [Bytes],
}

impl BlockSizeUser for EncryptBlocks<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for EncryptBlocks<'_> {
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        // One block waits for the other, so what counts is how long a block takes from end to end: the block before it
        // stays in a register, where going through memory each time costs 30 %.
        let mut previous = *self.previous;
        for block in self.blocks {
            let mut stream = Block::default();
            backend.encrypt_block((&previous, &mut stream).into());
            for (stream, byte) in stream.iter_mut().zip(&*block) {
                *stream ^= byte;
            }
            *block = stream.into();
            previous = stream;
        }
        *self.previous = previous;
    }
}

/// Decrypts one direction of a stream.
#[derive(Clone)]
pub struct Decryptor(Feedback);

impl Decryptor {
    /// At the start of the stream, with the IV that the peer sent.
    #[must_use]
    pub fn new(key: &Key, iv: [u8; IV_LEN]) -> Self {
        Self(Feedback::new(key, iv))
    }

    /// Decrypts the next bytes of the stream in place.
    pub fn apply(&mut self, data: &mut [u8]) {
        let Self(feedback) = self;
        let rest = feedback.part(data, decrypt_byte);
        let (blocks, tail) = rest.as_chunks_mut::<IV_LEN>();
        for blocks in blocks.chunks_mut(PARALLEL) {
            let mut stream = [Block::default(); PARALLEL];
            for (stream, block) in stream.iter_mut().zip(&*blocks) {
                *stream = std::mem::replace(&mut feedback.block, (*block).into());
            }
            if let Some(stream) = stream.get_mut(..blocks.len()) {
                feedback.aes.encrypt_blocks(stream);
            }
            for (block, stream) in blocks.iter_mut().zip(&stream) {
                xor(block, stream);
            }
        }
        if !tail.is_empty() {
            feedback.next_block();
            feedback.part(tail, decrypt_byte);
        }
    }
}

fn decrypt_byte(byte: &mut u8, stream: &mut u8) {
    let ciphertext = *byte;
    *byte ^= *stream;
    *stream = ciphertext;
}

impl fmt::Debug for Encryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryptor")
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryptor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key;

    const IV: Bytes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    fn from_hex(text: &str) -> Vec<u8> {
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
        text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    #[test]
    fn golden_streams() {
        let probe_body = br#"{"transaction_id":"1700000000aabb","sid":"1700000000ccdd"}"#;
        let mut probe = vec![b'5', 0, 0, 0, 0, 0, 0, 0, 0x3a];
        probe.extend_from_slice(probe_body);
        let cases = [
            ("123", from_hex("6800000000000000027b7d"), "7fed4d5b49d2781818a09d"),
            (
                "123",
                from_hex("7200000000000000027b7d6800000000000000027b7d"),
                "65ed4d5b49d2781818a09d87b68a95f6be923e3ef702",
            ),
            (
                "123",
                from_hex("ff060000734e6150705901090000bb1f1c1968656c6c6f"),
                "e8eb4d5b3a9c19486a82e1e6b68a2ee9b363c0a398daf5",
            ),
            (
                "abc",
                probe,
                "9b740161fd1427c7f3b95af6e5f141e251226fdf121c22f236151065315f2f7e5bdeb7d7a3d0e7c93b6d8b0a73\
                 2b008672149a0e9e36912ab1930e3313c3a463568039",
            ),
        ];
        for (token, plain, wire) in cases {
            let key = key::derive(token.as_bytes());
            let mut data = plain.clone();
            Encryptor::new(&key, IV).apply(&mut data);
            assert_eq!(data, from_hex(wire));
            Decryptor::new(&key, IV).apply(&mut data);
            assert_eq!(data, plain);
        }
    }

    /// The mode as its definition has it, a byte at a time.
    fn by_definition(key: &Key, iv: Bytes, plain: &[u8]) -> Vec<u8> {
        let aes = Aes128::new(key.as_bytes().into());
        let mut previous = iv;
        let mut wire = Vec::new();
        for chunk in plain.chunks(IV_LEN) {
            let mut block = Block::from(previous);
            aes.encrypt_block(&mut block);
            for (index, byte) in chunk.iter().enumerate() {
                previous[index] = byte ^ block[index];
            }
            wire.extend_from_slice(&previous[..chunk.len()]);
        }
        wire
    }

    #[test]
    fn every_length_and_every_first_piece() {
        let key = key::derive(b"123");
        let plain: Vec<u8> = (0..=u8::MAX).cycle().take(700).collect();
        let wire = by_definition(&key, IV, &plain);
        for length in 0..plain.len() {
            let mut data = plain[..length].to_vec();
            Encryptor::new(&key, IV).apply(&mut data);
            assert_eq!(data, wire[..length]);
            Decryptor::new(&key, IV).apply(&mut data);
            assert_eq!(data, plain[..length]);
        }
        for cut in 0..40 {
            let mut data = plain.clone();
            let mut encryptor = Encryptor::new(&key, IV);
            let (first, second) = data.split_at_mut(cut);
            encryptor.apply(first);
            encryptor.apply(second);
            assert_eq!(data, wire);
            let mut decryptor = Decryptor::new(&key, IV);
            let (first, second) = data.split_at_mut(cut);
            decryptor.apply(first);
            decryptor.apply(second);
            assert_eq!(data, plain);
        }
    }

    #[test]
    fn debug_shows_no_state() {
        let key = key::derive(b"123");
        assert_eq!(format!("{:?}", Encryptor::new(&key, IV)), "Encryptor");
        assert_eq!(format!("{:?}", Decryptor::new(&key, IV)), "Decryptor");
    }
}
