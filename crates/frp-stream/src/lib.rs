//! Byte streams of frp: messages over streams, layers (cipher, snappy, limit), and the relay.
//!
//! Everything between "a connection was accepted or dialled" and "bytes flow": this crate takes any
//! byte stream, reads and writes whole messages on it, wraps the payload of a work connection in the
//! layers that a proxy asks for, and joins two streams until they end. Both programs use the same
//! functions, so that the two ends of a tunnel cannot disagree.
//!
//! It must never open or listen on a TCP connection, look at a configuration, or decide who may do
//! what; and it must never hold more of a peer's bytes than a few fixed buffers.
//!
//! | module | what |
//! | --- | --- |
//! | [`io`] | [`Io`], [`Stream`]: a TCP connection or anything else that behaves like one, with bytes put back |
//! | [`message`] | whole messages over any stream, and the encrypted control channel |
//! | [`layer`] | cipher, snappy, limit; [`Layers::apply`] is the one place of their order |
//! | [`limit`] | [`RateLimiter`]: one token bucket per proxy |
//! | [`relay`] | two streams joined: half-close, byte counts, errors that name their side |
//! | `sys` | the system calls that no safe library has |
//! | [`udp`] | datagrams as messages, and the forwarder of the client side |

// Elsewhere than on Linux the system calls of `sys` are not made.
#![cfg_attr(not(target_os = "linux"), forbid(unsafe_code))]

mod buffer;
pub mod io;
pub mod layer;
pub mod limit;
pub mod message;
pub mod relay;
#[cfg(target_os = "linux")]
pub mod sys;
#[cfg(test)]
mod testing;
pub mod udp;

pub use buffer::Buffer;
pub use io::{Io, Stream};
pub use layer::Layers;
pub use limit::RateLimiter;
