//! One request to an issuer, over a connection of its own: issuers are asked seldom, and an idle connection costs memory.

use std::fmt;
use std::sync::Arc;

use frp_net::dial::{DialOptions, dial_tcp};
use frp_net::proxy::{Proxy, ProxyError};
use frp_net::resolve::Resolver;
use frp_net::tls::{ClientTls, ClientTlsOptions, TlsError, system_authorities};
use frp_proto::Secret;
use frp_stream::Stream;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, LOCATION, PROXY_AUTHORIZATION, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::{FETCH_TIMEOUT, MAX_BODY};

/// Requests that one document takes at most, redirects followed. As Go's client, which counts them as redirects.
const MAX_REQUESTS: usize = 10;
/// The longest head of an answer, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The proxy that the environment names for a URL of this scheme, host and port: a URL, none for a direct connection.
pub type EnvironmentProxy = fn(scheme: &str, host: &str, port: u16) -> Option<Secret>;

/// How issuers are reached. An empty text is a key that is not set.
#[derive(Clone, Debug, Default)]
pub struct HttpOptions {
    /// `auth.oidc.trustedCaFile`: who must vouch for an `https` issuer. Default: the system's authorities.
    pub trusted_ca_file: String,
    /// `auth.oidc.insecureSkipVerify`: nobody must. Default false.
    pub insecure_skip_verify: bool,
    /// `auth.oidc.proxyURL`: always through this one.
    pub proxy_url: Secret,
    /// What the environment says about proxies. It holds where none of the three above is set, as in upstream.
    pub environment_proxy: Option<EnvironmentProxy>,
}

/// Options that cannot be used: the configuration's fault. The texts are upstream's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The authorities cannot be read.
    #[error("failed to create OIDC HTTP client: failed to read OIDC CA certificate file {file:?}: {cause}")]
    ReadAuthorities {
        /// The file.
        file: String,
        /// Why.
        cause: TlsError,
    },
    /// The file holds no authority.
    #[error("failed to create OIDC HTTP client: failed to parse OIDC CA certificate from file {file:?}")]
    NoAuthorities {
        /// The file.
        file: String,
    },
    /// The proxy's URL is none, or of a kind that is not known. The URL may hold a password and is not shown.
    #[error("failed to create OIDC HTTP client: failed to parse OIDC proxy URL: {0}")]
    Proxy(ProxyError),
}

/// Makes requests. Holds no connection.
#[derive(Clone)]
pub struct Http {
    resolver: Arc<Resolver>,
    trust: Trust,
    route: Route,
}

#[derive(Clone, Debug)]
enum Trust {
    /// The system's authorities, read when they are needed: they take more room than all the rest.
    System,
    /// The authorities of this file.
    File(String),
    Anybody,
}

#[derive(Clone)]
enum Route {
    Direct,
    Through(Box<Proxy>),
    Environment(EnvironmentProxy),
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// What is asked.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) url: String,
    /// The value of `Authorization`, if any.
    pub(crate) authorization: Option<Secret>,
    /// A form; empty without.
    pub(crate) form: Secret,
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Without parameters, in lower case.
    pub(crate) content_type: String,
    /// No more than [`MAX_BODY`]. May hold a token.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// As Go shows it: `404 Not Found`.
    pub(crate) fn status_text(&self) -> String {
        self.status.to_string()
    }
}

/// A request that got no answer. The words are Go's: `Get "http://a.test": dial tcp: lookup a.test: no such host`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{method} {url:?}: {reason}")]
pub struct HttpError {
    method: &'static str,
    url: String,
    reason: String,
}

