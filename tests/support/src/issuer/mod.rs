//! An OpenID provider on 127.0.0.1: discovery, keys and a token endpoint, each of which can misbehave.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::authority::pem;
use crate::service::Service;

mod key;

pub use key::Key;

/// Where it has its three documents.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
/// Likewise.
pub const KEYS: &str = "/jwks";
/// Likewise.
pub const TOKEN: &str = "/token";

/// The client that it knows.
pub const CLIENT_ID: &str = "test-client";
/// Its secret: one that looks different in a form.
pub const CLIENT_SECRET: &str = "test secret+%";

/// How a document is answered instead of as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// With that status and text.
    Status(u16, String),
    /// With that text, as `application/json`.
    Text(String),
    /// With a body of so many bytes.
    Long(usize),
    /// With a redirect there.
    Redirect(String),
    /// Not at all.
    Silence,
}

/// In which way a client may show its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// In the header or in the form.
    Anyhow,
    /// In the header only.
    Header,
    /// In the form only.
    Form,
}

/// What can be changed while it runs.
#[derive(Debug)]
pub struct Settings {
    /// What signs tokens, and is published.
    pub keys: Vec<Key>,
    /// What is published besides.
    pub other_keys: Vec<Value>,
    /// The algorithms of the discovery document; none leaves them out.
    pub algorithms: Option<Vec<String>>,
    /// The issuer of the discovery document, where it is another.
    pub issuer: Option<String>,
    /// `sub` of the tokens that its endpoint gives.
    pub subject: String,
    /// `expires_in` of its answers.
    pub expires_in: Option<Value>,
    /// How it wants to see the secret.
    pub shown: Shown,
    /// Its clock is ahead by so many seconds.
    pub clock_ahead: i64,
    /// Documents that go wrong, by path.
    pub faults: HashMap<&'static str, Fault>,
}

#[derive(Debug)]
struct State {
    settings: Mutex<Settings>,
    /// Requests, by path.
    requests: watch::Sender<HashMap<String, usize>>,
    /// The last form that came.
    form: Mutex<BTreeMap<String, String>>,
    url: Mutex<String>,
}

/// See the module. It runs until it is dropped.
#[derive(Debug)]
pub struct Issuer {
    state: Arc<State>,
    authority: Option<String>,
    _service: Service,
}

impl Issuer {
    /// Over plain HTTP.
    ///
    /// # Errors
    /// No port.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// Over TLS, with a certificate for 127.0.0.1 that is its own authority.
    ///
    /// # Errors
    /// No port.
    pub async fn start_tls() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        Self::start_with(Some((TlsAcceptor::from(Arc::new(config)), pem("CERTIFICATE", made.cert.der()))))
            .await
    }

    async fn start_with(tls: Option<(TlsAcceptor, String)>) -> Result<Self> {
        let settings = Settings {
            keys: vec![Key::generate("key-1", "ES256")?],
            other_keys: Vec::new(),
            algorithms: Some(vec!["ES256".to_owned()]),
            issuer: None,
            subject: "service".to_owned(),
            expires_in: Some(3600.into()),
            shown: Shown::Anyhow,
            clock_ahead: 0,
            faults: HashMap::new(),
        };
        let state = Arc::new(State {
            settings: Mutex::new(settings),
            requests: watch::Sender::default(),
            form: Mutex::default(),
            url: Mutex::default(),
        });
        let (acceptor, authority) = tls.unzip();
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let serving = Arc::clone(&state);
        let service = Service::tcp(move |peer| {
            let (state, acceptor) = (Arc::clone(&serving), acceptor.clone());
            async move {
                match acceptor {
                    None => serve(peer, state).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(peer).await {
                            serve(stream, state).await;
                        }
                    }
                }
            }
        })
        .await?;
        *lock(&state.url) = format!("{scheme}://127.0.0.1:{}", service.port());
        Ok(Self { state, authority, _service: service })
    }

    /// `auth.oidc.issuer`.
    #[must_use]
    pub fn url(&self) -> String {
        lock(&self.state.url).clone()
    }

    /// `auth.oidc.tokenEndpointURL`.
    #[must_use]
    pub fn token_endpoint(&self) -> String {
        self.url() + TOKEN
    }

    /// With TLS, what vouches for it, PEM.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Its settings, to look at and to change.
    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.state.settings)
    }

    /// How often a path has been asked for.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.state.requests.borrow().get(path).copied().unwrap_or_default()
    }

    /// Waits until a path has been asked for so often.
    pub async fn wait_requests(&self, path: &str, count: usize) {
        let mut requests = self.state.requests.subscribe();
        let _ = requests.wait_for(|requests| requests.get(path).is_some_and(|made| *made >= count)).await;
    }

    /// The last form that came to the token endpoint.
    #[must_use]
    pub fn form(&self) -> BTreeMap<String, String> {
        lock(&self.state.form).clone()
    }

    /// The claims of a good token for this subject and the audience `frps`.
    #[must_use]
    pub fn claims(&self, subject: &str) -> Value {
        claims(&self.settings(), &self.url(), subject)
    }

    /// A good token for this subject.
    ///
    /// # Errors
    /// It has no key.
    pub fn token(&self, subject: &str) -> Result<String> {
        let claims = self.claims(subject);
        self.sign(&claims)
    }

    /// A token that says `claims`, signed with the first key.
    ///
    /// # Errors
    /// It has no key.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let settings = self.settings();
        settings.keys.first().ok_or_else(|| anyhow::anyhow!("no key"))?.sign(claims)
    }
}

