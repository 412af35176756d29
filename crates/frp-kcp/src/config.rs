//! How conversations behave.

use std::time::Duration;

/// Bytes of segments in one datagram. Upstream `pkg/util/net/kcp.go`, `SetMtu`; the header of the parity layer comes on
/// top.
pub const MTU: usize = 1350;
/// Payload of one segment.
pub const MSS: usize = MTU - crate::segment::OVERHEAD;
/// How often the original looks whether something is to be sent, which is also the least by which it waits longer than
/// a round trip before it sends again. Upstream `SetNoDelay(1, 20, 2, 1)`.
pub const INTERVAL: Duration = Duration::from_millis(20);
/// The largest window that a stock peer announces: upstream's listener. Who announces more is one of ours.
pub const LARGEST_STOCK_WINDOW: u16 = 1024;

/// Windows and timeouts of a conversation. The two ends need not agree.
#[derive(Debug, Clone)]
pub struct Config {
    /// Segments that may be on their way. The other end's window holds as well.
    pub send_window: u16,
    /// Segments that wait for the reader, or for one that is missing before them.
    pub receive_window: u16,
    /// After so long without a sign of the peer it is asked for one; `None` never asks. Where something above the
    /// conversation pings, this is not needed.
    pub keepalive: Option<Duration>,
    /// A peer that has acknowledged nothing and has not been heard for so long is gone.
    pub dead_after: Duration,
}

impl Config {
    /// For a connection that carries everything between a client and a server: it is always read, so that its window
    /// is filled by what is missing only. Upstream's are 128 and 512 segments at the client and 1024 at the server.
    #[must_use]
    pub fn multiplexed() -> Self {
        Self { send_window: 8192, receive_window: 8192, keepalive: None, dead_after: DEAD_AFTER }
    }

    /// For a connection of one user, of which there are many, and whose reader may be slow. Since nobody above it pings
    /// and KCP has no close signal, it asks for a sign of life itself.
    #[must_use]
    pub fn single() -> Self {
        Self {
            send_window: 2048,
            receive_window: 2048,
            keepalive: Some(Duration::from_secs(30)),
            dead_after: DEAD_AFTER,
        }
    }

    /// For the tunnel between two clients: upstream `client/visitor/xtcp.go`, 1024 segments either way.
    #[must_use]
    pub fn tunnel() -> Self {
        Self {
            send_window: LARGEST_STOCK_WINDOW,
            receive_window: LARGEST_STOCK_WINDOW,
            ..Self::multiplexed()
        }
    }
}

/// A mux session gives up after 40 s; what is below it should know earlier.
const DEAD_AFTER: Duration = Duration::from_secs(30);
