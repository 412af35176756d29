//! WebSocket as a byte stream, for the transports `websocket` and `wss` (RFC 6455; upstream
//! `pkg/util/net/websocket.go` on golang.org/x/net/websocket).
//!
//! The payload is a stream: the bounds of frames and messages mean nothing, text and binary are the same, and
//! nothing is ever taken for UTF-8. We send binary frames. No extensions.
//!
//! A frame of any length is passed on as it arrives and takes no room; a control frame takes at most 125 bytes.
//! Nothing here has a deadline: wrap the handshakes in the connection's.

use std::time::Duration;

mod decode;
mod frame;
mod handshake;
mod io;
#[cfg(test)]
mod tests;

pub use decode::{Decoder, End};
pub use frame::{FrameError, Header, MAX_CONTROL, MAX_HEADER, Opcode, apply_mask};
pub use handshake::{ClientOptions, HandshakeError, accept, connect};
pub use io::WebSocket;

/// The path that every client of frp asks for, and every server has. Upstream `pkg/util/net/websocket.go`.
pub const PATH: &str = "/~!frp";

/// After so long without a byte of ours, a connection that is to be kept alive carries a ping; it may take twice as
/// long. Servers on the way close what is silent for 60 s, the usual setting.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has asked for the upgrade, and masks what it sends.
    Client,
    /// It has granted the upgrade.
    Server,
}
