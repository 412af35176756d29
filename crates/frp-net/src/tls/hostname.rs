//! Whether a certificate is for the host that was dialled: Go's `Certificate.VerifyHostname`.
//!
//! The subject's common name plays no part; an IP literal is only looked for among the IP addresses.

use std::fmt;
use std::net::IpAddr;

use super::certificate::Certificate;

/// A certificate for other names than the wanted one. Displays as Go's `x509.HostnameError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostnameError(String);

impl fmt::Display for HostnameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names listed in an error before only their number is given.
const MOST_NAMES: usize = 100;

/// Checks that `certificate` names `host`, a name or an IP literal with or without brackets.
pub(super) fn verify(certificate: &Certificate, host: &str) -> Result<(), HostnameError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return if certificate.ip_addresses.contains(&ip.to_canonical()) {
            Ok(())
        } else {
            Err(wrong_address(certificate, bare))
        };
    }
    let wanted = host.to_ascii_lowercase();
    let is_name = is_host_name(wanted.strip_suffix('.').unwrap_or(&wanted), false);
    let matches = |pattern: &String| {
        let pattern = pattern.to_ascii_lowercase();
        if is_name && is_host_name(&pattern, true) {
            matches_name(&pattern, &wanted)
        } else {
            // Not a name that could be resolved: only the very same text matches.
            !matches!(pattern.as_str(), "" | ".") && pattern == wanted
        }
    };
    if certificate.dns_names.iter().any(matches) { Ok(()) } else { Err(wrong_name(certificate, host)) }
}

/// Whether `name` is a host name as far as matching goes: letters, digits, inner hyphens and underscores, and
/// in a pattern a leftmost label `*`.
fn is_host_name(name: &str, is_pattern: bool) -> bool {
    name != "*"
        && name.split('.').enumerate().all(|(index, label)| {
            if is_pattern && index == 0 && label == "*" {
                return true;
            }
            !label.is_empty()
                && !label.starts_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Label by label, without the trailing dot of an absolute name; `*` stands for one whole leftmost label. Both
/// are in small letters.
fn matches_name(pattern: &str, wanted: &str) -> bool {
    let wanted = wanted.strip_suffix('.').unwrap_or(wanted);
    match (pattern.strip_prefix("*."), wanted.split_once('.')) {
        (Some(pattern), Some((_, wanted))) => pattern == wanted,
        (Some(_), None) => false,
        (None, _) => pattern == wanted,
    }
}

fn wrong_address(certificate: &Certificate, host: &str) -> HostnameError {
    let addresses = &certificate.ip_addresses;
    HostnameError(match addresses.len() {
        0 => format!("x509: cannot validate certificate for {host} because it doesn't contain any IP SANs"),
        n if n >= MOST_NAMES => {
            format!("x509: certificate is valid for {n} IP SANs, but none matched {host}")
        }
        _ => {
            let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("x509: certificate is valid for {list}, not {host}")
        }
    })
}

fn wrong_name(certificate: &Certificate, host: &str) -> HostnameError {
    let names = &certificate.dns_names;
    let common_name = certificate.common_name.to_ascii_lowercase();
    let legacy = certificate.alternative_names.is_none()
        && !common_name.is_empty()
        && matches_name(&common_name, &host.to_ascii_lowercase());
    HostnameError(match names.len() {
        _ if legacy => "x509: certificate relies on legacy Common Name field, use SANs instead".to_owned(),
        0 => format!("x509: certificate is not valid for any names, but wanted to match {host}"),
        n if n >= MOST_NAMES => format!("x509: certificate is valid for {n} names, but none matched {host}"),
        _ => format!("x509: certificate is valid for {}, not {host}", names.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let matches = |pattern: &str, wanted: &str| {
            is_host_name(pattern, true) && is_host_name(wanted, false) && matches_name(pattern, wanted)
        };
        for (pattern, wanted) in [
            ("frps.example.com", "frps.example.com"),
            ("*.example.com", "frps.example.com"),
            ("my_host", "my_host"),
            ("*.com", "example.com"),
        ] {
            assert!(matches(pattern, wanted), "{pattern} {wanted}");
        }
        for (pattern, wanted) in [
            ("example.com", "frps.example.com"),
            ("*.example.com", "example.com"),
            ("*.example.com", "a.frps.example.com"),
            ("*", "example"),
            ("f*.example.com", "frps.example.com"),
            ("frps.*.com", "frps.example.com"),
            ("", ""),
            (".example.com", ".example.com"),
            ("-a.com", "-a.com"),
        ] {
            assert!(!matches(pattern, wanted), "{pattern} {wanted}");
        }
        assert!(matches_name("frps.example.com", "frps.example.com."), "an absolute name");
    }
}
