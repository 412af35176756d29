//! Discovery of an issuer (OpenID Connect Discovery 1.0), and the checks of its tokens.

use std::fmt;
use std::time::SystemTime;

use frp_proto::Secret;
use serde::Deserialize;

use crate::claims::Claims;
use crate::http::{Http, HttpError};
use crate::jws::{ALGORITHMS, Algorithm, ParseError, RS256, Token};
use crate::keys::Keys;

pub use crate::keys::KeysError;

/// `auth.oidc` of frps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifierOptions {
    /// `issuer`: the URL whose keys sign tokens.
    pub issuer: String,
    /// `audience`: whom a token must be for. Empty, the default: anybody.
    pub audience: String,
    /// `skipIssuerCheck`: tokens may name another issuer. Default false.
    pub skip_issuer_check: bool,
    /// `skipExpiryCheck`: tokens may be from any time. Default false.
    pub skip_expiry_check: bool,
}

/// An issuer that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to discover the OpenID provider of auth.oidc.issuer {issuer:?}: {cause}")]
pub struct DiscoveryError {
    issuer: String,
    cause: DiscoveryFault,
}

/// Why not. Texts of upstream's library where it has one; no body of an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiscoveryFault {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("{0}")]
    Status(String),
    #[error("oidc: failed to decode provider discovery object: got Content-Type = {0:?}")]
    Json(String),
    #[error(
        "oidc: issuer URL provided to client ({expected:?}) did not match the issuer URL returned by provider ({got:?})"
    )]
    Issuer { expected: String, got: String },
    #[error("the discovery document names no jwks_uri")]
    NoKeys,
}

/// A token that is not good. The texts are those of upstream's libraries and go to the peer when
/// `detailedErrorsToClient` is set. None shows the token; those that show what it says come after its signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It is none, or of an algorithm that is not allowed.
    #[error("oidc: malformed jwt: {0}")]
    Malformed(String),
    /// More than one has signed it.
    #[error("oidc: multiple signatures on id token not supported")]
    MultipleSignatures,
    /// The issuer gives no keys.
    #[error("failed to verify signature: fetching keys {0}")]
    Keys(#[from] KeysError),
    /// The issuer has not signed it.
    #[error("failed to verify signature: failed to verify id token signature")]
    Signature,
    /// What it says cannot be read.
    #[error("oidc: failed to unmarshal claims: {0}")]
    Claims(String),
    /// It is another issuer's.
    #[error("oidc: id token issued by a different provider, expected {expected:?} got {got:?}")]
    Issuer {
        /// The one of the configuration.
        expected: String,
        /// The one of the token.
        got: String,
    },
    /// It is for somebody else.
    #[error("oidc: expected audience {expected:?} got {}", list(got))]
    Audience {
        /// The one of the configuration.
        expected: String,
        /// Those of the token.
        got: Vec<String>,
    },
    /// Its time is over.
    #[error("oidc: token is expired (Token Expiry: {expiry})")]
    Expired {
        /// When it was.
        expiry: String,
    },
    /// Its time has not come.
    #[error("oidc: current time {now} before the nbf (not before) time: {not_before}")]
    NotYetValid {
        /// Our time.
        now: String,
        /// When it will be.
        not_before: String,
    },
}

/// A list as Go shows one.
fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" "))
}

/// The fields of a discovery document that matter here.
#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    jwks_uri: Option<String>,
    id_token_signing_alg_values_supported: Option<Vec<String>>,
}

/// Checks tokens of one issuer. Made once; shared by all connections.
pub struct Verifier {
    options: VerifierOptions,
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

impl Verifier {
    /// Asks the issuer where its keys are and how it signs. The keys themselves are fetched with the first token.
    ///
    /// # Errors
    /// The issuer does not answer, or answers for another one: then nothing that it says can be trusted, not even with
    /// `skipIssuerCheck`.
    pub async fn discover(options: VerifierOptions, http: Http) -> Result<Self, DiscoveryError> {
        let issuer = options.issuer.clone();
        discover(options, http).await.map_err(|cause| DiscoveryError { issuer, cause })
    }

    /// The subject of a good token.
    ///
    /// # Errors
    /// The token is not good, or the issuer gives no keys.
    pub async fn verify(&self, token: &Secret) -> Result<String, VerifyError> {
        let token = Token::parse(token.expose(), &self.algorithms).map_err(|error| match error {
            ParseError::Malformed(what) => VerifyError::Malformed(what),
            ParseError::MultipleSignatures => VerifyError::MultipleSignatures,
        })?;
        let payload = self.keys.payload(&token).await?.ok_or(VerifyError::Signature)?;
        let claims = Claims::read(payload)?;
        claims.check(&self.options, SystemTime::now())?;
        Ok(claims.subject)
    }
}

async fn discover(options: VerifierOptions, http: Http) -> Result<Verifier, DiscoveryFault> {
    let base = options.issuer.strip_suffix('/').unwrap_or(&options.issuer);
    let answer = http.get(&format!("{base}/.well-known/openid-configuration")).await?;
    if answer.status != 200 {
        return Err(DiscoveryFault::Status(answer.status_text()));
    }
    let Provider { keys, algorithms } = Provider::read(&answer.body, answer.content_type, &options.issuer)?;
    Ok(Verifier { options, algorithms, keys: Keys::new(http, keys) })
}

/// What a discovery document says that matters here.
pub(crate) struct Provider {
    /// The URL of its keys.
    pub(crate) keys: String,
    /// How it signs; never nothing.
    pub(crate) algorithms: Vec<Algorithm>,
}

impl Provider {
    /// Reads the document of `issuer`.
    pub(crate) fn read(body: &[u8], content_type: String, issuer: &str) -> Result<Self, DiscoveryFault> {
        let document: Document =
            serde_json::from_slice(body).map_err(|_| DiscoveryFault::Json(content_type))?;
        let got = document.issuer.unwrap_or_default();
        if got != issuer {
            return Err(DiscoveryFault::Issuer { expected: issuer.to_owned(), got });
        }
        let keys = document.jwks_uri.filter(|url| !url.is_empty()).ok_or(DiscoveryFault::NoKeys)?;
        let supported = document.id_token_signing_alg_values_supported.unwrap_or_default();
        let known = |name: &String| ALGORITHMS.into_iter().find(|algorithm| algorithm.name == name);
        let mut algorithms: Vec<_> = supported.iter().filter_map(known).collect();
        if algorithms.is_empty() {
            algorithms.push(RS256);
        }
        Ok(Self { keys, algorithms })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("options", &self.options).finish_non_exhaustive()
    }
}
