//! The HTTP probe: one kept connection, redirects followed, any 2xx is healthy.

use std::time::Duration;

use frp_net::address::join_host_port;
use frp_net::resolve::Resolver;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT,
    WWW_AUTHENTICATE,
};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{HealthOptions, dial};

/// Redirects followed in one probe, as Go's client.
const MAX_REDIRECTS: usize = 10;
/// The most of an answer's body that is read to keep the connection; beyond it a new one is dialled.
const MAX_DRAINED: usize = 256 << 10;

/// Headers that are not shown to another host than the configured one, as Go's client does.
const SENSITIVE: [HeaderName; 4] =
    [AUTHORIZATION, WWW_AUTHENTICATE, COOKIE, HeaderName::from_static("cookie2")];

/// Probes one URL again and again.
pub(super) struct HttpProbe {
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    host_header: Option<HeaderValue>,
    kept: Option<Connection>,
}

/// One request of a probe: the first, or one that a redirect led to.
struct Step {
    uri: Uri,
    /// What to say instead of the URI's authority.
    host_header: Option<HeaderValue>,
    /// Whether the headers that are secret may be shown.
    trusted: bool,
}

/// What matters of an answer.
struct Answer {
    status: StatusCode,
    location: Option<String>,
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
        let parsed = headers.iter().filter_map(|(name, value)| {
            Some((name.parse().ok()?, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        });
        let (host, headers): (Vec<_>, Vec<_>) = parsed.partition(|(name, _): &(HeaderName, _)| *name == HOST);
        let host_header = host.into_iter().next_back().map(|(_, value)| value);
        Self { url, headers, host_header, kept: None }
    }

    pub(super) async fn once(&mut self, options: &HealthOptions, resolver: &Resolver) -> Result<(), String> {
        match self.follow(options, resolver).await {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(format!("do http health check, StatusCode is [{}] not 2xx", status.as_u16())),
            Err(error) => Err(format!("Get \"{}\": {error}", self.url)),
        }
    }

    pub(super) fn timed_out(&mut self) -> String {
        self.kept = None;
        format!("Get \"{}\": context deadline exceeded", self.url)
    }

    /// The status of the first answer that is no redirect.
    async fn follow(&mut self, options: &HealthOptions, resolver: &Resolver) -> Result<StatusCode, String> {
        let uri = escaped(&self.url).parse().map_err(|error| format!("{error}"))?;
        let mut step = Step { uri, host_header: self.host_header.clone(), trusted: true };
        for _ in 0..=MAX_REDIRECTS {
            let answer = self.ask(&step, options.timeout, resolver).await?;
            match answer.location.filter(|_| matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)) {
                Some(location) => step = step.redirected(&location)?,
                None => return Ok(answer.status),
            }
        }
        Err(format!("stopped after {MAX_REDIRECTS} redirects"))
    }

    /// Asks on the kept connection where that leads there, or on a new one.
    async fn ask(&mut self, step: &Step, limit: Duration, resolver: &Resolver) -> Result<Answer, String> {
        let authority = step.uri.authority().map(ToString::to_string).unwrap_or_default();
        // The service may close an idle connection at the very moment that it is used again: no verdict yet.
        if let Some(kept) = self.kept.take().filter(|kept| kept.leads_to(&authority))
            && let Ok(answer) = self.exchange(kept, step).await
        {
            return Ok(answer);
        }
        let connection = Connection::open(&step.uri, authority, resolver, limit).await?;
        self.exchange(connection, step).await
    }

    async fn exchange(&mut self, mut connection: Connection, step: &Step) -> Result<Answer, String> {
        let request = self.request(step)?;
        let sender = &mut connection.sender;
        sender.ready().await.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let answer = Answer { status: response.status(), location: location.map(ToOwned::to_owned) };
        if drained(response).await {
            self.kept = Some(connection);
        }
        Ok(answer)
    }

    fn request(&self, step: &Step) -> Result<Request<Empty<Bytes>>, String> {
        let authority = step.uri.authority().map_or("", |authority| authority.as_str());
        let host = match &step.host_header {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(authority).map_err(|error| error.to_string())?,
        };
        let path = step.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, "Go-http-client/1.1")
            .header(ACCEPT_ENCODING, "gzip")
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        for (name, value) in &self.headers {
            if step.trusted || !SENSITIVE.contains(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        Ok(request)
    }
}

impl Step {
    /// Where `location` leads from here: an absolute URL, or one relative to this one. The configured `Host` goes
    /// along with a relative one.
    fn redirected(self, location: &str) -> Result<Self, String> {
        let location = escaped(location);
        let absolute = location.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some());
        let target = if absolute { location } else { self.relative(&location) };
        let uri: Uri = target.parse().map_err(|error| format!("redirect to {target}: {error}"))?;
        if uri.scheme_str() != Some("http") {
            return Err(format!("unsupported redirect to {uri}"));
        }
        let trusted = self.trusted && uri.host() == self.uri.host();
        Ok(Self { uri, host_header: self.host_header.filter(|_| !absolute), trusted })
    }

    fn relative(&self, location: &str) -> String {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path();
        if location.starts_with("//") {
            return format!("http:{location}");
        }
        match location.chars().next() {
            Some('/') => format!("http://{authority}{location}"),
            Some('?') => format!("http://{authority}{path}{location}"),
            _ => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                format!("http://{authority}{folder}/{location}")
            }
        }
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

/// A URL with the characters that none may have written as `%XX`, as Go does with those of a configured path.
fn escaped(url: &str) -> String {
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => out += &format!("%{byte:02X}"),
            0x21..=0x7e => out.push(char::from(byte)),
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}
