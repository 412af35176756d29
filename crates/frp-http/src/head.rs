//! Heads of requests and responses: a line, fields, an empty line.
//!
//! Parsing finds out where things are and copies nothing; a head that is parsed into is used again. What Go's
//! `net/http` and `net/textproto` accept is accepted: bare LF line ends and folded fields (a fold becomes one space),
//! except where framing is at stake; see [`crate::framing`].

use memchr::memchr;

use crate::name::Name;

/// Longest head of a request, its request line included: what passes Go's server with 1 MiB of
/// `DefaultMaxHeaderBytes`.
pub const MAX_REQUEST_HEAD: usize = 1_052_686;
/// Longest head of a response. Go `net/http/transport.go`, `maxHeaderResponseSize`.
pub const MAX_RESPONSE_HEAD: usize = 10 << 20;

/// What is wrong with a head. Displays as the original's status line and body for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It has not the form of a head.
    #[error("400 Bad Request")]
    Malformed,
    /// The name of a field has a byte that no name has.
    #[error("400 Bad Request: invalid header name")]
    Name,
    /// The value of a field has a byte that no value has.
    #[error("400 Bad Request: invalid header value")]
    Value,
    /// HTTP/1.1 and no `Host`.
    #[error("400 Bad Request: missing required Host header")]
    MissingHost,
    /// A `Host` that is no host.
    #[error("400 Bad Request: malformed Host header")]
    MalformedHost,
    /// What follows the head could be taken for more than one thing.
    #[error("400 Bad Request: ambiguous message framing")]
    Ambiguous,
    /// Longer than the limit.
    #[error("431 Request Header Fields Too Large")]
    TooLarge,
    /// A transfer encoding other than just `chunked`.
    #[error("501 Not Implemented: unsupported transfer encoding")]
    TransferEncoding,
    /// Another version of HTTP.
    #[error("505 HTTP Version Not Supported: unsupported protocol version")]
    Version,
}

impl HeadError {
    /// The status that a request with this fault is answered with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed
            | Self::Name
            | Self::Value
            | Self::MissingHost
            | Self::MalformedHost
            | Self::Ambiguous => 400,
            Self::TooLarge => 431,
            Self::TransferEncoding => 501,
            Self::Version => 505,
        }
    }
}

/// Where something stands in the bytes of its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: number(start), end: number(end) }
    }

    /// The bytes themselves. `head` is what was parsed; other bytes give other bytes, or none.
    #[must_use]
    pub fn of(self, head: &[u8]) -> &[u8] {
        head.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// A version of HTTP/1. Later minor versions count as 1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

/// One field of a head or of trailers.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Which one it is, if that matters to anybody.
    pub known: Name,
    /// Its name as it was written.
    pub name: Span,
    /// Its value without white space around it.
    pub value: Span,
    /// It was written over several lines.
    folded: bool,
}

/// The fields of a head.
#[derive(Debug, Default)]
pub struct Fields {
    list: Vec<Field>,
    /// Some line ended in a bare LF.
    bare_lf: bool,
    /// Some line ended as it should.
    crlf: bool,
}