impl Http {
    /// Checks the options and reads their file once, so that a mistake is told at the start.
    ///
    /// # Errors
    /// The options cannot be used.
    pub fn new(options: &HttpOptions, resolver: Arc<Resolver>) -> Result<Self, SetupError> {
        let HttpOptions { trusted_ca_file: file, insecure_skip_verify, proxy_url, environment_proxy } =
            options;
        let trust = if *insecure_skip_verify {
            Trust::Anybody
        } else if file.is_empty() {
            Trust::System
        } else {
            tls(&Trust::File(file.clone()), "").map_err(|cause| match cause {
                TlsError::NoAuthorities { .. } => SetupError::NoAuthorities { file: file.clone() },
                cause => SetupError::ReadAuthorities { file: file.clone(), cause },
            })?;
            Trust::File(file.clone())
        };
        let is_plain = file.is_empty() && !insecure_skip_verify;
        let route = match proxy(proxy_url).map_err(SetupError::Proxy)? {
            Some(proxy) => Route::Through(Box::new(proxy)),
            // Only an empty one means the direct way.
            None if !proxy_url.is_empty() => return Err(SetupError::Proxy(ProxyError::Url)),
            None => environment_proxy.filter(|_| is_plain).map_or(Route::Direct, Route::Environment),
        };
        Ok(Self { resolver, trust, route })
    }

