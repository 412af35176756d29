//! Conversations over sockets.
//!
//! A conversation is shared by its stream, which reads and writes bytes, by whoever receives its datagrams, and by its
//! driver, a task that sends what is due and sleeps when nothing is. A listener has one socket and one task that
//! receives for all of its conversations; one that is dialled has a socket of its own, on which its driver receives.

mod client;
mod driver;
mod listener;
mod shared;
mod stream;
mod table;
#[cfg(test)]
mod tests;

pub use client::{connect, over};
pub use listener::{Accepted, Listener, ListenerDriver, Proof, UNPROVEN};
pub use shared::Closed;
pub use stream::KcpStream;

/// What the kernel may hold of datagrams, either way, if the system's limits allow it. Upstream `server/service.go` and
/// `client/connector.go`, `SetReadBuffer`, `SetWriteBuffer`.
const SOCKET_BUFFER: usize = 4_194_304;
