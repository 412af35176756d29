//! Heads as they go out.

use frp_http::Name;
use frp_http::framing::Framing;
use frp_http::head::{RequestHead, ResponseHead, Version, tokens};
use frp_http::status;
use frp_http::target::Target;

use super::plan::Facts;
use super::policy::Policy;

/// Go's own, which the original sends with a CONNECT that has none.
const GO_AGENT: &[u8] = b"Go-http-client/1.1";

/// Writes one field.
pub(super) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

fn length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    number(out, length);
    out.extend_from_slice(b"\r\n");
}

/// What a request says beside its fields.
pub(super) struct Forwarded<'a> {
    /// Host and port as the client wrote them.
    pub(super) authority: &'a [u8],
    /// Address of the client.
    pub(super) peer: &'a str,
}

/// Writes the head of a request for its backend. `bytes` is the head that `head` was parsed from.
pub(super) fn request(
    out: &mut Vec<u8>,
    (head, bytes): (&RequestHead, &[u8]),
    target: &Target<'_>,
    facts: &Facts,
    policy: &Policy,
    forwarded: &Forwarded<'_>,
) {
    let host = policy.host.as_deref().map_or(forwarded.authority, str::as_bytes);
    let (method, fields, set) = (head.method(bytes), head.fields(), &policy.request);
    out.extend_from_slice(method);
    out.push(b' ');
    match target {
        Target::Asterisk => out.push(b'*'),
        Target::Origin(path) => path.write(out),
        Target::Absolute { path, .. } => {
            out.extend_from_slice(b"http://");
            out.extend_from_slice(host);
            path.write(out);
        }
        Target::Authority(authority) => out.extend_from_slice(authority),
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, b"Host", host);
    let hops = Hops::new(fields.values(bytes, Name::Connection));
    for one in fields.iter() {
        let name = one.name.of(bytes);
        let ours = match one.known {
            Name::Trailer => facts.framing != Framing::Chunked,
            Name::Host
            | Name::ContentLength
            | Name::Forwarded
            | Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedProto => true,
            known => known.is_hop_by_hop(),
        };
        if !ours && !hops.name(name) && !set.replaces(one.known, name) {
            field(out, name, one.value.of(bytes));
        }
    }
    match facts.framing {
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Framing::Length(bytes) => length(out, bytes),
        Framing::None | Framing::UntilClose => {
            if matches!(method, b"POST" | b"PUT" | b"PATCH") {
                length(out, 0);
            }
        }
    }
    if fields.has_token(bytes, Name::Te, b"trailers") && !set.sets(Name::Te) {
        field(out, b"Te", b"trailers");
    }
    if let Some(protocol) = &facts.upgrade {
        if !set.sets(Name::Connection) {
            field(out, b"Connection", b"Upgrade");
        }
        if !set.sets(Name::Upgrade) {
            field(out, b"Upgrade", protocol);
        }
    }
    if !set.sets(Name::XForwardedFor) {
        out.extend_from_slice(b"X-Forwarded-For: ");
        for value in fields.values(bytes, Name::XForwardedFor).filter(|value| !value.is_empty()) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(forwarded.peer.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !set.sets(Name::XForwardedHost) {
        field(out, b"X-Forwarded-Host", forwarded.authority);
    }
    if !set.sets(Name::XForwardedProto) {
        field(out, b"X-Forwarded-Proto", b"http");
    }
    if facts.asks_gzip {
        field(out, b"Accept-Encoding", b"gzip");
    }
    set.write(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes a CONNECT request as it is passed on: its own fields, credentials included.
pub(super) fn connect(out: &mut Vec<u8>, (head, bytes): (&RequestHead, &[u8])) {
    let (target, fields) = (head.target(bytes), head.fields());
    out.extend_from_slice(b"CONNECT ");
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, b"Host", target);
    if !fields.has(Name::UserAgent) {
        field(out, b"User-Agent", GO_AGENT);
    }
    for one in fields.iter().filter(|one| !matches!(one.known, Name::Host | Name::Trailer)) {
        field(out, one.name.of(bytes), one.value.of(bytes));
    }
    if head.version() == Version::Http10 && !fields.has(Name::Connection) {
        field(out, b"Connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
}

/// The fields that `Connection` names.
struct Hops<'a>(Vec<&'a [u8]>);

impl<'a> Hops<'a> {
    fn new(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let common = |token: &&[u8]| {
            [&b"close"[..], b"keep-alive", b"upgrade", b"te"]
                .iter()
                .any(|word| token.eq_ignore_ascii_case(word))
        };
        Self(values.flat_map(tokens).filter(|token| !common(token)).collect())
    }

    fn name(&self, name: &[u8]) -> bool {
        !self.0.is_empty() && self.0.iter().any(|hop| hop.eq_ignore_ascii_case(name))
    }
}

/// What the user's side learns of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) version: Version,
    /// Whether the connection goes on.
    pub(super) keep: bool,
}

impl Reply {
    fn line(self, out: &mut Vec<u8>, status: u16, reason: Option<&[u8]>) {
        out.extend_from_slice(match self.version {
            Version::Http10 => b"HTTP/1.0 ",
            Version::Http11 => b"HTTP/1.1 ",
        });
        number(out, u64::from(status));
        out.push(b' ');
        match reason.or_else(|| status::reason(status).map(str::as_bytes)) {
            Some(reason) => out.extend_from_slice(reason),
            None => {
                out.extend_from_slice(b"status code ");
                number(out, u64::from(status));
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn connection(self, out: &mut Vec<u8>) {
        match (self.version, self.keep) {
            (Version::Http11, true) | (Version::Http10, false) => {}
            (Version::Http11, false) => field(out, b"Connection", b"close"),
            (Version::Http10, true) => field(out, b"Connection", b"keep-alive"),
        }
    }

    /// A whole answer of our own. `body` is left out where the request's method was HEAD, but its length is told.
    pub(super) fn answer(
        self,
        out: &mut Vec<u8>,
        status: u16,
        fields: &[(&str, &str)],
        body: &[u8],
        to_head: bool,
    ) {
        self.line(out, status, None);
        for (name, value) in fields {
            field(out, name.as_bytes(), value.as_bytes());
        }
        date(out);
        // As the original: where there is nothing anyway, a HEAD is not told so.
        if !(to_head && body.is_empty()) {
            length(out, body.len() as u64);
        }
        self.connection(out);
        out.extend_from_slice(b"\r\n");
        if !to_head {
            out.extend_from_slice(body);
        }
    }

    /// The head of a backend's response.
    pub(super) fn response(
        self,
        out: &mut Vec<u8>,
        (head, bytes): (&ResponseHead, &[u8]),
        body: &ResponseBody<'_>,
        policy: &Policy,
    ) {
        let (status, fields, set) = (head.status(), head.fields(), &policy.response);
        self.line(out, status, None);
        let hops = Hops::new(fields.values(bytes, Name::Connection));
        let mut dated = set.sets(Name::Date);
        let mut lengths = fields.values(bytes, Name::ContentLength);
        for one in fields.iter() {
            let name = one.name.of(bytes);
            let dropped = match one.known {
                Name::ContentLength => true,
                Name::ContentType => status == 304,
                Name::ContentEncoding => body.plain,
                Name::Trailer => !body.chunked,
                known => known.is_hop_by_hop(),
            };
            if !dropped && !hops.name(name) && !set.replaces(one.known, name) {
                dated |= one.known == Name::Date;
                field(out, name, one.value.of(bytes));
            }
        }
        if body.chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        } else if let Some(bytes) = lengths.next().filter(|_| !matches!(status, 204 | 304) && !body.plain) {
            // In its shortest form: leading zeros are nobody's friend.
            let digits = bytes.iter().position(|digit| *digit != b'0').and_then(|at| bytes.get(at..));
            field(out, b"Content-Length", digits.unwrap_or(b"0"));
        }
        if let Some(kind) = body.kind.filter(|_| !set.sets(Name::ContentType)) {
            field(out, b"Content-Type", kind.as_bytes());
        }
        if !dated {
            date(out);
        }
        if !set.sets(Name::Connection) {
            self.connection(out);
        }
        set.write(out);
        out.extend_from_slice(b"\r\n");
    }

    /// An interim response.
    pub(super) fn interim(self, out: &mut Vec<u8>, (head, bytes): (&ResponseHead, &[u8])) {
        self.line(out, head.status(), None);
        let hops = Hops::new(head.fields().values(bytes, Name::Connection));
        for one in head.fields().iter() {
            let name = one.name.of(bytes);
            if one.known != Name::ContentLength && !one.known.is_hop_by_hop() && !hops.name(name) {
                field(out, name, one.value.of(bytes));
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The response after which the connection speaks another protocol.
    pub(super) fn switching(self, out: &mut Vec<u8>, (head, bytes): (&ResponseHead, &[u8]), policy: &Policy) {
        let set = &policy.response;
        Self { version: Version::Http11, ..self }.line(out, head.status(), Some(head.reason(bytes)));
        for one in head.fields().iter() {
            let name = one.name.of(bytes);
            let dropped = match one.known {
                Name::Upgrade => false,
                Name::ContentLength => true,
                known => known.is_hop_by_hop(),
            };
            if !dropped && !set.replaces(one.known, name) {
                field(out, name, one.value.of(bytes));
            }
        }
        if !set.sets(Name::Connection) {
            field(out, b"Connection", b"Upgrade");
        }
        set.write(out);
        out.extend_from_slice(b"\r\n");
    }

    /// An interim response of our own.
    pub(super) fn go_on(out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// A request that is refused for its form. The body repeats the status.
    pub(super) fn refusal(out: &mut Vec<u8>, status: u16, text: &str) {
        Self { version: Version::Http11, keep: false }.line(out, status, None);
        field(out, b"Content-Type", b"text/plain; charset=utf-8");
        length(out, text.len() as u64);
        field(out, b"Connection", b"close");
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(text.as_bytes());
    }
}

/// How the body of a response reaches the user.
pub(super) struct ResponseBody<'a> {
    /// In chunks.
    pub(super) chunked: bool,
    /// It was compressed for us alone, and is not any more.
    pub(super) plain: bool,
    /// What it looks like, where the backend does not say what it is.
    pub(super) kind: Option<&'a str>,
}

fn date(out: &mut Vec<u8>) {
    out.extend_from_slice(b"Date: ");
    status::write_date(out);
    out.extend_from_slice(b"\r\n");
}
