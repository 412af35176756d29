//! KCP as frp's original speaks it: a reliable byte stream over datagrams, with forward error correction around it.
//!
//! Two layers without I/O and without a clock — the conversation with its retransmissions, and parity over groups of
//! datagrams — and above them the sockets: one for all conversations of a listener, one for each that is dialled. The
//! wire is that of kcp-go v5 with ten datagrams of data to three of parity, no cipher, in stream mode.
//!
//! It must never reserve memory from a number that a peer sent, keep more of an unproven peer than a small bounded
//! state, wake up for a conversation on which nothing is due, or know what the stream carries.
//!
//! | module | what |
//! | --- | --- |
//! | [`config`] | windows and timeouts, per role |
//! | [`segment`] | the 24 bytes before every piece of a conversation |
//! | [`fec`] | parity over datagrams: encoder, decoder, and their arithmetic |
//! | [`conversation`] | [`Conversation`]: datagrams in, datagrams out, bytes in, bytes out |
//! | `engine` | its parts: sender, receiver, round trips, pace |
//! | [`net`] | [`Listener`], [`connect`], [`KcpStream`] |

pub mod batch;
pub mod config;
pub mod conversation;
mod engine;
pub mod fec;
pub mod net;
pub mod segment;

pub use batch::Batch;
pub use config::Config;
pub use conversation::Conversation;
pub use net::{Accepted, Closed, KcpStream, Listener, ListenerDriver, Proof, connect, over};

/// A time, in microseconds since any one moment that a conversation's owner has chosen.
pub type Micros = u64;
