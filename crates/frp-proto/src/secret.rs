//! Texts that prove something: tokens, passwords, secret keys, and what is made of them.

use std::fmt;

use crate::digest::constant_time_eq;

/// A text that `Debug` never shows and that `==` compares in constant time.
///
/// Comparing it is therefore always right, with another secret as well as with a plain text. What would not be is
/// comparing what [`Secret::expose`] gives, which `tests/secrets.sh` looks for; there is no other way to the text:
///
/// ```compile_fail
/// let secret = frp_proto::Secret::from("hunter2");
/// let text: &str = &secret;
/// ```
#[derive(Clone, Default, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself. Name it where it is needed, and keep it out of messages and comparisons.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For code of this crate that fills the text in.
    pub(crate) const fn text_mut(&mut self) -> &mut String {
        &mut self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "<redacted>" })
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        *self == *other.0
    }
}

impl PartialEq<str> for Secret {
    fn eq(&self, other: &str) -> bool {
        constant_time_eq(self.0.as_bytes(), other.as_bytes())
    }
}

impl PartialEq<&str> for Secret {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "<redacted>");
        assert_eq!(format!("{:?}", Secret::default()), "\"\"");
    }

    #[test]
    fn equality() {
        let secret = Secret::from("hunter2");
        assert_eq!(secret, Secret::from("hunter2".to_owned()));
        assert_eq!(secret, "hunter2");
        assert_ne!(secret, "hunter");
        assert_ne!(secret, Secret::default());
        assert!(Secret::default().is_empty() && !secret.is_empty());
    }
}
