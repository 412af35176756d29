//! Datagrams of udp and sudp proxies as messages.
//!
//! After `StartWorkConn` a work connection of such a proxy carries, inside its layers, messages in
//! both directions: `UDPPacket` with the address of the user, and from the client's side a `Ping`
//! every 30 s. The server's side of a udp connection never sends a `Ping`, because an original client
//! would take it for a datagram; a bridge of sudp passes those of the proxy's client on to the visitor.
//! Datagrams without bytes are messages too.
//!
//! | type | is |
//! | --- | --- |
//! | [`UserPort`] | the port that users send to: on the server for udp, at the visitor for sudp |
//! | [`Forwarder`] | the other end: the client, with a socket to the local service for each user |
//! | [`DatagramReader`], [`DatagramWriter`] | the messages between them |
//! | [`BatchSocket`] | many datagrams with one call of the system |

mod channel;
mod forwarder;
mod port;
mod queue;
mod session;
mod socket;
mod table;
#[cfg(test)]
mod tests;

pub use channel::{
    Datagram, DatagramReader, DatagramWriter, Received, Sent, datagram_channel, datagram_channel_in,
};
pub use forwarder::{Forwarder, ForwarderEnd, ForwarderOptions, ForwarderReport, HeaderFn};
pub use port::{ExchangeEnd, Meter, UserPort};
pub use socket::{BatchSocket, Progress, SendError};

use std::time::Duration;

/// How often the client's side of a udp work connection sends a `Ping`; the first after this time.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long the server's side waits for a message before it takes another work connection.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a work connection may take nothing of what is written to it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Datagrams that wait for a work connection; more are left to the socket's own buffer, which drops them.
pub const QUEUE: usize = 1024;

/// Bytes that wait for a work connection, as messages: about [`QUEUE`] datagrams of the default size.
pub const QUEUE_BYTES: usize = 2 << 20;

/// `udpPacketSize` where nothing else is configured; longer datagrams are cut to it.
pub const DEFAULT_PACKET_SIZE: usize = 1500;

/// How long a user's socket to the local service lives without a datagram either way.
pub const SESSION_IDLE: Duration = Duration::from_secs(30);

/// Users of one work connection at a time (`udpMaxSessions`), where nothing else is configured.
pub const DEFAULT_MAX_SESSIONS: usize = 4096;
