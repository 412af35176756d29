//! Encryption of control channels and of connections with `useEncryption`.
//!
//! Wire version 1 knows one cipher: AES-128 in CFB mode, a random IV in clear in front of each direction, no
//! integrity check. The record cipher of version 2 will be a sibling of [`cfb`].

pub mod cfb;
pub mod key;

pub use key::Key;
