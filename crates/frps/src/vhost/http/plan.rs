//! What becomes of a request, decided by its head alone.
//!
//! Whose request it is, for the route and for the check, comes out of one reading of the credentials: the route may
//! fall back from `Proxy-Authorization` to `Authorization`, the check never does.

use std::sync::Arc;

use frp_http::framing::{self, Framing};
use frp_http::head::{RequestHead, Version};
use frp_http::target::{Target, is_host};
use frp_http::{Credentials, HeadError, Name};
use tracing::trace;

use super::site::{Site, Sites};
use super::write::{self, Forwarded};
use crate::vhost::Query;
use crate::vhost::domains::canonical_host;

/// What must be known of a request after its head is gone.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) version: Version,
    /// The client wants the connection to go on.
    pub(super) keep: bool,
    /// The method is HEAD.
    pub(super) to_head: bool,
    pub(super) framing: Framing,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects: bool,
    /// The protocol to which the client wants to switch.
    pub(super) upgrade: Option<Box<[u8]>>,
    /// It may be sent twice.
    pub(super) idempotent: bool,
    /// The backend is asked to compress, which the client has not asked for.
    pub(super) asks_gzip: bool,
}

/// See the module. The site's head is written already.
pub(super) enum Plan {
    /// To a backend and back.
    Forward(Facts, Arc<Site>),
    /// A tunnel through the backend.
    Connect(Arc<Site>),
    /// A tunnel to nobody.
    ConnectNowhere,
    /// There is no such site.
    NotFound(Facts),
    /// Without the right credentials; `true` where they are asked for a proxy's.
    Unauthorized(Facts, bool),
    /// About the server as a whole.
    Options(Facts),
    /// An expectation that nobody meets.
    Expectation,
}

/// Where the plan leaves what it writes.
pub(super) struct Desk<'a> {
    /// The head for the backend.
    pub(super) head: &'a mut Vec<u8>,
    /// Host and port as the client wrote them.
    pub(super) authority: &'a mut Vec<u8>,
    /// Address of the client.
    pub(super) peer: &'a str,
}

/// Reads a head, of which `bytes` are all.
///
/// # Errors
/// When it is to be refused.
pub(super) fn plan(
    sites: &Sites,
    head: &mut RequestHead,
    bytes: &mut [u8],
    desk: &mut Desk<'_>,
) -> Result<Plan, HeadError> {
    head.parse(bytes)?;
    let bytes = &*bytes;
    let (method, fields) = (head.method(bytes), head.fields());
    let framing = framing::of_request(head, bytes)?;
    let target = Target::parse(method, head.target(bytes))?;
    let host = host(head, bytes)?;
    if let Some(expected) = fields.get(bytes, Name::Expect)
        && !expected.eq_ignore_ascii_case(b"100-continue")
    {
        return Ok(Plan::Expectation);
    }
    let authority = match target {
        Target::Absolute { authority, .. } | Target::Authority(authority) => authority,
        Target::Origin(_) | Target::Asterisk => host,
    };
    desk.authority.clear();
    desk.authority.extend_from_slice(authority);
    let facts = Facts::new(head, bytes, framing);
    if target == Target::Asterisk && method == b"OPTIONS" {
        return Ok(Plan::Options(facts));
    }
    let for_proxy = target.is_for_proxy();
    let identity = Identity::new(head, bytes, for_proxy);
    let authority_text = std::str::from_utf8(authority).map_err(|_| HeadError::MalformedHost)?;
    let (name, path) = (canonical_host(authority_text), target.decoded_path());
    let user = identity.user();
    trace!(
        "get new http request host [{name}] path [{}] httpuser [{}]",
        path.escape_ascii(),
        user.escape_ascii()
    );
    let site = sites.find(Query { host: name.as_bytes(), path: &path, user });
    let is_connect = matches!(target, Target::Authority(_));
    let Some(site) = site else {
        return Ok(if is_connect { Plan::ConnectNowhere } else { Plan::NotFound(facts) });
    };
    if !site.policy.lets_pass(identity.given.as_ref()) {
        return Ok(Plan::Unauthorized(facts, for_proxy));
    }
    desk.head.clear();
    if is_connect {
        write::connect(desk.head, (head, bytes));
        return Ok(Plan::Connect(site));
    }
    let set = &site.policy.request;
    let mut facts = facts;
    facts.asks_gzip &= !set.sets(Name::AcceptEncoding) && !set.sets(Name::Range);
    let forwarded = Forwarded { authority, peer: desk.peer };
    write::request(desk.head, (head, bytes), &target, &facts, &site.policy, &forwarded);
    Ok(Plan::Forward(facts, site))
}

/// The value of `Host`.
fn host<'a>(head: &'a RequestHead, bytes: &'a [u8]) -> Result<&'a [u8], HeadError> {
    let mut hosts = head.fields().values(bytes, Name::Host);
    let Some(host) = hosts.next() else {
        let may_miss = head.version() == Version::Http10 || head.method(bytes) == b"CONNECT";
        return if may_miss { Ok(b"") } else { Err(HeadError::MissingHost) };
    };
    if hosts.next().is_some() {
        return Err(HeadError::Malformed);
    }
    if is_host(host) { Ok(host) } else { Err(HeadError::MalformedHost) }
}

/// Who sends a request.
struct Identity {
    /// What is checked.
    given: Option<Credentials>,
    /// What the route goes by where nothing is there to be checked.
    fallback: Option<Credentials>,
}

impl Identity {
    fn new(head: &RequestHead, bytes: &[u8], for_proxy: bool) -> Self {
        let read = |name| head.fields().get(bytes, name).and_then(Credentials::parse);
        if !for_proxy {
            return Self { given: read(Name::Authorization), fallback: None };
        }
        let has_given = head.fields().has(Name::ProxyAuthorization);
        Self {
            given: read(Name::ProxyAuthorization),
            fallback: if has_given { None } else { read(Name::Authorization) },
        }
    }

    fn user(&self) -> &[u8] {
        self.given.as_ref().or(self.fallback.as_ref()).map(Credentials::user).unwrap_or_default()
    }
}

impl Facts {
    fn new(head: &RequestHead, bytes: &[u8], framing: Framing) -> Self {
        let (method, fields, version) = (head.method(bytes), head.fields(), head.version());
        let says = |token: &[u8]| fields.has_token(bytes, Name::Connection, token);
        let keep = match version {
            Version::Http10 => says(b"keep-alive") && !says(b"close"),
            Version::Http11 => !says(b"close"),
        };
        let to_head = method == b"HEAD";
        let upgrade = fields.get(bytes, Name::Upgrade).filter(|upgrade| {
            !upgrade.is_empty() && says(b"upgrade") && upgrade.iter().all(|byte| matches!(byte, b' '..=b'~'))
        });
        Self {
            version,
            keep,
            to_head,
            framing,
            expects: framing != Framing::None && version == Version::Http11 && fields.has(Name::Expect),
            upgrade: upgrade.map(Box::from),
            idempotent: matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
                || fields.has(Name::IdempotencyKey)
                || fields.has(Name::XIdempotencyKey),
            asks_gzip: !to_head && !fields.has(Name::AcceptEncoding) && !fields.has(Name::Range),
        }
    }

    /// What the user's side is told of the connection if it goes on as the client wants.
    pub(super) fn reply(&self, keep: bool) -> write::Reply {
        write::Reply { version: self.version, keep: self.keep && keep }
    }
}