    /// Gets a document, redirects followed.
    pub(crate) async fn get(&self, url: &str) -> Result<Answer, HttpError> {
        let got = async {
            let mut url = url.to_owned();
            for _ in 0..MAX_REQUESTS {
                let question = Question {
                    method: Method::GET,
                    url: url.clone(),
                    authorization: None,
                    form: Secret::default(),
                };
                let (answer, location) = self.exchange(&question).await?;
                match location.filter(|_| matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)) {
                    Some(location) => url = redirected(&url, &location)?,
                    None => return Ok(answer),
                }
            }
            Err(format!("stopped after {MAX_REQUESTS} redirects"))
        };
        let failed = |reason| HttpError { method: "Get", url: shown(url), reason };
        timeout(FETCH_TIMEOUT, got).await.unwrap_or_else(|_| Err(deadline())).map_err(failed)
    }

    /// Posts a form. No redirect is followed: it would carry a secret away. No deadline: it is the caller's.
    pub(crate) async fn post(&self, question: &Question) -> Result<Answer, HttpError> {
        let (answer, _) = self.exchange(question).await.map_err(|reason| HttpError {
            method: "Post",
            url: shown(&question.url),
            reason,
        })?;
        Ok(answer)
    }

    /// One request and its answer, with the value of `Location`.
    async fn exchange(&self, question: &Question) -> Result<(Answer, Option<String>), String> {
        let target = Target::parse(&question.url)?;
        let Connection { stream, absolute, proxy_authorization } = Box::pin(self.connect(&target)).await?;
        // Without what stands before the host: a name and a password there are not the proxy's business.
        let whole = format!("http://{}{}", target.authority, target.path);
        let uri = if absolute { &whole } else { &target.path };
        let mut request = Request::builder()
            .method(&question.method)
            .uri(uri)
            .header(HOST, &target.authority)
            .header(USER_AGENT, "Go-http-client/1.1")
            .header(CONNECTION, "close");
        if let Some(value) = &question.authorization {
            request = request.header(AUTHORIZATION, sensitive(value)?);
        }
        if let Some(value) = &proxy_authorization {
            request = request.header(PROXY_AUTHORIZATION, sensitive(value)?);
        }
        if question.method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::new(Bytes::from(question.form.expose().to_owned()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        // Ends with this function.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.map(ToOwned::to_owned);
        Ok((answer(response).await?, location))
    }

    async fn connect(&self, target: &Target) -> Result<Connection, String> {
        let Target { is_tls, host, port, .. } = target;
        let options = DialOptions { timeout: FETCH_TIMEOUT, ..DialOptions::default() };
        let environment;
        let proxy = match &self.route {
            Route::Direct => None,
            Route::Through(proxy) => Some(proxy.as_ref()),
            Route::Environment(of) => {
                let url = of(if *is_tls { "https" } else { "http" }, host, *port);
                environment = proxy(&url.unwrap_or_default()).map_err(|error| error.to_string())?;
                environment.as_ref()
            }
        };
        let worded = |error: ProxyError| format!("proxyconnect tcp: {error}");
        let stream = match proxy {
            None => {
                let socket = dial_tcp(&self.resolver, host, *port, &options).await;
                Stream::from(socket.map_err(|error| error.to_string())?)
            }
            Some(proxy) if !is_tls && proxy.forwards() => {
                let (stream, proxy_authorization) =
                    proxy.dial_itself(&self.resolver, &options).await.map_err(worded)?;
                return Ok(Connection { stream, absolute: true, proxy_authorization });
            }
            Some(proxy) => {
                proxy.dial(&self.resolver, host, *port, &options, |_| Ok(())).await.map_err(worded)?.0
            }
        };
        let stream = if *is_tls { self.secure(stream, host).await? } else { stream };
        Ok(Connection { stream, absolute: false, proxy_authorization: None })
    }

    async fn secure(&self, stream: Stream, host: &str) -> Result<Stream, String> {
        let (trust, host) = (self.trust.clone(), host.to_owned());
        let tls = spawn_blocking(move || tls(&trust, &host)).await.map_err(|error| error.to_string())?;
        tls.map_err(|error| error.to_string())?.connect(stream).await.map_err(|error| error.to_string())
    }
}

/// A way to an issuer that is open.
struct Connection {
    stream: Stream,
    /// It leads to a proxy, which wants to read the whole URL.
    absolute: bool,
    proxy_authorization: Option<Secret>,
}

fn tls(trust: &Trust, host: &str) -> Result<ClientTls, TlsError> {
    let trusted_ca_file = match trust {
        Trust::System => system_authorities(),
        Trust::File(file) => file.clone(),
        Trust::Anybody => String::new(),
    };
    ClientTls::new(&ClientTlsOptions {
        trusted_ca_file,
        server_name: host.to_owned(),
        ..ClientTlsOptions::default()
    })
}

fn proxy(url: &Secret) -> Result<Option<Proxy>, ProxyError> {
    // The proxy resolves names either way.
    let text = url.expose();
    match text.strip_prefix("socks5h://") {
        Some(rest) => Proxy::parse(&format!("socks5://{rest}")),
        None => Proxy::parse(text),
    }
}

fn sensitive(value: &Secret) -> Result<HeaderValue, String> {
    let mut value =
        HeaderValue::from_str(value.expose()).map_err(|_| "invalid header field value".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn deadline() -> String {
    "context deadline exceeded".to_owned()
}

/// Reads the body within its bound.
async fn answer(response: Response<Incoming>) -> Result<Answer, String> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    let content_type = content_type.trim().to_ascii_lowercase();
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| format!("unable to read response body: {error}"))?;
        let Some(data) = frame.data_ref() else { continue };
        if body.len() + data.len() > MAX_BODY {
            return Err(format!("response body is longer than {MAX_BODY} bytes"));
        }
        body.extend_from_slice(data);
    }
    Ok(Answer { status, content_type, body })
}

/// Where a URL leads.
#[derive(Debug)]
struct Target {
    is_tls: bool,
    host: String,
    port: u16,
    /// Host, and port where the URL has one.
    authority: String,
    /// With the query.
    path: String,
}