impl Fields {
    /// All of them, in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Field> {
        self.list.iter()
    }

    /// The values of one field, in their order.
    pub fn values<'a>(&'a self, head: &'a [u8], name: Name) -> impl Iterator<Item = &'a [u8]> {
        self.list.iter().filter(move |field| field.known == name).map(|field| field.value.of(head))
    }

    /// The first value of a field.
    #[must_use]
    pub fn get<'a>(&'a self, head: &'a [u8], name: Name) -> Option<&'a [u8]> {
        self.values(head, name).next()
    }

    /// The first value of a field by any name.
    #[must_use]
    pub fn get_by_name<'a>(&'a self, head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
        let named = self.list.iter().find(|field| field.name.of(head).eq_ignore_ascii_case(name));
        named.map(|field| field.value.of(head))
    }

    /// Whether there is such a field.
    #[must_use]
    pub fn has(&self, name: Name) -> bool {
        self.list.iter().any(|field| field.known == name)
    }

    /// Whether a field that is a list of tokens has `token`, in any case.
    #[must_use]
    pub fn has_token(&self, head: &[u8], name: Name, token: &[u8]) -> bool {
        self.values(head, name).flat_map(tokens).any(|other| other.eq_ignore_ascii_case(token))
    }

    /// A field that says where the body ends was folded.
    pub(crate) fn has_folded_framing(&self) -> bool {
        self.list.iter().any(|field| field.folded && field.frames())
    }

    /// A bare LF makes it doubtful to which line a field belongs that says where the body ends.
    pub(crate) fn has_doubtful_framing(&self) -> bool {
        self.bare_lf && self.list.iter().any(Field::frames)
    }

    /// Parses lines up to the empty line or the end of `bytes`, from `at` on.
    fn parse(&mut self, bytes: &mut [u8], mut at: usize, side: Side) -> Result<(), HeadError> {
        self.list.clear();
        let mut last: Option<Field> = None;
        while let Some(line) = Line::at(bytes, at) {
            self.ended(&line);
            if line.is_empty() {
                // A head of proper lines that ends in a bare LF: others do not see its end here.
                let mixed = line.bare && self.crlf;
                self.list.extend(last);
                return if mixed { Err(HeadError::Ambiguous) } else { Ok(()) };
            }
            let first = bytes.get(line.start).copied().unwrap_or_default();
            if matches!(first, b' ' | b'\t') {
                let field = last.as_mut().ok_or(HeadError::Malformed)?;
                field.unfold(bytes, &line)?;
            } else {
                self.list.extend(last.take());
                last = Field::parse(bytes, &line, side)?;
            }
            at = line.next;
        }
        self.list.extend(last);
        if at == bytes.len() { Ok(()) } else { Err(HeadError::Malformed) }
    }

    fn ended(&mut self, line: &Line) {
        self.bare_lf |= line.bare;
        self.crlf |= !line.bare;
    }
}

/// Requests with a bad name are refused, responses lose that field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// A line of a head. `end` is where its text ends, `next` where the next line begins.
struct Line {
    start: usize,
    end: usize,
    next: usize,
    bare: bool,
}

impl Line {
    fn at(bytes: &[u8], start: usize) -> Option<Self> {
        let lf = start + memchr(b'\n', bytes.get(start..)?)?;
        let bare = lf == start || bytes.get(lf - 1) != Some(&b'\r');
        Some(Self { start, end: if bare { lf } else { lf - 1 }, next: lf + 1, bare })
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

impl Field {
    fn frames(&self) -> bool {
        matches!(self.known, Name::ContentLength | Name::TransferEncoding)
    }

    /// `None` where a response has a name that is none.
    fn parse(bytes: &[u8], line: &Line, side: Side) -> Result<Option<Self>, HeadError> {
        let text = bytes.get(line.start..line.end).unwrap_or_default();
        let colon = memchr(b':', text).ok_or(HeadError::Malformed)?;
        let (name, value) = text.split_at(colon);
        if name.is_empty() {
            return Err(HeadError::Malformed);
        }
        let value = trim_in(value, line.start + colon, 1);
        if !is_value(value.of(bytes)) {
            return Err(HeadError::Value);
        }
        if !is_token(name) {
            return if side == Side::Request { Err(HeadError::Name) } else { Ok(None) };
        }
        let (known, name) = (Name::of(name), Span::new(line.start, line.start + colon));
        Ok(Some(Self { known, name, value, folded: false }))
    }

    /// Moves the text of a continuation line to the end of the value, behind one space.
    fn unfold(&mut self, bytes: &mut [u8], line: &Line) -> Result<(), HeadError> {
        self.folded = true;
        let more = trim_in(bytes.get(line.start..line.end).unwrap_or_default(), line.start, 0);
        if !is_value(more.of(bytes)) {
            return Err(HeadError::Value);
        }
        let (from, to) = (more.start as usize, more.end as usize);
        let mut end = self.value.end as usize;
        if from < to {
            // The line's end and the space in front of the text leave more room than the one space takes.
            if self.value.start < self.value.end && end < from {
                bytes[end] = b' ';
                end += 1;
            }
            bytes.copy_within(from..to, end);
            end += to - from;
        }
        self.value = Span::new(self.value.start as usize, end);
        Ok(())
    }
}

/// The part of `text` behind `skip` bytes without white space around it; `text` stands at `at`.
fn trim_in(text: &[u8], at: usize, skip: usize) -> Span {
    let rest = text.get(skip..).unwrap_or_default();
    let start = rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len());
    let end = rest.iter().rposition(|byte| !is_space(*byte)).map_or(start, |last| last + 1);
    Span::new(at + skip + start, at + skip + end)
}

/// The head of a request.
#[derive(Debug, Default)]
pub struct RequestHead {
    method: Span,
    target: Span,
    version: Version,
    fields: Fields,
}

impl RequestHead {
    /// Parses a whole head, up to and with its empty line. Folded fields are unfolded in place.
    ///
    /// # Errors
    /// When it is none, or none of HTTP/1. Framing, host and target are looked at by others.
    pub fn parse(&mut self, head: &mut [u8]) -> Result<(), HeadError> {
        let line = Line::at(head, 0).ok_or(HeadError::Malformed)?;
        self.fields.bare_lf = line.bare;
        self.fields.crlf = !line.bare;
        let text = head.get(..line.end).unwrap_or_default();
        let first = memchr(b' ', text).ok_or(HeadError::Malformed)?;
        let last = memchr::memrchr(b' ', text).ok_or(HeadError::Malformed)?;
        self.method = Span::new(0, first);
        self.target = Span::new(first + 1, last);
        let target = self.target.of(head);
        if !is_token(self.method.of(head))
            || target.is_empty()
            || !target.iter().all(|byte| is_visible(*byte))
        {
            return Err(HeadError::Malformed);
        }
        self.version = version(text.get(last + 1..).unwrap_or_default())?;
        self.fields.parse(head, line.next, Side::Request)
    }

