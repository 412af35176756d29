//! The client credentials grant (RFC 6749, 4.4): proving to a token endpoint who we are, for a token that proves it to
//! others. golang.org/x/oauth2 `clientcredentials`, `internal/token.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use frp_proto::Secret;
use hyper::Method;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::FETCH_TIMEOUT;

pub use crate::answer::AnswerError;
use crate::answer::{self, Granted};
use crate::form;
use crate::http::{Http, HttpError, Question};

/// A token is not used in the last seconds of its life, so that it does not end on its way.
const EXPIRY_DELTA: Duration = Duration::from_secs(10);

/// Questions at one time, where each message needs a token of its own.
const MAX_QUESTIONS: usize = 8;

/// `auth.oidc` of frpc. An empty text is a key that is not set.
#[derive(Clone, Default)]
pub struct CredentialsOptions {
    /// `tokenEndpointURL`.
    pub token_endpoint_url: String,
    /// `clientID`.
    pub client_id: String,
    /// `clientSecret`.
    pub client_secret: Secret,
    /// `audience`: whom the token is to be for.
    pub audience: String,
    /// `scope`; it is sent even when it is empty.
    pub scope: String,
    /// `additionalEndpointParams`. They may hold secrets.
    pub additional_params: BTreeMap<String, String>,
}

impl fmt::Debug for CredentialsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsOptions")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("audience", &self.audience)
            .field("scope", &self.scope)
            .field("additional_params", &self.additional_params.keys())
            .finish_non_exhaustive()
    }
}

/// No token. The texts are those of upstream's library; none shows a secret or the endpoint's answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The endpoint cannot be reached.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The endpoint gives none.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The endpoint does not answer in time.
    #[error("oauth2: cannot fetch token: context deadline exceeded")]
    Deadline,
}

/// Gets tokens. Asks nobody before it is asked itself.
#[derive(Debug)]
pub struct ClientCredentials {
    options: CredentialsOptions,
    http: Http,
    state: Mutex<State>,
    /// One permit while tokens can be kept, as one answer serves all; more where they cannot.
    questions: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    kept: Option<Kept>,
    /// How the endpoint wants to see the secret, once it is known.
    style: Option<Style>,
    /// Whether more than one may ask.
    is_parallel: bool,
}

/// A token that is still good.
#[derive(Debug)]
struct Kept {
    token: Secret,
    /// By two clocks: one of them stands still while the host sleeps, the other may be set back.
    until: (Instant, SystemTime),
}

/// How the secret is shown. Endpoints differ, so both are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// `Authorization: Basic`.
    Header,
    /// `client_id` and `client_secret` in the form.
    Form,
}

impl ClientCredentials {
    /// Of checked options.
    #[must_use]
    pub fn new(options: CredentialsOptions, http: Http) -> Self {
        Self { options, http, state: Mutex::default(), questions: Semaphore::new(1) }
    }

    /// A token: the one that is kept, or a new one.
    ///
    /// # Errors
    /// The endpoint gives none within [`FETCH_TIMEOUT`].
    pub async fn token(&self) -> Result<Secret, TokenError> {
        if let Some(token) = self.kept() {
            return Ok(token);
        }
        timeout(FETCH_TIMEOUT, self.fetched()).await.unwrap_or(Err(TokenError::Deadline))
    }

    async fn fetched(&self) -> Result<Secret, TokenError> {
        let _permit = self.questions.acquire().await;
        // Somebody else may have asked meanwhile.
        if let Some(token) = self.kept() {
            return Ok(token);
        }
        let Granted { token, expires_in } = self.ask().await?;
        let mut state = self.state();
        match expires_in {
            Some(seconds) => {
                let lifetime = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 31));
                let lifetime = lifetime.saturating_sub(EXPIRY_DELTA);
                let until = (Instant::now() + lifetime, SystemTime::now() + lifetime);
                state.kept = Some(Kept { token: token.clone(), until });
            }
            None if !state.is_parallel => {
                state.is_parallel = true;
                self.questions.add_permits(MAX_QUESTIONS - 1);
            }
            None => {}
        }
        Ok(token)
    }

    /// Asks in the way that the endpoint is known to want, or in both.
    async fn ask(&self) -> Result<Granted, TokenError> {
        let known = self.state().style;
        if let Some(style) = known {
            return self.ask_with(style).await;
        }
        let (style, granted) = match self.ask_with(Style::Header).await {
            Ok(granted) => (Style::Header, granted),
            Err(_) => (Style::Form, self.ask_with(Style::Form).await?),
        };
        self.state().style = Some(style);
        Ok(granted)
    }

    async fn ask_with(&self, style: Style) -> Result<Granted, TokenError> {
        let answer = self.http.post(&self.question(style)).await?;
        Ok(answer::read(&answer, &self.options.client_secret)?)
    }

    fn question(&self, style: Style) -> Question {
        let CredentialsOptions { token_endpoint_url, client_id, client_secret, audience, scope, .. } =
            &self.options;
        let mut form = BTreeMap::from([("grant_type", "client_credentials"), ("scope", scope.as_str())]);
        form.extend(
            self.options.additional_params.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        );
        if !audience.is_empty() {
            form.insert("audience", audience);
        }
        let authorization = match style {
            Style::Header => {
                let pair = format!("{}:{}", form::escaped(client_id), form::escaped(client_secret.expose()));
                Some(format!("Basic {}", STANDARD.encode(pair)).into())
            }
            Style::Form => {
                form.insert("client_id", client_id);
                if !client_secret.is_empty() {
                    form.insert("client_secret", client_secret.expose());
                }
                None
            }
        };
        let form = form::encoded(&form).into();
        Question { method: Method::POST, url: token_endpoint_url.clone(), authorization, form }
    }

    fn kept(&self) -> Option<Secret> {
        let state = self.state();
        let Kept { token, until: (by_one, by_other) } = state.kept.as_ref()?;
        (Instant::now() < *by_one && SystemTime::now() < *by_other).then(|| token.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
