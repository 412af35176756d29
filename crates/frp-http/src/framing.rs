//! Where the body of a message ends, by its head. RFC 9112 6.
//!
//! A message that two readers could cut differently is refused, also where the original would pass on its own reading
//! of it: length and chunks together, different lengths, a transfer encoding in HTTP/1.0, framing fields that are
//! folded or, in requests, stand in a head with bare line feeds.

use crate::head::{Fields, HeadError, RequestHead, ResponseHead, Version, tokens};
use crate::name::Name;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes, at least one.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection. Responses only.
    UntilClose,
}

/// How the body of a request ends.
///
/// # Errors
/// When that is not certain.
pub fn of_request(head: &RequestHead, bytes: &[u8]) -> Result<Framing, HeadError> {
    let fields = head.fields();
    let mut announced = fields.values(bytes, Name::Trailer).flat_map(tokens).map(Name::of);
    if announced.any(|name| matches!(name, Name::ContentLength | Name::TransferEncoding | Name::Trailer)) {
        return Err(HeadError::Malformed);
    }
    // Nobody else than we reads the responses of a backend, and some old ones know no CR.
    if fields.has_doubtful_framing() {
        return Err(HeadError::Ambiguous);
    }
    let coded = is_coded(fields, bytes, head.version())?;
    let length = length(fields, bytes)?;
    match (coded, length) {
        (true, Some(_)) => Err(HeadError::Ambiguous),
        (true, None) => Ok(Framing::Chunked),
        (false, None | Some(0)) => Ok(Framing::None),
        (false, Some(length)) => Ok(Framing::Length(length)),
    }
}

/// How the body of a response ends; `to_head` says that the request's method was HEAD.
///
/// # Errors
/// When that is not certain.
pub fn of_response(head: &ResponseHead, bytes: &[u8], to_head: bool) -> Result<Framing, HeadError> {
    let fields = head.fields();
    let coded = is_coded(fields, bytes, head.version())?;
    let length = length(fields, bytes)?;
    if to_head || matches!(head.status(), 100..=199 | 204 | 304) {
        return Ok(Framing::None);
    }
    match (coded, length) {
        (true, Some(_)) => Err(HeadError::Ambiguous),
        (true, None) => Ok(Framing::Chunked),
        (false, Some(0)) => Ok(Framing::None),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::UntilClose),
    }
}

/// Whether the body is in chunks.
fn is_coded(fields: &Fields, bytes: &[u8], version: Version) -> Result<bool, HeadError> {
    if fields.has_folded_framing() {
        return Err(HeadError::Ambiguous);
    }
    let mut codings = fields.values(bytes, Name::TransferEncoding);
    let Some(coding) = codings.next() else { return Ok(false) };
    if version == Version::Http10 {
        return Err(HeadError::Ambiguous);
    }
    if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
        return Err(HeadError::TransferEncoding);
    }
    Ok(true)
}

/// The length, if there is one: digits only, and the same in all fields of that name.
pub(crate) fn length(fields: &Fields, bytes: &[u8]) -> Result<Option<u64>, HeadError> {
    let mut length = None;
    for value in fields.values(bytes, Name::ContentLength) {
        let number = number(value).ok_or(HeadError::Malformed)?;
        if length.is_some_and(|length| length != number) {
            return Err(HeadError::Ambiguous);
        }
        length = Some(number);
    }
    Ok(length)
}

/// A number that also fits a signed one, as the original's.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    i64::try_from(number).is_ok().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &str) -> Result<Framing, HeadError> {
        versioned("1.1", fields)
    }

    fn versioned(version: &str, fields: &str) -> Result<Framing, HeadError> {
        let mut bytes = format!("POST / HTTP/{version}\r\n{fields}\r\n").into_bytes();
        let mut head = RequestHead::default();
        head.parse(&mut bytes)?;
        of_request(&head, &bytes)
    }

    fn response(to_head: bool, text: &str) -> Result<Framing, HeadError> {
        let mut bytes = format!("HTTP/1.1 {text}\r\n").into_bytes();
        let mut head = ResponseHead::default();
        head.parse(&mut bytes)?;
        of_response(&head, &bytes, to_head)
    }

    #[test]
    fn requests() {
        assert_eq!(request(""), Ok(Framing::None));
        assert_eq!(request("Content-Length: 0\r\n"), Ok(Framing::None));
        assert_eq!(request("Content-Length: 003\r\nContent-Length: 3\r\n"), Ok(Framing::Length(3)));
        assert_eq!(request("Transfer-Encoding: \tCHUNKED\t\r\n"), Ok(Framing::Chunked));
        assert_eq!(request("Content_Length: 3\r\n"), Ok(Framing::None));
    }

    #[test]
    fn smuggling() {
        use HeadError::{Ambiguous, Malformed, TransferEncoding};
        for (fields, error) in [
            ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", Ambiguous),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Ambiguous),
            ("Content-Length: 3\r\nContent-Length: 5\r\n", Ambiguous),
            ("Content-Length: +3\r\n", Malformed),
            ("Content-Length: -3\r\n", Malformed),
            ("Content-Length: 0x3\r\n", Malformed),
            ("Content-Length: 3, 3\r\n", Malformed),
            ("Content-Length:\r\n", Malformed),
            ("Content-Length: 99999999999999999999\r\n", Malformed),
            ("Content-Length: 9223372036854775808\r\n", Malformed),
            ("Content-Length: 3\r\n 4\r\n", Ambiguous),
            ("Content-Length:\r\n 3\r\n", Ambiguous),
            ("Transfer-Encoding:\r\n chunked\r\n", Ambiguous),
            ("X: y\nTransfer-Encoding: chunked\r\n", Ambiguous),
            ("Content-Length: 3\nX: y\r\n", Ambiguous),
            ("Transfer-Encoding: xchunked\r\n", TransferEncoding),
            ("Transfer-Encoding: chunked, identity\r\n", TransferEncoding),
            ("Transfer-Encoding: identity\r\n", TransferEncoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", TransferEncoding),
            ("Transfer-Encoding: \"chunked\"\r\n", TransferEncoding),
            ("Transfer-Encoding: \r\n", TransferEncoding),
            ("Transfer-Encoding: gzip, chunked\r\n", TransferEncoding),
            ("Transfer-Encoding: chunked\r\nTrailer: X, content-length\r\n", Malformed),
        ] {
            assert_eq!(request(fields), Err(error), "{fields:?}");
        }
        assert_eq!(versioned("1.0", "Transfer-Encoding: chunked\r\n"), Err(Ambiguous));
    }

    #[test]
    fn responses() {
        assert_eq!(response(false, "200 OK\r\n"), Ok(Framing::UntilClose));
        assert_eq!(
            response(false, "200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n"),
            Ok(Framing::Length(2))
        );
        assert_eq!(response(false, "204 No\r\nContent-Length: 2\r\n"), Ok(Framing::None));
        assert_eq!(response(true, "200 OK\r\nTransfer-Encoding: chunked\r\n"), Ok(Framing::None));
        assert_eq!(response(false, "200 OK\r\nTransfer-Encoding: chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(response(false, "200 OK\nContent-Length: 2\n"), Ok(Framing::Length(2)));
        assert!(response(false, "200 OK\r\nContent-Length:\r\n 2\r\n").is_err());
        assert!(response(false, "200 OK\r\nContent-Length: 2x\r\n").is_err());
        assert!(response(false, "200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n").is_err());
        assert!(response(false, "200 OK\r\nTransfer-Encoding: gzip, chunked\r\n").is_err());
        assert!(response(false, "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n").is_err());
    }
}