    /// The method, in its own case.
    #[must_use]
    pub fn method<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.method.of(head)
    }

    /// The target as it was written.
    #[must_use]
    pub fn target<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.target.of(head)
    }

    /// The version of the client.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// `HTTP/1.` and a digit; everything else is an error, other major versions one of their own.
fn version(text: &[u8]) -> Result<Version, HeadError> {
    match text {
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
            match (major, minor) {
                (b'1', b'0') => Ok(Version::Http10),
                (b'1', _) => Ok(Version::Http11),
                _ => Err(HeadError::Version),
            }
        }
        _ => Err(HeadError::Malformed),
    }
}

/// The head of a response.
#[derive(Debug, Default)]
pub struct ResponseHead {
    version: Version,
    status: u16,
    reason: Span,
    fields: Fields,
}

impl ResponseHead {
    /// Parses a whole head, up to and with its empty line. A field whose name is no name is left out. Any version
    /// that says it is HTTP counts as 1.1, except 1.0.
    ///
    /// # Errors
    /// When it is none, with a status below 100 too.
    pub fn parse(&mut self, head: &mut [u8]) -> Result<(), HeadError> {
        let line = Line::at(head, 0).ok_or(HeadError::Malformed)?;
        self.fields.bare_lf = line.bare;
        self.fields.crlf = !line.bare;
        let text = head.get(..line.end).unwrap_or_default();
        let (proto, rest) = text.split_at(memchr(b' ', text).ok_or(HeadError::Malformed)?);
        self.version = match version(proto) {
            Ok(version) => version,
            Err(HeadError::Version) => Version::Http11,
            Err(error) => return Err(error),
        };
        let skipped = rest.iter().take_while(|byte| **byte == b' ').count();
        let at = proto.len() + skipped;
        let digits = text.get(at..at + 3).ok_or(HeadError::Malformed)?;
        let ends = text.get(at + 3).is_none_or(|byte| *byte == b' ');
        if !ends || !digits.iter().all(u8::is_ascii_digit) {
            return Err(HeadError::Malformed);
        }
        self.status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        if self.status < 100 {
            return Err(HeadError::Malformed);
        }
        self.reason = Span::new((at + 4).min(line.end), line.end);
        if !is_value(self.reason.of(head)) {
            return Err(HeadError::Value);
        }
        self.fields.parse(head, line.next, Side::Response)
    }

