//! tcpmux: users told apart by the CONNECT request that they send. Upstream `pkg/util/tcpmux/httpconnect.go`.
//!
//! The route and the credentials are checked before anything is answered, and what comes behind the request is kept.
//! Without passthrough the user is told 200 and the service gets what follows; with it the service gets the request, too,
//! and answers it. A request that is not well formed, or not a CONNECT, is closed without an answer.

use std::sync::Arc;

use bytes::Bytes;
use frp_http::Name;
use frp_http::basic_auth::Credentials;
use frp_http::read::{FirstRequest, ReadError, read_head};
use frp_proto::limits::MAX_PEEK;
use frp_stream::Stream;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::domains::canonical_host;
use super::{HostTerms, PEEK_TIMEOUT, Query, accept_users, lead, not_found};
use crate::core::Core;
use crate::farewell;
use crate::proxy::Proxy;

const CONNECTED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const UNAUTHORIZED: &[u8] = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
    Proxy-Authenticate: Basic realm=\"Restricted\"\r\nContent-Length: 0\r\n\r\n";

/// Why there is no request to serve.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("connections to tcp vhost must be of method CONNECT")]
    Method,
    #[error("invalid target of a CONNECT request")]
    Target,
    #[error("too many Host headers")]
    Hosts,
    #[error("ambiguous or unsupported transfer encoding")]
    Framing,
}

/// Accepts until `stop` is cancelled.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener, stop: CancellationToken) {
    accept_users(core, listener, stop, |core, tcp, peer| {
        lead(core, tcp, peer, |core, stream| Box::pin(async move { route(&core, stream).await }))
    })
    .await;
}

/// Finds the proxy that a user wants, and gives it back with what its service gets of the user. Others are refused.
async fn route(core: &Core, mut stream: Stream) -> Option<(Arc<Proxy>, Stream)> {
    let deadline = Instant::now() + PEEK_TIMEOUT;
    let request = match timeout_at(deadline, Request::read(&mut stream)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            debug!("get hostname from http/https request error: {error}");
            return None;
        }
        Err(_) => {
            debug!("get hostname from http/https request error: i/o timeout");
            return None;
        }
    };
    let (name, user) = (request.host.escape_debug(), request.user());
    let query = Query { host: request.host.as_bytes(), user, ..Query::default() };
    let Some(host) = core.tcpmux.find(query) else {
        debug!("http request for host [{name}] path [] httpUser [{}] not found", user.escape_ascii());
        let answer = Box::pin(not_found::response(&core.settings.config.custom_404_page)).await;
        Box::pin(farewell::say(stream, &answer)).await;
        return None;
    };
    let proxy = host.next()?;
    if !request.may_pass(host.terms()) {
        debug!(parent: proxy.span(), "auth failed for user: {}", host.terms().http_user.escape_debug());
        Box::pin(farewell::say(stream, UNAUTHORIZED)).await;
        return None;
    }
    debug!(parent: proxy.span(), "new request host [{name}] path [] httpUser [{}]", user.escape_ascii());
    let passthrough = core.settings.config.tcpmux_passthrough;
    if !passthrough {
        match timeout_at(deadline, stream.write_all(CONNECTED)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                info!(parent: proxy.span(), "success func failure on vhost connection: {error}");
                return None;
            }
            Err(_) => return None,
        }
    }
    Some((proxy, stream.with_prefix(request.into_prefix(passthrough))))
}

/// A CONNECT request.
struct Request {
    first: FirstRequest,
    host: String,
    credentials: Option<Credentials>,
}

impl Request {
    async fn read(stream: &mut Stream) -> Result<Self, RequestError> {
        let first = read_head(stream, MAX_PEEK).await?;
        if first.method() != b"CONNECT" {
            return Err(RequestError::Method);
        }
        let values = |name| first.fields().values(first.text(), name);
        if values(Name::Host).count() > 1 {
            return Err(RequestError::Hosts);
        }
        let mut encodings = values(Name::TransferEncoding);
        let encoding_is_fine = match (encodings.next(), encodings.next()) {
            (None, _) => true,
            (Some(one), None) => {
                one.eq_ignore_ascii_case(b"chunked") && first.field(Name::ContentLength).is_none()
            }
            _ => false,
        };
        if !encoding_is_fine {
            return Err(RequestError::Framing);
        }
        drop(encodings);
        let host = host_of(first.target()).ok_or(RequestError::Target)?;
        let credentials = first.field(Name::ProxyAuthorization).and_then(Credentials::parse);
        Ok(Self { first, host, credentials })
    }

    /// The user of the credentials; empty when there are none.
    fn user(&self) -> &[u8] {
        self.credentials.as_ref().map(Credentials::user).unwrap_or_default()
    }

    /// Whether the credentials are those that a route demands.
    fn may_pass(&self, terms: &HostTerms) -> bool {
        terms.http_user.is_empty()
            || self
                .credentials
                .as_ref()
                .is_some_and(|given| given.are(&terms.http_user, &terms.http_password))
    }

    /// What the service gets first.
    fn into_prefix(self, passthrough: bool) -> Bytes {
        if passthrough { self.first.into_received() } else { self.first.into_rest() }
    }
}

/// The host that a target names, as Go reads `http://` and the target: what follows a slash or a question mark is not
/// looked at, nor is a user in front of `@`. `None` for a path, and where a port is no number.
fn host_of(target: &[u8]) -> Option<String> {
    let target = std::str::from_utf8(target).ok().filter(|target| !target.starts_with('/'))?;
    let authority = target.split(['/', '?']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = match authority.rsplit_once(']') {
        Some((_, rest)) => rest.strip_prefix(':').unwrap_or(rest),
        None => authority.split_once(':').map(|(_, port)| port).unwrap_or_default(),
    };
    port.bytes().all(|byte| byte.is_ascii_digit()).then(|| canonical_host(authority).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vhost::turned_away;

    #[tokio::test(start_paused = true)]
    async fn who_says_too_little_is_closed_in_silence_after_the_deadline() {
        for start in ["", "CONNECT plain.test:80 HT", "CONNECT a HTTP/1.1\r\nHost: a\r\n"] {
            assert_eq!(turned_away(route, start.as_bytes()).await, (Vec::new(), PEEK_TIMEOUT));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_takes_too_much_room_is_closed_in_silence() {
        let (answer, lasted) =
            turned_away(route, &[b"CONNECT a HTTP/1.1\r\nX: ", &[b'h'; MAX_PEEK][..]].concat()).await;
        assert!(answer.is_empty() && lasted.is_zero());
    }

    #[test]
    fn hosts_of_targets() {
        let cases = [
            ("a.test:80", Some("a.test")),
            ("A.Test", Some("a.test")),
            ("a.test.:1", Some("a.test")),
            ("[::1]:80", Some("::1")),
            (":80", Some("")),
            ("*", Some("*")),
            ("u:p@a.test:80", Some("a.test")),
            // The scheme is the host, and nobody has it.
            ("http://a.test:80/", Some("http")),
            ("a.test:80/x", Some("a.test")),
            ("a.test:999999", Some("a.test")),
            ("a.test:http", None),
            ("a.test:8:8", None),
            ("[::1]x", None),
            ("/x", None),
        ];
        for (target, host) in cases {
            assert_eq!(host_of(target.as_bytes()).as_deref(), host, "{target}");
        }
        assert_eq!(host_of(b"\xff"), None);
    }
}