fn claims(settings: &Settings, url: &str, subject: &str) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX) + settings.clock_ahead;
    json!({ "iss": url, "sub": subject, "aud": "frps", "iat": now, "nbf": now, "exp": now + 3600 })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(peer: S, state: Arc<State>) {
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(answer(request, &state).await) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(peer), service).await;
}

async fn answer(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    // A request through a proxy may have the whole URL; the path is the same.
    let path = request.uri().path().to_owned();
    state.requests.send_modify(|requests| *requests.entry(path.clone()).or_default() += 1);
    let fault = lock(&state.settings).faults.get(path.as_str()).cloned();
    match fault {
        Some(Fault::Silence) => pending().await,
        Some(Fault::Status(status, text)) => response(status, text),
        Some(Fault::Text(text)) => response(200, text),
        Some(Fault::Long(length)) => response(200, " ".repeat(length)),
        Some(Fault::Redirect(location)) => {
            let mut answer = response(302, String::new());
            if let Ok(location) = location.parse() {
                answer.headers_mut().insert("location", location);
            }
            answer
        }
        None => match path.as_str() {
            DISCOVERY => discovery(state),
            KEYS => keys(state),
            TOKEN => token(request, state).await,
            _ => response(404, String::new()),
        },
    }
}

fn response(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status.try_into().unwrap_or_default();
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    answer
}

fn discovery(state: &State) -> Response<Full<Bytes>> {
    let (settings, url) = (lock(&state.settings), lock(&state.url).clone());
    let mut document = json!({
        "issuer": settings.issuer.as_ref().unwrap_or(&url),
        "token_endpoint": format!("{url}{TOKEN}"),
        "jwks_uri": format!("{url}{KEYS}"),
    });
    if let Some(algorithms) = &settings.algorithms {
        document["id_token_signing_alg_values_supported"] = algorithms.clone().into();
    }
    response(200, document.to_string())
}

fn keys(state: &State) -> Response<Full<Bytes>> {
    let settings = lock(&state.settings);
    let keys = settings.other_keys.iter().cloned().chain(settings.keys.iter().map(Key::public));
    response(200, json!({ "keys": keys.collect::<Vec<_>>() }).to_string())
}

async fn token(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let basic = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    let basic = basic.map(|pair| String::from_utf8_lossy(&pair).into_owned());
    let Ok(body) = request.into_body().collect().await else { return response(400, String::new()) };
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let form: BTreeMap<String, String> = body
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect();
    lock(&state.form).clone_from(&form);
    let settings = lock(&state.settings);
    let in_header =
        basic.as_deref().and_then(|pair| pair.split_once(':')).map(|(id, secret)| (plain(id), plain(secret)));
    let in_form = form.get("client_id").cloned().zip(form.get("client_secret").cloned());
    let given = match settings.shown {
        Shown::Anyhow => in_header.or(in_form),
        Shown::Header => in_header,
        Shown::Form => in_form,
    };
    if given != Some((CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned())) {
        return response(401, json!({ "error": "invalid_client" }).to_string());
    }
    let url = lock(&state.url).clone();
    let signed =
        settings.keys.first().and_then(|key| key.sign(&claims(&settings, &url, &settings.subject)).ok());
    let mut answer = json!({ "access_token": signed, "token_type": "Bearer" });
    if let Some(expires_in) = &settings.expires_in {
        answer["expires_in"] = expires_in.clone();
    }
    response(200, answer.to_string())
}

/// Without percent signs and plus signs.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend(parts.next().unwrap_or_default().replace('+', " ").bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or(("3F", ""));
        bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
        bytes.extend(rest.replace('+', " ").bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