    /// The version of the server.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The status, from 100 to 999.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What the server says about its status; often nothing.
    #[must_use]
    pub fn reason<'a>(&self, head: &'a [u8]) -> &'a [u8] {
        self.reason.of(head)
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// Parses the lines of trailers, without the empty line that ends them, into `fields`.
///
/// # Errors
/// When a line is no field.
pub fn parse_trailers(fields: &mut Fields, lines: &mut [u8]) -> Result<(), HeadError> {
    (fields.bare_lf, fields.crlf) = (false, false);
    fields.parse(lines, 0, Side::Request)
}

/// Where the head that `bytes` begin with ends; `None` while it is incomplete. `from` bytes were looked at before.
#[must_use]
pub fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    // The empty line may have begun before.
    let mut at = from.saturating_sub(2);
    while let Some(lf) = memchr(b'\n', bytes.get(at..)?) {
        let after = at + lf + 1;
        match bytes.get(after..)? {
            [b'\n', ..] => return Some(after + 1),
            [b'\r', b'\n', ..] => return Some(after + 2),
            _ => at = after,
        }
    }
    None
}

/// How many bytes of empty lines `bytes` begin with. A server skips those in front of a request, RFC 9112 2.2.
#[must_use]
pub fn empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|line| *line == b"\r\n").count() * 2
}

/// The members of a list, without white space; empty ones are left out.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether this is a token of RFC 9110 5.6.2: a method or a name.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether a field may have this value: no control characters but tabs.
#[must_use]
pub fn is_value(text: &[u8]) -> bool {
    text.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t')
}

