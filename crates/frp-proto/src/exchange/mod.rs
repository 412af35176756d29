//! The exchange that opens a stream, as machines without I/O: bytes in, events and bytes out.
//!
//! ```text
//! version 1                                   version 2
//! client                        server        client                              server
//!   | -- Login, in clear ------->  |            | -- magic, ClientHello, Login ----> |
//!   |  <---- LoginResp, in clear --|            |  <-------------------- ServerHello-|
//!   | == each way: IV, AES-CFB === |            |  <---------------------- LoginResp-|
//!                                               | == each way: nonce, records ====== |
//! ```
//!
//! The machines never take a byte beyond a message, because another codec may begin right behind it. What
//! they give at the end is a [`Channel`]: how to go on.

pub mod client;
pub mod server;

use crate::crypto::transcript::Direction;
use crate::crypto::{Key, RecordKey, Transcript};
use crate::hello::Agreed;
use crate::release::Release;
use crate::wire::Framing;
pub use crate::wire::WireVersion;

/// What a control stream becomes after the login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// v1 frames inside one AES-CFB stream per direction ([`crate::crypto::cfb`]), with this key both ways.
    V1 {
        /// Derived from the token.
        key: Key,
    },
    /// v2 frames inside one stream of records per direction ([`crate::crypto::record`]).
    V2 {
        /// Of what we send.
        send: RecordKey,
        /// Of what the peer sends.
        receive: RecordKey,
    },
}

impl Channel {
    /// The framing of the control stream's messages.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match self {
            Self::V1 { .. } => Framing::V1,
            Self::V2 { .. } => Framing::V2,
        }
    }

    fn v2(token: &[u8], transcript: &Transcript, agreed: Agreed, ours: Direction) -> Self {
        let theirs = match ours {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        };
        let key = |direction| RecordKey::derive(token, transcript, agreed.algorithm, direction);
        Self::V2 { send: key(ours), receive: key(theirs) }
    }
}

/// Framing of the messages in the payload of work connections (udp, sudp, xtcp) of a session whose other side says
/// that it is of `version`.
fn payload_framing(agreed: Option<Agreed>, version: &str) -> Framing {
    match agreed {
        None => Framing::V1,
        Some(_) if version.parse().is_ok_and(Release::has_v1_payload) => Framing::V1,
        Some(Agreed { binary_udp: true, .. }) => Framing::V2BinaryUdp,
        Some(Agreed { binary_udp: false, .. }) => Framing::V2,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_v2;
