//! QUIC in place of TCP, TLS and multiplexing: one connection is a session, and each of frp's streams is a
//! bidirectional stream that the client opens (`docs/protocol.md`; upstream `client/connector.go` and
//! `server/service.go`, `HandleQUICListener`).
//!
//! ALPN is `frp`. The certificates, and who checks which, are those of [`crate::tls`]. No datagrams, no 0-RTT. A stream
//! is seen by the server when the client has written on it. Shutting a stream down sends FIN and leaves the other
//! direction as it is; dropping it sends STOP_SENDING with code 0 as well, unless everything was read. A connection
//! is closed with code 0 and no reason.
//!
//! A client that moves to another address, or whose NAT gives it another one, stays connected, as with upstream; its
//! session is known by the address from which it came.
//!
//! # Tasks
//!
//! quinn drives a socket and each of its connections in a task of its own. They are spawned on the tracker that the
//! caller gives, and end with what they drive: with a [`Session`] that was dialled and its streams, or with the
//! [`Listener`] and all its sessions. A close has half a second to be told to the peer.
//!
//! # Map
//!
//! - [`Listener`], [`Incoming`]: the server's end, up to the handshake; [`dial`]: the client's
//! - [`Session`]: a connection; [`QuicStream`]: one of its streams
//! - `transport`: windows and deadlines; `congestion`: how much may be under way; `drivers`: the tasks and the socket
//! - `error`: why a connection or a stream ended, in upstream's words

use std::time::Duration;

mod congestion;
mod dial;
mod drivers;
mod error;
mod listener;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod transport;

pub use dial::{DialError, DialOptions, dial};
pub use error::ConnectionError;
pub use listener::{Incoming, Listener};
pub use session::Session;
pub use stream::QuicStream;

/// The protocol that both ends name in the handshake.
pub(crate) const ALPN: &[u8] = b"frp";

/// The `transport.quic` keys, the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuicOptions {
    /// `keepalivePeriod`; none sends none. Default 10 s. Half of `max_idle_timeout` where that is less.
    pub keepalive_period: Option<Duration>,
    /// `maxIdleTimeout`: a connection on which nothing came for so long, or for what the peer wants if that is less,
    /// is lost. Default 30 s.
    pub max_idle_timeout: Duration,
    /// `maxIncomingStreams`: what a client may have open once it is known. A server opens none. Default 100,000.
    pub max_incoming_streams: u64,
}

impl Default for QuicOptions {
    fn default() -> Self {
        Self {
            keepalive_period: Some(Duration::from_secs(10)),
            max_idle_timeout: Duration::from_secs(30),
            max_incoming_streams: 100_000,
        }
    }
}
