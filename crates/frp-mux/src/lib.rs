//! yamux: many streams over one connection, as upstream's frpc and frps speak it (hashicorp/yamux with frp's settings).
//!
//! frpc opens a session over its one connection and a stream for each control, work and visitor connection; frps
//! accepts them. [`Session`] opens and accepts streams, [`MuxStream`] is one of them, and the [`Driver`] is the one task
//! that reads and writes the transport.
//!
//! # Map
//!
//! - [`engine`]: the protocol as a state machine, without I/O, task or clock. Everything about frames, windows, turns and
//!   deadlines is there, and so are most tests.
//! - [`frame`]: the 12 bytes of a header.
//! - `driver`: moves bytes between transport and engine. `input`: its read buffers. `turns`: when it lets others go first.
//! - `shared`: the engine behind a mutex, which handles and driver take for a moment at a time.
//! - `session`, `stream`: the handles.
//! - `sync`: lock, wake-ups and clock, which the model check (`model`) replaces.
//! - `config`, `error`: what can be set, and why a session ends.
//!
//! # What it must never do
//!
//! - Allocate from a length that the peer sent, or hold more for a stream than its window.
//! - Let one stream that nobody reads hold up another, or the answers the session owes.
//! - Copy, read, write or wake anything of size while the mutex is held.
//! - Know what the streams carry.
//!
//! # Life of a byte
//!
//! A write copies into the stream's queue (or hands over [`bytes::Bytes`], see [`MuxStream::poll_write_bytes`]) and wakes
//! the driver, unless it runs or waits for the transport. The driver lets the streams take turns, gathers headers and
//! payloads into one vectored write, and wakes writers whose queue has drained. On the other side one read brings many
//! frames; payloads become slices of the read buffer in the queues of their streams, whose readers copy out of them (or
//! read them in place, through `AsyncBufRead`).
//!
//! # Where it differs from upstream on the wire
//!
//! - A stream is opened and acknowledged with delta 0 instead of 6 MiB, or over a path with a long round trip with what
//!   that needs; its window grows with later updates, as long as that helps. A grown window is updated by quarters.
//! - To learn the round trip, a session pings once before its first keepalive is due: when its owner asks for that
//!   ([`Session::measure_round_trip`]), or when it begins to carry bulk and does not know it.
//! - A keepalive that is not answered within 10 s ends the session only if nothing else has come for 10 s either: on a
//!   slow path the answer stands behind the data.
//! - A stream that is dropped rather than shut down is reset if the peer has sent, or sends, what nobody will read.
//!   One that is abandoned is so after a shutdown too, behind what is queued and FIN.
//! - A transport that takes nothing for 10 s ends the session, not only the write.
//!
//! # Why not an existing crate
//!
//! `yamux` 0.14 acknowledges a stream with the first frame it sends on it, so that an idle pooled work connection makes
//! upstream's frpc end the session after 75 s; it sends no keepalive on an idle session and ends one that opens an even
//! id or sends a stray ping answer. `tokio-yamux` 0.3 ends the session on goaway 0, notices a dead peer after 30 s
//! instead of 10 s, and has its window at one fixed size.

#![forbid(unsafe_code)]

mod config;
mod driver;
pub mod engine;
mod error;
pub mod frame;
mod input;
#[cfg(test)]
#[cfg(frp_loom)]
mod model;
mod session;
mod shared;
mod stream;
mod sync;
#[cfg(test)]
#[cfg(not(frp_loom))]
mod tests;
mod turns;

pub use config::{Config, INITIAL_WINDOW};
pub use driver::Driver;
pub use error::{GoAwayReason, OpenError, ProtocolError, SessionEnd};
pub use session::Session;
pub use stream::MuxStream;
