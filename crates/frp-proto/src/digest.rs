//! The keys that prove knowledge of the token or of a secret key, and comparing them.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::Secret;

/// `privilege_key` of a login, ping or work connection: the lower-case hex MD5 of `token` followed by
/// `timestamp` (Unix seconds) in decimal, nothing between them.
///
/// The `sign_key` of a visitor is the same function of its secret key. An empty token is valid. Nothing
/// checks the timestamp's freshness, here or in the original. Upstream `pkg/util/util/util.go`.
///
/// ```
/// use frp_proto::digest::auth_key;
/// assert_eq!(auth_key(b"123", 1_700_000_000), "8c89053b65639170f09e7b2bef70ed0c");
/// ```
#[must_use]
pub fn auth_key(token: &[u8], timestamp: i64) -> Secret {
    let mut md5 = Md5::new();
    md5.update(token);
    md5.update(timestamp.to_string());
    let mut hex = String::with_capacity(32);
    for byte in md5.finalize() {
        for nibble in [byte >> 4, byte & 0xf] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    hex.into()
}

/// Whether two keys are equal, in a time that depends on their lengths alone. Everything secret is compared with this,
/// most of it through [`Secret`].
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_keys() {
        assert_eq!(auth_key(b"123", 1_700_000_000), "8c89053b65639170f09e7b2bef70ed0c");
        assert_eq!(auth_key(b"", 1_700_000_000), "24920decf83f6960b80f737a28eeafc1");
        assert_eq!(auth_key(b"abc", 1_700_000_000), "22bd6333f840eeeee03ad14f75fd96ac");
    }

    #[test]
    fn negative_timestamps_keep_their_sign() {
        assert_eq!(auth_key(b"x-", 5), auth_key(b"x", -5));
    }

    #[test]
    fn equality() {
        assert!(constant_time_eq(b"", b""));
        assert!(constant_time_eq(b"abc", b"abc"));
        assert!(!constant_time_eq(b"abc", b"abd"));
        assert!(!constant_time_eq(b"abc", b"ab"));
    }
}
