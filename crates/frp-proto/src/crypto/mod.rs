//! Encryption of control channels and of connections with `useEncryption`.
//!
//! Wire version 1 knows one cipher: AES-128 in CFB mode, a random IV in clear in front of each direction, no
//! integrity check ([`cfb`]). Version 2 uses it for payload, too; its control channel is a stream of sealed records
//! ([`record`]), with keys that depend on both hellos ([`transcript`]).

pub mod cfb;
pub mod key;
pub mod record;
pub mod transcript;

pub use key::Key;
pub use transcript::{Algorithm, RecordKey, Transcript};
