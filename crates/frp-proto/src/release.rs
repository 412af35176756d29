//! Which release of the original a peer says that it is, where that matters.
//!
//! The version in `Login` and `LoginResp` is the peer's own word; it decides on nothing but how to get along with it.

use std::str::FromStr;

/// A release, as peers tell it: three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release([u32; 3]);

/// The text tells no release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no release")]
pub struct NoRelease;

impl Release {
    /// Of these numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self([major, minor, patch])
    }

    /// Whether a server of it ends every session on which no `Ping` came for 90 s, with `tcpMux`, too. Clients since
    /// v0.58.0 send none there by themselves. Upstream `server/control.go`, until v0.38.
    #[must_use]
    pub fn ends_sessions_without_pings(self) -> bool {
        self < Self::new(0, 39, 0)
    }

    /// Whether it frames the payload of udp and sudp connections as in wire version 1 although the session is of
    /// version 2: the one release that did, the first one of version 2. Upstream `client/proxy/udp.go`.
    #[must_use]
    pub fn has_v1_payload(self) -> bool {
        self == Self::new(0, 69, 0)
    }
}

impl FromStr for Release {
    type Err = NoRelease;

    fn from_str(text: &str) -> Result<Self, NoRelease> {
        let mut numbers = text.splitn(3, '.').map(|number| number.parse().map_err(|_| NoRelease));
        let mut next = || numbers.next().unwrap_or(Err(NoRelease));
        Ok(Self([next()?, next()?, next()?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_compared_by_number() {
        assert_eq!("0.9.10".parse(), Ok(Release::new(0, 9, 10)));
        assert!(Release::new(0, 9, 10) < Release::new(0, 38, 0));
        for text in ["", "0.70", "v0.70.1", "0.70.1.2", "0.70.x", "0..1", "0.70.99999999999"] {
            assert_eq!(text.parse::<Release>(), Err(NoRelease), "{text}");
        }
    }

    #[test]
    fn what_differs_between_releases() {
        for (text, needs_pings, v1_payload) in [
            ("0.29.1", true, false),
            ("0.38.1", true, false),
            ("0.39.0", false, false),
            ("0.69.0", false, true),
            ("0.69.1", false, false),
            ("1.0.0", false, false),
        ] {
            let release: Release = text.parse().unwrap();
            assert_eq!(
                (release.ends_sessions_without_pings(), release.has_v1_payload()),
                (needs_pings, v1_payload)
            );
        }
    }
}
