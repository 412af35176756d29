//! The frp wire protocol as pure functions: bytes in, messages out, and the reverse.
//!
//! This crate never does I/O, never reads a clock, never draws random numbers, starts no task and knows
//! no configuration: whatever it needs of these (an IV, a timestamp, a token) is an argument. It never
//! trusts a number of a peer before it has compared it with a bound of [`limits`], and no input makes it
//! panic.
//!
//! The protocol itself is told in `docs/protocol.md`. Where to find what:
//!
//! | module | holds |
//! | --- | --- |
//! | [`msg`] | the 18 messages, and the one table of their v1 bytes and v2 ids |
//! | [`v1`] | version 1 framing: type byte, 64-bit length, JSON body |
//! | [`v2`] | version 2 framing: frame type, flags, 32-bit length, message id, JSON body |
//! | [`wire`] | either version behind one face: what the framing of a stream is |
//! | [`udp`] | datagrams as messages, without building the message first |
//! | [`hello`] | what the two sides of version 2 tell each other before the login, and what they agree on |
//! | [`exchange`] | the login exchange as machines: hello, first message, reply, when the cipher starts |
//! | [`crypto`] | key derivation, the AES-CFB stream, and the record streams of version 2 |
//! | [`Secret`] | a text that is never shown and always compared in constant time |
//! | [`digest`] | `privilege_key` and `sign_key`, and the comparison in constant time |
//! | [`release`] | what to do differently with peers of some releases |
//! | [`proxy_protocol`] | PROXY protocol headers, versions 1 and 2 |
//! | [`sniff`] | what the first bytes of a connection or stream say |
//! | [`client_hello`] | the server name that a TLS client asks for |
//! | [`names`] | proxy names with and without their user prefix |
//! | [`limits`] | every bound of the wire, in one file |
//!
//! `json` (private) reads and writes message bodies as the original's JSON library does.

#![forbid(unsafe_code)]

pub mod client_hello;
pub mod crypto;
pub mod digest;
pub mod exchange;
pub mod hello;
mod json;
pub mod limits;
pub mod msg;
pub mod names;
pub mod proxy_protocol;
pub mod release;
mod secret;
pub mod sniff;
pub mod udp;
pub mod v1;
pub mod v2;
pub mod wire;

pub use json::{JsonError, JsonErrorKind};
pub use secret::Secret;
