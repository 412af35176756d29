#![forbid(unsafe_code)]
//! OpenID Connect, as far as frp needs it: whether an issuer has signed a token, and getting one signed.
//!
//! What it does: [`Verifier`] discovers an issuer, fetches its keys and checks tokens against them;
//! [`ClientCredentials`] asks a token endpoint for a token and keeps it while it is good. Cryptography is that of
//! `jsonwebtoken`, over the library that TLS uses as well.
//!
//! What it must never do: show a token, a secret or an answer of a token endpoint in an error or in `Debug` output;
//! wait for an issuer without a deadline, or read more than [`MAX_BODY`] of an answer; ask an issuer as often as a
//! stranger likes; know what a token is good for (`frp-auth` does).
//!
//! The rules and texts are those of the libraries that the original uses: github.com/coreos/go-oidc v3.18.0,
//! github.com/go-jose/go-jose v4.1.4, golang.org/x/oauth2 v0.36.0 (upstream `pkg/auth/oidc.go`); see
//! `docs/protocol.md`, "OIDC".
//!
//! # Map
//!
//! - [`verify`]: discovery, and the checks of a token
//! - `jws`: the parts of a token, and its signature; `claims`: what it says; `keys`: the issuer's keys, fetched
//!   anew when they rotate
//! - [`credentials`]: the client credentials grant; `answer`: what a token endpoint says; `form`: its encoding
//! - [`http`]: one request to an issuer

mod answer;
mod claims;
pub mod credentials;
mod form;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
mod jws;
mod keys;
pub mod verify;

use std::time::Duration;

pub use credentials::{ClientCredentials, CredentialsOptions, TokenError};
pub use http::{Http, HttpOptions, SetupError};
pub use keys::REFETCH_INTERVAL;
pub use verify::{DiscoveryError, Verifier, VerifierOptions, VerifyError};

/// How long one errand may take, from a name to the end of a body, redirects and second tries included. Upstream waits
/// for ever.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer, in bytes; upstream's bound of a token endpoint's.
pub const MAX_BODY: usize = 1 << 20;
