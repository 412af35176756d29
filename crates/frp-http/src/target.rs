//! Targets of requests: path, query and authority. As Go's `net/url` takes them apart and puts them together.

use std::borrow::Cow;

use crate::head::HeadError;

/// A target, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `*`
    Asterisk,
    /// A path, with or without a query.
    Origin(PathQuery<'a>),
    /// What a client sends to a proxy: authority without user info, path (which may be empty) and query.
    Absolute {
        /// Host and port; not empty.
        authority: &'a [u8],
        /// The rest.
        path: PathQuery<'a>,
    },
    /// The host and port of a CONNECT.
    Authority(&'a [u8]),
}

/// A path and what follows it, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathQuery<'a> {
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    /// Takes a target apart.
    ///
    /// # Errors
    /// When it is none, or has a percent sign that begins no escape in its path.
    pub fn parse(method: &[u8], target: &'a [u8]) -> Result<Self, HeadError> {
        if method == b"CONNECT" {
            return if is_host(target) && !target.is_empty() {
                Ok(Self::Authority(target))
            } else {
                Err(HeadError::Malformed)
            };
        }
        match target {
            b"*" => Ok(Self::Asterisk),
            [b'/', ..] => Ok(Self::Origin(PathQuery::parse(target)?)),
            _ => Self::absolute(target),
        }
    }

    fn absolute(target: &'a [u8]) -> Result<Self, HeadError> {
        let at = memchr::memmem::find(target, b"://").ok_or(HeadError::Malformed)?;
        let (scheme, rest) = target.split_at(at);
        let known: [&[u8]; 4] = [b"http", b"https", b"ws", b"wss"];
        if !known.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(HeadError::Malformed);
        }
        let rest = rest.get(3..).unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // User info is nobody's business behind us.
        let host = memchr::memrchr(b'@', authority)
            .map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
        if !is_host(host) {
            return Err(HeadError::MalformedHost);
        }
        let path = PathQuery::parse(path)?;
        Ok(if host.is_empty() { Self::Origin(path) } else { Self::Absolute { authority: host, path } })
    }

    /// The decoded path, as routes see it: empty for a CONNECT.
    #[must_use]
    pub fn decoded_path(&self) -> Cow<'a, [u8]> {
        match self {
            Self::Asterisk => Cow::Borrowed(b"*"),
            Self::Origin(path) | Self::Absolute { path, .. } => path.decoded(),
            Self::Authority(_) => Cow::Borrowed(b""),
        }
    }

    /// Whether the client takes us for a proxy: the target says which host.
    #[must_use]
    pub fn is_for_proxy(&self) -> bool {
        matches!(self, Self::Absolute { .. } | Self::Authority(_))
    }
}

impl<'a> PathQuery<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, HeadError> {
        let (path, query) = match memchr::memchr(b'?', text) {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        let mut rest = path;
        while let Some(at) = memchr::memchr(b'%', rest) {
            rest = rest.get(at + 1..).unwrap_or_default();
            if unhex(rest).is_none() {
                return Err(HeadError::Malformed);
            }
        }
        Ok(Self { path, query })
    }

    fn decoded(&self) -> Cow<'a, [u8]> {
        if memchr::memchr(b'%', self.path).is_none() {
            Cow::Borrowed(self.path)
        } else {
            decode(self.path).into()
        }
    }

    /// Writes it as it goes to a backend: escapes where they are missing, and a query that every reader cuts alike.
    /// An empty path becomes `/`.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.path.is_empty() {
            out.push(b'/');
        } else if self.path.iter().all(|byte| may_stand_in_path(*byte)) {
            out.extend_from_slice(self.path);
        } else {
            escape(out, &self.decoded(), may_stay_in_path);
        }
        if let Some(query) = self.query {
            out.push(b'?');
            write_query(out, query);
        }
    }
}

/// Go `net/http/httputil/reverseproxy.go`, `cleanQueryParams`: a query with `;` or a bad escape is written anew, without
/// the parts that cannot be read, sorted by key.
fn write_query(out: &mut Vec<u8>, query: &[u8]) {
    let readable = |text: &[u8]| {
        let mut rest = text;
        while let Some(at) = memchr::memchr2(b'%', b';', rest) {
            if rest.get(at) == Some(&b';') {
                return false;
            }
            rest = rest.get(at + 1..).unwrap_or_default();
            if unhex(rest).is_none() {
                return false;
            }
        }
        true
    };
    if readable(query) {
        out.extend_from_slice(query);
        return;
    }
    let parts = query.split(|byte| *byte == b'&').filter(|part| !part.is_empty() && readable(part));
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = parts
        .map(|part| {
            let mut halves = part.splitn(2, |byte| *byte == b'=');
            let mut half = || {
                let spaced: Vec<u8> = halves.next().unwrap_or_default().to_vec();
                let spaced: Vec<u8> =
                    spaced.into_iter().map(|byte| if byte == b'+' { b' ' } else { byte }).collect();
                decode(&spaced)
            };
            (half(), half())
        })
        .collect();
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    for (at, (key, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        escape(out, key, is_unreserved);
        out.push(b'=');
        escape(out, value, is_unreserved);
    }
}

/// Writes everything but what `stays` as `%XX`; in a query a space as `+`.
fn escape(out: &mut Vec<u8>, text: &[u8], stays: fn(u8) -> bool) {
    for byte in text {
        if stays(*byte) {
            out.push(*byte);
        } else if *byte == b' ' && !stays(b'/') {
            out.push(b'+');
        } else {
            let digit = |digit: u8| b"0123456789ABCDEF"[usize::from(digit & 0xf)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]);
        }
    }
}

