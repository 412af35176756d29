//! The HTTP probe: one kept connection, redirects followed, any 2xx is healthy.

use std::time::Duration;

use frp_net::address::join_host_port;
use frp_net::resolve::Resolver;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT_ENCODING, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{HealthOptions, dial};

/// Redirects followed in one probe, as Go's client.
const MAX_REDIRECTS: usize = 10;
/// The most of an answer's body that is read to keep the connection; beyond it a new one is dialled.
const MAX_DRAINED: usize = 256 << 10;

/// Probes one URL again and again.
pub(super) struct HttpProbe {
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    host_header: Option<HeaderValue>,
    kept: Option<Connection>,
}

/// An idle connection and the authority it leads to. Dropping it stops its task.
struct Connection {
    authority: String,
    sender: SendRequest<Empty<Bytes>>,
    _driver: JoinSet<()>,
}

impl HttpProbe {
    pub(super) fn new(options: &HealthOptions, path: &str, headers: &[(String, String)]) -> Self {
        let slash = if path.starts_with('/') { "" } else { "/" };
        let url = format!("http://{}{slash}{path}", join_host_port(&options.host, options.port));
        let parsed = headers
            .iter()
            .filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?)));
        let (host, headers): (Vec<_>, Vec<_>) = parsed.partition(|(name, _): &(HeaderName, _)| *name == HOST);
        let host_header = host.into_iter().next_back().map(|(_, value)| value);
        Self { url, headers, host_header, kept: None }
    }

    pub(super) async fn once(&mut self, options: &HealthOptions, resolver: &Resolver) -> Result<(), String> {
        let failed = |error: String| format!("Get \"{}\": {error}", self.url);
        let mut uri: Uri = self.url.parse().map_err(|error| failed(format!("{error}")))?;
        let mut kept = self.kept.take();
        let mut host_header = self.host_header.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
            if uri.scheme_str() != Some("http") {
                return Err(failed(format!("unsupported redirect to {uri}")));
            }
            let mut connection = match kept.take().filter(|kept| kept.leads_to(&authority)) {
                Some(connection) => connection,
                None => {
                    Connection::open(&uri, authority, resolver, options.timeout).await.map_err(&failed)?
                }
            };
            let request = self.request(&uri, host_header.take()).map_err(&failed)?;
            let response =
                connection.sender.send_request(request).await.map_err(|e| failed(e.to_string()))?;
            let (status, location) = (response.status(), location(&response));
            if drained(response).await {
                kept = Some(connection);
            }
            match location.filter(|_| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)) {
                Some(location) => {
                    uri = resolve(&uri, &location).ok_or_else(|| failed("bad redirect".to_owned()))?
                }
                None if status.is_success() => {
                    self.kept = kept;
                    return Ok(());
                }
                None => {
                    self.kept = kept;
                    return Err(format!("do http health check, StatusCode is [{}] not 2xx", status.as_u16()));
                }
            }
        }
        Err(failed(format!("stopped after {MAX_REDIRECTS} redirects")))
    }

    pub(super) fn timed_out(&mut self) -> String {
        self.kept = None;
        format!("Get \"{}\": context deadline exceeded", self.url)
    }

    fn request(&self, uri: &Uri, host: Option<HeaderValue>) -> Result<Request<Empty<Bytes>>, String> {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = match host {
            Some(host) => host,
            None => HeaderValue::from_str(authority).map_err(|error| error.to_string())?,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, "Go-http-client/1.1")
            .header(ACCEPT_ENCODING, "gzip")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Ok(request)
    }
}

impl Connection {
    async fn open(
        uri: &Uri,
        authority: String,
        resolver: &Resolver,
        limit: Duration,
    ) -> Result<Self, String> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let socket = dial(resolver, host, uri.port_u16().unwrap_or(80), limit).await?;
        let (sender, connection) =
            handshake(TokioIo::new(socket)).await.map_err(|error| error.to_string())?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its end shows in the next request on `sender`.
            let _ = connection.await;
        });
        Ok(Self { authority, sender, _driver: driver })
    }

    fn leads_to(&self, authority: &str) -> bool {
        self.authority == authority && !self.sender.is_closed()
    }
}

/// Reads the body away so that the connection can be used again; false when it is too long or broken.
async fn drained(response: Response<hyper::body::Incoming>) -> bool {
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > MAX_DRAINED {
            return false;
        }
    }
    true
}

fn location(response: &Response<hyper::body::Incoming>) -> Option<String> {
    Some(response.headers().get(LOCATION)?.to_str().ok()?.to_owned())
}

/// The target of a redirect, absolute or relative to `base`.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    if location.contains("://") {
        return location.parse().ok();
    }
    let authority = base.authority()?;
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{directory}/{location}")
    };
    format!("http://{authority}{path}").parse().ok()
}
