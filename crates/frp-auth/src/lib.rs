#![forbid(unsafe_code)]
//! Authentication of both programs: how a message proves that its sender may send it.
//!
//! What it does: fills in and checks the authentication fields of `Login`, `Ping` and `NewWorkConn`, and fetches
//! a token from a file or a program. The method is a closed set: `token`, and `oidc`, whose subject is `frp-oidc`.
//!
//! What it must never do: see the configuration (callers pass plain options), print a token or put one in an
//! error, or decide what happens to a message that is refused.
//!
//! # Map
//!
//! - [`Token`]: the shared secret, hidden from debug output
//! - [`Scopes`]: which messages besides `Login` are authenticated
//! - [`ClientAuth`] fills fields in, [`ServerAuth`] checks them; `token` holds the digest of the method `token`
//! - [`token_source`]: `auth.tokenSource` and `auth.oidc.tokenSource`, a file or a program's output

mod client;
mod secret;
mod server;
mod token;
pub mod token_source;

pub use client::{ClientAuth, Prepare, SetError};
pub use secret::Token;
pub use server::{Identity, ServerAuth, VerifyError};

/// `auth.additionalScopes`: which messages carry proof besides `Login`, which always does. Both ends must agree
/// in one direction: a scope that only the server has makes those messages fail. Default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// `HeartBeats`: `Ping`.
    pub heart_beats: bool,
    /// `NewWorkConns`: `NewWorkConn`.
    pub new_work_conns: bool,
}