impl Target {
    fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri =
            url.split('#').next().unwrap_or_default().parse().map_err(|error| format!("{error}"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            other => return Err(format!("unsupported protocol scheme {:?}", other.unwrap_or_default())),
        };
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_matches(['[', ']']);
        if bare.is_empty() {
            return Err("http: no Host in request URL".to_owned());
        }
        let authority =
            uri.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{}", port.as_str()));
        let default_port = if is_tls { 443 } else { 80 };
        let port = match uri.port() {
            Some(port) => port.as_str().parse().map_err(|_| "invalid port".to_owned())?,
            None => default_port,
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { is_tls, host: bare.to_owned(), port, authority, path })
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) fn target(url: &str) -> Result<(bool, String, u16), String> {
    Target::parse(url).map(|target| (target.is_tls, target.host, target.port))
}

/// A URL for an error: without user and password.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Where `location` leads from `url`; never from `https` to `http`.
pub(crate) fn redirected(url: &str, location: &str) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let is_absolute = location.split_once("://").is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    });
    let target = if is_absolute {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{path}{location}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    if scheme.eq_ignore_ascii_case("https") && !target.to_ascii_lowercase().starts_with("https://") {
        return Err(format!("refused a redirect from https to {:?}", shown(&target)));
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let target = Target::parse("http://a.test:8080/realms/x?y=z#f").unwrap();
        assert_eq!((target.is_tls, target.host.as_str(), target.port), (false, "a.test", 8080));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("a.test:8080", "/realms/x?y=z"));
        let target = Target::parse("HTTPS://[::1]").unwrap();
        assert_eq!((target.is_tls, target.host.as_str(), target.port), (true, "::1", 443));
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("[::1]", "/"));
        assert_eq!(Target::parse("ftp://a.test").unwrap_err(), "unsupported protocol scheme \"ftp\"");
        // The last one would be this host.
        for url in ["", "/path", "a.test", "http://", "http://a b/", "http://[]/"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn errors_show_no_password() {
        assert_eq!(shown("http://u:p@a.test/b?c=d@e"), "http://a.test/b?c=d@e");
        assert_eq!(shown("a.test"), "a.test");
    }

    #[test]
    fn redirects() {
        for (location, target) in [
            ("http://b.test/", "http://b.test/"),
            ("//b.test/x", "http://b.test/x"),
            ("/x", "http://a.test/x"),
            ("x?y", "http://a.test/c/x?y"),
            ("?x=/y", "http://a.test/c/d?x=/y"),
            ("/login?next=https://b.test/", "http://a.test/login?next=https://b.test/"),
        ] {
            assert_eq!(redirected("http://a.test/c/d?e=/f", location).unwrap(), target);
        }
        assert_eq!(redirected("https://a.test/", "https://b.test/").unwrap(), "https://b.test/");
        assert!(redirected("https://a.test/", "http://a.test/").is_err());
    }

    #[test]
    fn mistakes_are_told_at_the_start() {
        let options = |file: &str, proxy: &str| HttpOptions {
            trusted_ca_file: file.to_owned(),
            proxy_url: proxy.into(),
            ..HttpOptions::default()
        };
        let text = |options| Http::new(&options, Arc::new(Resolver::system())).unwrap_err().to_string();
        assert_eq!(
            text(options("/nowhere/ca.pem", "")),
            "failed to create OIDC HTTP client: failed to read OIDC CA certificate file \"/nowhere/ca.pem\": \
             open /nowhere/ca.pem: no such file or directory"
        );
        let empty = tempfile::NamedTempFile::new().unwrap();
        let path = empty.path().to_str().unwrap();
        assert_eq!(
            text(options(path, "")),
            format!(
                "failed to create OIDC HTTP client: failed to parse OIDC CA certificate from file {path:?}"
            )
        );
        let shown = text(options("", "gopher://user:hunter2@a.test"));
        assert!(shown.starts_with("failed to create OIDC HTTP client: failed to parse OIDC proxy URL: "));
        assert!(!shown.contains("hunter2"));
        // Nobody who has named a proxy goes past it.
        for none in ["localhost:3128", "http://", "/path"] {
            assert_eq!(
                text(options("", none)),
                "failed to create OIDC HTTP client: failed to parse OIDC proxy URL: fail to parse proxy url"
            );
        }
        // Whoever verifies nothing needs no authorities.
        let careless = HttpOptions { insecure_skip_verify: true, ..options("/nowhere/ca.pem", "") };
        assert!(Http::new(&careless, Arc::new(Resolver::system())).is_ok());
    }
}
