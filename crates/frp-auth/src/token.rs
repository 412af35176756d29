//! Method `token`: a digest of the shared secret and a timestamp (upstream `pkg/auth/token.go`).
//!
//! Nothing checks that a timestamp is fresh, here or in upstream: a recorded login can be replayed. TLS is what
//! protects against that.

use std::time::{SystemTime, UNIX_EPOCH};

use frp_proto::Secret;
use frp_proto::digest::auth_key;

use crate::Token;

/// The key that goes with `timestamp`.
pub(crate) fn key(token: &Token, timestamp: i64) -> Secret {
    auth_key(token.as_bytes(), timestamp)
}

/// Whether `presented` is the key that goes with `timestamp`; takes the same time wherever they differ.
pub(crate) fn matches(token: &Token, timestamp: i64, presented: &Secret) -> bool {
    *presented == key(token, timestamp)
}

/// Now, in Unix seconds. A clock before 1970 gives 0, which the other side accepts like any other time.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}
