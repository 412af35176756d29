//! The names by which clients and proxies are known: newtypes, so that one cannot be passed for the other.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Names one client session across reconnects. Sixteen random lower-case hex characters when the server
/// chooses it; whatever the client says when the client brings one (upstream `server/service.go`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RunId(Arc<str>);

impl RunId {
    /// The id that a client asked for, or a new one when it asked for none.
    pub(crate) fn from_login(asked: &str) -> Self {
        if asked.is_empty() {
            Self(format!("{:016x}", rand::random::<u64>()).into())
        } else {
            Self(asked.into())
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for RunId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a proxy as it stands on the wire: with the `user.` prefix of its client, unique on this server.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ProxyName(Arc<str>);

impl ProxyName {
    /// In bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<&str> for ProxyName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for ProxyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for ProxyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_of_ours_is_sixteen_lower_case_hex_characters() {
        let id = RunId::from_login("");
        assert_eq!(id.as_str().len(), 16);
        assert!(id.as_str().chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)));
        assert_ne!(id, RunId::from_login(""));
    }

    #[test]
    fn a_run_id_that_the_client_brings_is_taken_as_it_is() {
        assert_eq!(RunId::from_login("Anything at all").as_str(), "Anything at all");
    }
}
