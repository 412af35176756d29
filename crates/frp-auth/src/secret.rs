//! The shared secret.

use std::fmt;
use std::sync::Arc;

/// `auth.token`: any bytes; empty is valid and the default. It proves logins and, whatever the method, is what
/// encryption keys are derived from. Debug output hides it; there is no `Display`.
#[derive(Clone, Default)]
pub struct Token(Arc<[u8]>);

impl Token {
    /// The bytes, for digests and key derivation.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is no secret at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Token(empty)" } else { "Token(redacted)" })
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Token {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl From<Vec<u8>> for Token {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_hides_it() {
        assert_eq!(format!("{:?}", Token::from("hunter2")), "Token(redacted)");
        assert_eq!(format!("{:?}", Token::default()), "Token(empty)");
    }
}
