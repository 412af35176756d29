//! Two streams joined until they end.
//!
//! The **user's** side is where requests come from, the **service's** side where answers come from:
//! on frps the user connection and the work connection, on frpc the work connection and the
//! connection to the local service.
//!
//! # How a relay ends
//!
//! | what happens | what follows |
//! | --- | --- |
//! | the user ends its direction | the end is passed on to the service; answers still reach the user, until the service ends too or nothing has reached the user for `half_close_timeout` |
//! | the service ends its direction | what it sent is delivered, what the user had sent before and was read is written, both sides close |
//! | reading from or writing to the user fails | what was read from the user is written to the service, which is then [abandoned](Stream::abandon) |
//! | reading from the service fails | what it sent is delivered, both sides close |
//! | writing to the service fails | what it sent before is still delivered, both sides close |
//! | `half_close_timeout` passes | both sides are abandoned |
//! | a side fails from which nothing is read, because the other side takes nothing | noticed within [`GRACE`], if that side is a TCP connection. A failed user ends the relay when the service has taken nothing for [`GRACE`]; after a failed service a user may take nothing for `half_close_timeout` |
//!
//! "Closes" means that whoever is still there sees an end of stream as soon as it has taken what was
//! read for it. A service gets [`GRACE`] for that, a user as long as after its own end, and then the
//! connections are dropped. After the service's end, bytes that the user goes on sending are read and
//! discarded for [`GRACE`] at most: closing a TCP connection with unread bytes would reset it, and a
//! reset can destroy the answer on its way.
//!
//! # How bytes move
//!
//! Through a pooled buffer that is held only while bytes are in it; without a copy from or to a stream that shares its
//! memory, as a mux stream does; on Linux, from one TCP connection to
//! another, by `splice(2)` through a pooled pipe once a direction is bulk. Nothing is read for a TCP
//! connection that was full before it has room again. So an idle relay holds its two streams and its
//! state, and one with a slow reader seldom more.
//!
//! # Peers that know no half-close
//!
//! The Go original closes both directions at the first end of either (`golib` `io.Join`). So when
//! such a peer holds the other end of the work connection, an end of stream from it means *both*
//! directions. On frpc with a Go frps, what the service sends after the user's end is lost: over TCP the
//! next write fails and ends the relay; over a mux stream a Go peer takes up to a window of bytes
//! without a sign and the relay ends with the service, or after `half_close_timeout`. On frps with a Go
//! frpc, the work connection ends as soon as we pass on the user's end, and so does the user's
//! connection. Neither is worse than the original with itself.

mod direction;
mod pieces;
#[cfg(target_os = "linux")]
mod room;
#[cfg_attr(not(target_os = "linux"), path = "no_splice.rs")]
mod splice;
mod task;
#[cfg(test)]
mod tests;
mod watch;

use std::{fmt, io, time::Duration};

pub use task::Relay;

use crate::Stream;

/// How long handing the last bytes to a service, or discarding those of a user, may hold up the end.
pub const GRACE: Duration = Duration::from_secs(1);

/// Settings of a relay.
#[derive(Clone, Copy, Debug)]
pub struct RelayOptions {
    /// How long after the user's end of stream the relay goes on although no byte reaches the user
    /// (`transport.halfCloseTimeout`, default 60 s).
    pub half_close_timeout: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self { half_close_timeout: Duration::from_secs(60) }
    }
}

/// One of the two streams of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where requests come from.
    User,
    /// Where answers come from.
    Service,
}

/// What a relay was doing with a side when that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Reading what that side sent.
    Read,
    /// Writing to that side, flushing, or ending our direction.
    Write,
}

/// A failure of one of the two connections.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {side}: {error}")]
pub struct RelayError {
    /// Whose connection failed.
    pub side: Side,
    /// What was being done with it.
    pub operation: Operation,
    /// What the system or the layer said.
    pub error: io::Error,
}

/// Why a relay ended.
#[derive(Debug)]
pub enum RelayEnd {
    /// Both directions ended in good order; `first` is the side that began.
    Closed {
        /// The side whose end of stream came first.
        first: Side,
    },
    /// The user had ended its direction and nothing reached it for `half_close_timeout`.
    HalfCloseTimeout,
    /// A connection failed.
    Failed(RelayError),
}

/// What a relay did.
#[derive(Debug)]
pub struct RelayReport {
    /// Bytes written to the service.
    pub to_service: u64,
    /// Bytes written to the user.
    pub to_user: u64,
    /// Why it ended.
    pub end: RelayEnd,
}

/// Joins two streams until they end; see the module's text for how.
///
/// Bytes are counted as they pass here: plain bytes, where a stream has layers.
///
/// May be dropped at any time: both connections are then closed, and bytes that were read and not
/// yet written are lost.
#[must_use = "a relay does nothing unless polled"]
pub fn relay(user: Stream, service: Stream, options: RelayOptions) -> Relay {
    Relay::new(user, service, options)
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Service => "service",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read from",
            Self::Write => "write to",
        })
    }
}
