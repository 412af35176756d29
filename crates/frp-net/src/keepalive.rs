//! TCP keepalive as upstream's keys express it.

use std::io;
use std::time::Duration;

use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::TcpStream;

/// Idle time before the first probe where no key sets one (Go `net`, `defaultTCPKeepAliveIdle`).
pub const DEFAULT_IDLE: Duration = Duration::from_secs(15);
/// Time between probes; no key of frp sets it (Go `net`, `defaultTCPKeepAliveInterval`).
pub const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// Unanswered probes after which a connection is dead (Go `net`, `defaultTCPKeepAliveCount`).
pub const PROBE_COUNT: u32 = 9;
/// The longest idle time that Linux takes; above it `setsockopt` fails and the socket would keep its default.
const LONGEST_IDLE: Duration = Duration::from_secs(32_767);

/// Whether and when a silent TCP connection is probed, so that a peer that vanished is noticed. Default: after
/// [`DEFAULT_IDLE`], as Go does for every connection, accepted or dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepalive {
    /// No probes: a dead peer is noticed only when something is written.
    Off,
    /// The first probe after this much silence, the others every [`PROBE_INTERVAL`].
    After(Duration),
}

impl Default for Keepalive {
    fn default() -> Self {
        Self::After(DEFAULT_IDLE)
    }
}

impl Keepalive {
    /// From `transport.tcpKeepalive` or `transport.dialServerKeepalive`: seconds, negative is off, 0 is Go's
    /// default. (Both keys are 7200 when they are not set; that is the configuration's business.)
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Self {
        match u64::try_from(seconds) {
            Err(_) => Self::Off,
            Ok(0) => Self::default(),
            Ok(seconds) => Self::After(Duration::from_secs(seconds)),
        }
    }

    /// Sets the options on a connected socket.
    ///
    /// # Errors
    /// That of `setsockopt`. Callers may ignore it, as Go does: the peer can already be gone.
    pub fn apply(self, stream: &TcpStream) -> io::Result<()> {
        self.set(&SockRef::from(stream))
    }

    fn set(self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::Off => socket.set_keepalive(false),
            Self::After(idle) => {
                let idle = idle.clamp(Duration::from_secs(1), LONGEST_IDLE);
                let options = TcpKeepalive::new().with_time(idle).with_interval(PROBE_INTERVAL);
                #[cfg(unix)]
                let options = options.with_retries(PROBE_COUNT);
                socket.set_tcp_keepalive(&options)
            }
        }
    }
}

/// What Go does to every TCP connection: no delay, and keepalive. Failures only mean that the peer is gone
/// already; the first read will say so.
pub(crate) fn prepare(socket: &Socket, keepalive: Keepalive) {
    let _ = socket.set_tcp_nodelay(true);
    let _ = keepalive.set(socket);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_the_configuration() {
        assert_eq!(Keepalive::from_seconds(7200), Keepalive::After(Duration::from_secs(7200)));
        assert_eq!(Keepalive::from_seconds(0), Keepalive::After(DEFAULT_IDLE));
        assert_eq!(Keepalive::from_seconds(-1), Keepalive::Off);
        assert_eq!(Keepalive::from_seconds(i64::MIN), Keepalive::Off);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn options_reach_the_socket() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();

        let socket = SockRef::from(&stream);
        prepare(&socket, Keepalive::After(Duration::from_secs(99)));
        assert!(socket.keepalive().unwrap());
        assert!(stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(99));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 9);

        Keepalive::After(Duration::from_secs(1_000_000)).apply(&stream).unwrap();
        assert_eq!(socket.tcp_keepalive_time().unwrap(), LONGEST_IDLE);

        Keepalive::Off.apply(&stream).unwrap();
        assert!(!socket.keepalive().unwrap());
    }
}
