//! Basic authentication, RFC 7617, as Go's `Request.BasicAuth` reads it.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use frp_proto::Secret;
use frp_proto::digest::constant_time_eq;

/// A user and a password. Never shows either.
#[derive(Clone, Default)]
pub struct Credentials {
    decoded: Vec<u8>,
    colon: usize,
}

impl Credentials {
    /// Reads the value of `Authorization` or `Proxy-Authorization`. The scheme may be in any case. `None` when it is
    /// of another scheme or does not decode.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (scheme, encoded) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let decoded = STANDARD.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        Some(Self { decoded, colon })
    }

    /// The name.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.decoded.get(..self.colon).unwrap_or_default()
    }

    fn password(&self) -> &[u8] {
        self.decoded.get(self.colon + 1..).unwrap_or_default()
    }

    /// Whether both are these, in a time that does not tell how much of them is right.
    #[must_use]
    pub fn are(&self, user: &str, password: &Secret) -> bool {
        // Both are always compared.
        constant_time_eq(self.user(), user.as_bytes())
            & constant_time_eq(self.password(), password.expose().as_bytes())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials() {
        let right = Credentials::parse(b"Basic Ym9iOnNlOmNyZXQ=").unwrap();
        assert_eq!(right.user(), b"bob");
        assert!(right.are("bob", &"se:cret".into()));
        assert!(!right.are("bob", &"se:cre".into()));
        assert!(!right.are("eve", &"se:cret".into()));
        assert!(Credentials::parse(b"bAsIc Ym9iOnNlOmNyZXQ=").unwrap().are("bob", &"se:cret".into()));
        assert!(!format!("{right:?}").contains("bob"));
        assert!(Credentials::parse(b"Basic OnB3").unwrap().are("", &"pw".into()));
    }

    #[test]
    fn what_is_none() {
        for value in
            ["", "Basic", "Basic ", "Basic !!!", "Basic Ym9i", "Basic Ym9iOnNlOmNyZXQ", "Bearer Ym9iOng="]
        {
            assert!(Credentials::parse(value.as_bytes()).is_none(), "{value}");
        }
    }
}
