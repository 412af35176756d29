//! What the owner of a session can set.

use std::time::Duration;

/// The window every stream starts with, in bytes: fixed by the protocol (256 KiB).
pub const INITIAL_WINDOW: u32 = 256 * 1024;

/// Settings of one session. The defaults are upstream's (`DefaultConfig` of its yamux, with the two
/// overrides of upstream `client/connector.go` and `server/service.go`), apart from the windows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between two pings of our own; `None` and zero send none. Default 30 s.
    pub keepalive_interval: Option<Duration>,
    /// How long a ping may stay unanswered while nothing else arrives either. Default 10 s.
    pub keepalive_timeout: Duration,
    /// How long the transport may refuse to take a single byte before the session ends. Default 10 s.
    pub write_timeout: Duration,
    /// How long the peer may take to acknowledge a stream we opened before the session ends. Default 75 s.
    pub open_timeout: Duration,
    /// How long a stream that we closed may stay silent before it is reset. Default 5 min.
    pub close_timeout: Duration,
    /// Inbound streams that wait for [`Session::accept`](crate::Session::accept), and outbound ones that wait
    /// for the peer's acknowledgement. An inbound one beyond it is reset, an outbound one waits. Default 256.
    pub accept_backlog: usize,
    /// Inbound streams that may live at one time; one beyond it is reset. The owner lifts it with
    /// [`Session::set_inbound_limit`](crate::Session::set_inbound_limit). Default: no limit.
    pub inbound_limit: usize,
    /// The largest receive window a stream can grow to, in bytes. A value below 256 KiB counts as 256 KiB,
    /// where every window starts. Default 6 MiB, upstream's window.
    pub max_window: u32,
    /// What all streams of the session together may hold above their initial windows, in bytes: bounds what
    /// users that stop reading cost. Default 16 MiB.
    pub window_budget: usize,
    /// Bytes that one stream may have queued and not yet handed to the transport. Default 128 KiB.
    pub send_queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keepalive_interval: Some(Duration::from_secs(30)),
            keepalive_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(75),
            close_timeout: Duration::from_secs(300),
            accept_backlog: 256,
            inbound_limit: usize::MAX,
            max_window: 6 * 1024 * 1024,
            window_budget: 16 * 1024 * 1024,
            send_queue: 128 * 1024,
        }
    }
}
