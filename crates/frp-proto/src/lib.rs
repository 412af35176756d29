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
//! | [`udp`] | datagrams as messages, without building the message first |
//! | [`exchange`] | the login exchange as machines: first message, reply, when the cipher starts |
//! | [`crypto`] | key derivation and the AES-CFB stream |
//! | [`Secret`] | a text that is never shown and always compared in constant time |
//! | [`digest`] | `privilege_key` and `sign_key`, and the comparison in constant time |
//! | [`proxy_protocol`] | PROXY protocol headers, versions 1 and 2 |
//! | [`sniff`] | what the first bytes of a connection or stream say |
//! | [`client_hello`] | the server name that a TLS client asks for |
//! | [`names`] | proxy names with and without their user prefix |
//! | [`limits`] | every bound of the wire, in one file |
//!
//! `json` (private) reads and writes message bodies as the original's JSON library does. Version 2 of the
//! wire will stand beside [`v1`]; its hello belongs to [`exchange`].

#![forbid(unsafe_code)]

pub mod client_hello;
pub mod crypto;
pub mod digest;
pub mod exchange;
mod json;
pub mod limits;
pub mod msg;
pub mod names;
pub mod proxy_protocol;
mod secret;
pub mod sniff;
pub mod udp;
pub mod v1;

pub use json::{JsonError, JsonErrorKind};
pub use secret::Secret;
