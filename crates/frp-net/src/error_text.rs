//! Operating system errors in Go's words.
//!
//! Upstream prints `connection refused`; Rust prints `Connection refused (os error 111)`. Users search for the
//! former and upstream's tests compare it.

use std::io;

/// The text of an operating system error as Go's `syscall.Errno` prints it: the C library's text with a small
/// first letter and without a number. Errors that carry no system error number are returned unchanged.
#[must_use]
pub fn os_error(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else {
        return match error.kind() {
            io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
            io::ErrorKind::UnexpectedEof if error.get_ref().is_none() => "unexpected EOF".to_owned(),
            _ => error.to_string(),
        };
    };
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // An abbreviation such as "RFS" keeps its capitals.
        (Some(first), Some(second)) if first.is_ascii_uppercase() && !second.is_ascii_uppercase() => {
            format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn system_errors_read_like_go() {
        let text = |errno: rustix::io::Errno| os_error(&errno.into());
        assert_eq!(text(rustix::io::Errno::CONNREFUSED), "connection refused");
        assert_eq!(text(rustix::io::Errno::ADDRINUSE), "address already in use");
        assert_eq!(text(rustix::io::Errno::NETUNREACH), "network is unreachable");
        assert_eq!(text(rustix::io::Errno::MFILE), "too many open files");
        assert_eq!(text(rustix::io::Errno::PIPE), "broken pipe");
    }

    #[test]
    fn other_errors_keep_their_text() {
        assert_eq!(os_error(&io::Error::other("Some text")), "Some text");
        assert_eq!(os_error(&io::ErrorKind::TimedOut.into()), "i/o timeout");
    }
}
