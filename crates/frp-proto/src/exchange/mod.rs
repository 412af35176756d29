//! The exchange that opens a stream, as machines without I/O: bytes in, events and bytes out.
//!
//! ```text
//! client                                      server
//!   | -- Login, in clear -------------------->  |
//!   |  <------------------ LoginResp, in clear -|
//!   | == each direction: IV, then AES-CFB ===== |
//! ```
//!
//! The machines never take a byte beyond a message, because another codec may begin right behind it. What
//! they give at the end is a [`Channel`]: how to go on. The hello of wire version 2 will be a step before the
//! login in both machines, and its record cipher another kind of channel.

pub mod client;
pub mod server;

use crate::crypto::Key;

/// Which framing a stream uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WireVersion {
    /// See [`crate::v1`].
    V1,
}

/// What a control stream becomes after the login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// v1 frames inside one AES-CFB stream per direction ([`crate::crypto::cfb`]), with this key both ways.
    V1 {
        /// Derived from the token.
        key: Key,
    },
}

#[cfg(test)]
mod tests;