/// Escapes decoded; those that are none stay.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        match unhex(tail).filter(|_| *first == b'%') {
            Some(byte) => {
                decoded.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

fn unhex(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match text {
        [high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

/// Bytes that a path which is written anew keeps.
fn may_stay_in_path(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'@')
}

/// Bytes that let a path pass as it is.
fn may_stand_in_path(byte: u8) -> bool {
    may_stay_in_path(byte) || matches!(byte, b'!' | b'\'' | b'(' | b')' | b'*' | b'[' | b']' | b'%')
}

/// Whether a `Host` field or an authority may have this value. Go `golang.org/x/net/http/httpguts`,
/// `ValidHostHeader`.
#[must_use]
pub fn is_host(text: &[u8]) -> bool {
    text.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b'-'
                    | b'.'
                    | b':'
                    | b';'
                    | b'='
                    | b'['
                    | b']'
                    | b'_'
                    | b'~'
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(target: &str) -> String {
        let mut out = Vec::new();
        match Target::parse(b"GET", target.as_bytes()).unwrap() {
            Target::Origin(path) => path.write(&mut out),
            Target::Absolute { authority, path } => {
                out.extend_from_slice(authority);
                out.push(b' ');
                path.write(&mut out);
            }
            other => panic!("{other:?}"),
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paths_and_queries() {
        for (target, expected) in [
            ("/", "/"),
            ("/%61%2F//../;a:b@c!$&'()*+,=[]", "/%61%2F//../;a:b@c!$&'()*+,=[]"),
            ("/p#frag", "/p%23frag"),
            ("/ü", "/%C3%BC"),
            ("/[a]{b}|\"<>\\^`", "/%5Ba%5D%7Bb%7D%7C%22%3C%3E%5C%5E%60"),
            ("/p?", "/p?"),
            ("/p?a=1&b=2&a=3", "/p?a=1&b=2&a=3"),
            ("/p?a=1;b=2&c=3", "/p?c=3"),
            ("/p?b=2&a=%zz&c=%20+", "/p?b=2&c=++"),
            ("/p?b=x;&z&a=%2f%zz&a=%2F", "/p?a=%2F&z="),
            ("/p?x=[a]{b}|\"'<>\\^`", "/p?x=[a]{b}|\"'<>\\^`"),
            ("http://a.test", "a.test /"),
            ("HTTP://A.test:80?q=1", "A.test:80 /?q=1"),
            ("https://u:p@a.test/p?q", "a.test /p?q"),
            ("http:///p", "/p"),
        ] {
            assert_eq!(written(target), expected, "{target}");
        }
    }

    #[test]
    fn what_is_no_target() {
        for target in ["foo", "?x=1", "/%zz", "/%4", "ftp://a/", "://a/", "http://a b/", "http://a\"/"] {
            assert!(Target::parse(b"GET", target.as_bytes()).is_err(), "{target}");
        }
        for target in ["/path", "", "http://a/", "a@b:80"] {
            assert!(Target::parse(b"CONNECT", target.as_bytes()).is_err(), "{target}");
        }
        assert_eq!(Target::parse(b"CONNECT", b"a:80"), Ok(Target::Authority(b"a:80")));
        assert_eq!(Target::parse(b"BREW", b"*"), Ok(Target::Asterisk));
    }

    #[test]
    fn routes_see_decoded_paths() {
        let path = |target: &'static str| Target::parse(b"GET", target.as_bytes()).unwrap().decoded_path();
        assert_eq!(&*path("/a%2Fb%20?/c"), b"/a/b ");
        assert_eq!(&*path("http://a"), b"");
        assert_eq!(&*path("*"), b"*");
    }

    #[test]
    fn hosts() {
        assert!(is_host(b"[::1]:80") && is_host(b"a_b.test:abc") && is_host(b""));
        assert!(!is_host(b"a b") && !is_host(b"u@a") && !is_host(b"a\"") && !is_host("ü".as_bytes()));
    }
}