fn is_visible(byte: u8) -> bool {
    byte > b' ' && byte != 0x7f
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

const TOKEN: [bool; 256] = {
    let marks = b"!#$%&'*+-.^_`|~";
    let mut table = [false; 256];
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    let mut byte = b'0';
    while byte <= b'z' {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = true;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(text: &str) -> Result<(RequestHead, Vec<u8>), HeadError> {
        let mut bytes = text.as_bytes().to_vec();
        let mut head = RequestHead::default();
        head.parse(&mut bytes).map(|()| (head, bytes))
    }

    fn listed(fields: &Fields, head: &[u8]) -> Vec<String> {
        let text = |span: Span| String::from_utf8_lossy(span.of(head)).into_owned();
        fields.iter().map(|field| format!("{}={}", text(field.name), text(field.value))).collect()
    }

    #[test]
    fn a_request() {
        let (head, bytes) =
            request("GET /p?q=1 HTTP/1.1\r\nHost: a.test\r\nX-A:\t b c \t\r\nx-e:\r\n\r\n").unwrap();
        assert_eq!(head.method(&bytes), b"GET");
        assert_eq!(head.target(&bytes), b"/p?q=1");
        assert_eq!(head.version(), Version::Http11);
        assert_eq!(listed(head.fields(), &bytes), ["Host=a.test", "X-A=b c", "x-e="]);
        assert_eq!(head.fields().get(&bytes, Name::Host), Some(&b"a.test"[..]));
        assert_eq!(head.fields().get_by_name(&bytes, b"x-a"), Some(&b"b c"[..]));
    }

    #[test]
    fn request_lines() {
        let refused = |line: &str| request(&format!("{line}\r\nHost: a\r\n\r\n")).unwrap_err();
        let malformed = [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET\t/\tHTTP/1.1",
            "G@T / HTTP/1.1",
            "GET /\0 HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1.10",
            "GET / HTTP/1.x",
            " GET / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.1\r",
        ];
        for line in malformed {
            assert_eq!(refused(line), HeadError::Malformed, "{line:?}");
        }
        assert_eq!(refused("GET / HTTP/2.0"), HeadError::Version);
        assert_eq!(refused("GET / HTTP/0.9"), HeadError::Version);
        assert_eq!(request("get / HTTP/1.2\r\n\r\n").unwrap().0.version(), Version::Http11);
        assert_eq!(request("M-S!#$%&'*+.^_`|~ / HTTP/1.0\r\n\r\n").unwrap().0.version(), Version::Http10);
    }

    #[test]
    fn fields() {
        let refused = |line: &str| request(&format!("GET / HTTP/1.1\r\n{line}\r\n\r\n")).unwrap_err();
        for (line, error) in [
            ("NoColon", HeadError::Malformed),
            (": v", HeadError::Malformed),
            (" Host: a", HeadError::Malformed),
            ("X-A : v", HeadError::Name),
            ("X A: v", HeadError::Name),
            ("X(A): v", HeadError::Name),
            ("X-A: a\x01b", HeadError::Value),
            ("X-A: a\0b", HeadError::Value),
            ("X-A: a\x7fb", HeadError::Value),
            ("X-A: a\rb", HeadError::Value),
            ("X-A: b\r\n c\x01d", HeadError::Value),
        ] {
            assert_eq!(refused(line), error, "{line:?}");
        }
    }

    #[test]
    fn folds_become_one_space() {
        let text = "GET / HTTP/1.1\r\nX-F: one\r\n  two \r\n\tthree\r\nX-G:\r\n a\r\nX-H: b\r\n \r\n\r\n";
        let (head, bytes) = request(text).unwrap();
        assert_eq!(listed(head.fields(), &bytes), ["X-F=one two three", "X-G=a", "X-H=b"]);
        assert!(!head.fields().has_folded_framing());
        let (head, _) = request("GET / HTTP/1.1\r\nContent-Length:\r\n 3\r\n\r\n").unwrap();
        assert!(head.fields().has_folded_framing());
    }

    #[test]
    fn bare_line_feeds() {
        let (head, bytes) = request("GET / HTTP/1.1\nHost: a\nX-A: 1\n\n").unwrap();
        assert_eq!(listed(head.fields(), &bytes), ["Host=a", "X-A=1"]);
        assert!(!head.fields().has_doubtful_framing());
        let (head, _) = request("GET / HTTP/1.1\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert!(head.fields().has_doubtful_framing());
        assert_eq!(request("GET / HTTP/1.1\r\nX-A: 1\n\n").unwrap_err(), HeadError::Ambiguous);
    }

    #[test]
    fn responses() {
        let parse = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let mut head = ResponseHead::default();
            head.parse(&mut bytes).map(|()| (head.status(), head.version(), listed(head.fields(), &bytes)))
        };
        let ok = |status, version, fields: &[&str]| {
            Ok((status, version, fields.iter().map(|f| (*f).to_owned()).collect()))
        };
        assert_eq!(parse("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), ok(200, Version::Http11, &["A=b"]));
        assert_eq!(parse("HTTP/1.0 204\r\n\r\n"), ok(204, Version::Http10, &[]));
        assert_eq!(parse("HTTP/2.0 999 Odd\r\n\r\n"), ok(999, Version::Http11, &[]));
        assert_eq!(
            parse("HTTP/1.1 200 OK\r\nX-F : a\r\nX F: a\r\nB: c\r\n\r\n"),
            ok(200, Version::Http11, &["B=c"])
        );
        for text in [
            "garbage\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 abc OK\r\n\r\n",
            "HTTP/1.1 20 Low\r\n\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnocolon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_end_is_found_whatever_the_cuts() {
        for (text, end) in [
            ("GET / HTTP/1.1\r\nA: b\r\n\r\nrest", Some(24)),
            ("GET /\n\nrest", Some(7)),
            ("GET /\n\r\nrest", Some(8)),
            ("GET /\r\n\r", None),
            ("GET /\r\nA: b\r\n", None),
            ("\r\n\r\n", Some(4)),
        ] {
            for cut in 0..=text.len() {
                let seen = find_end(&text.as_bytes()[..cut], 0);
                assert!(seen.is_none() || seen == end);
                assert_eq!(seen.or_else(|| find_end(text.as_bytes(), cut)), end, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn empty_lines_are_counted() {
        assert_eq!(empty_lines(b"\r\n\r\nGET"), 4);
        assert_eq!(empty_lines(b"\r\n\r"), 2);
        assert_eq!(empty_lines(b"\nGET"), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = RequestHead::default().parse(&mut bytes.clone());
            let _ = ResponseHead::default().parse(&mut bytes.clone());
            let _ = parse_trailers(&mut Fields::default(), &mut bytes);
        }

        #[test]
        fn lines_of_a_head_do_not_panic(text in "(GET / HTTP/1.1\r\n)?([ \tA-C:,\r\n]{0,9}\r?\n){0,9}\r?\n") {
            let mut bytes = text.into_bytes();
            let _ = RequestHead::default().parse(&mut bytes);
        }
    }
}
