//! Datagrams of udp and sudp proxies as messages.
//!
//! After `StartWorkConn` a work connection of such a proxy carries, inside its layers, messages in
//! both directions: `UDPPacket` with the address of the user, and from the client's side a `Ping`
//! every 30 s. The server's side never sends a `Ping`, because an original client would take it for
//! a datagram. Datagrams without bytes are messages too.

mod channel;
mod forwarder;
mod session;
#[cfg(test)]
mod tests;

pub use channel::{Datagram, DatagramReader, DatagramWriter, Received, Sent, datagram_channel};
pub use forwarder::{Forwarder, ForwarderEnd, ForwarderOptions, ForwarderReport, HeaderFn};

use std::time::Duration;

/// How often the client's side of a udp work connection sends a `Ping`; the first after this time.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long the server's side waits for a message before it takes another work connection.
pub const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Datagrams that wait in a queue, each way; more are dropped.
pub const QUEUE: usize = 1024;

/// `udpPacketSize` where nothing else is configured; longer datagrams are cut to it.
pub const DEFAULT_PACKET_SIZE: usize = 1500;

/// How long a user's socket to the local service lives without a datagram either way.
pub const SESSION_IDLE: Duration = Duration::from_secs(30);
