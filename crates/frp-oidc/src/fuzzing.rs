//! What the fuzz targets call: the readers of what issuers and strangers send, without the network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use frp_proto::Secret;
use hyper::StatusCode;

use crate::answer;
use crate::claims::Claims;
use crate::form;
use crate::http::{self, Answer};
use crate::jws::{ALGORITHMS, Key, ParseError, Token};
use crate::keys::{read_set, signed_by_any};
use crate::verify::{Provider, VerifierOptions};

/// The keys of an issuer.
pub struct KeySet(Arc<[Key]>);

impl KeySet {
    /// Reads a set.
    ///
    /// # Errors
    /// It is none.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        read_set(body).map(Self).map_err(|error| error.to_string())
    }

    /// How many can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a token of any algorithm says, if one of the keys has signed it.
    ///
    /// # Errors
    /// It is no token.
    pub fn payload(&self, token: &str) -> Result<Option<Vec<u8>>, String> {
        let token = Token::parse(token, &ALGORITHMS).map_err(|error| match error {
            ParseError::Malformed(what) => what,
            ParseError::MultipleSignatures => "multiple signatures".to_owned(),
        })?;
        Ok(signed_by_any(&token, &self.0).map(<[u8]>::to_vec))
    }
}

/// The subject of these claims, if they suit `options` in that second after 1970.
///
/// # Errors
/// They do not.
pub fn claims(payload: &[u8], options: &VerifierOptions, now: u32) -> Result<String, String> {
    let now = UNIX_EPOCH + Duration::from_secs(now.into());
    let claims = Claims::read(payload).map_err(|error| error.to_string())?;
    claims.check(options, now).map_err(|error| error.to_string())?;
    Ok(claims.subject)
}

/// The URL of the keys and the names of the algorithms of `issuer`, of its discovery document.
///
/// # Errors
/// It is none, or another's.
pub fn document(body: &[u8], issuer: &str) -> Result<(String, Vec<&'static str>), String> {
    let provider = Provider::read(body, String::new(), issuer).map_err(|error| error.to_string())?;
    Ok((provider.keys, provider.algorithms.iter().map(|algorithm| algorithm.name).collect()))
}

/// The token and its lifetime in seconds, of an answer to a client with that secret.
///
/// # Errors
/// It has none.
pub fn answer(
    status: u16,
    content_type: &str,
    body: &[u8],
    secret: &Secret,
) -> Result<(Secret, Option<i64>), String> {
    let status = StatusCode::from_u16(status).map_err(|error| error.to_string())?;
    let answer = Answer { status, content_type: content_type.to_owned(), body: body.to_vec() };
    let granted = answer::read(&answer, secret).map_err(|error| error.to_string())?;
    Ok((granted.token, granted.expires_in))
}

/// Names and values of a form.
#[must_use]
pub fn form(text: &str) -> Option<BTreeMap<String, String>> {
    form::decoded(text)
}

/// A form with these names and values.
#[must_use]
pub fn form_text(values: &BTreeMap<String, String>) -> String {
    form::encoded(&values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
}

/// Whether a URL is one of https, its host and its port.
///
/// # Errors
/// It leads nowhere.
pub fn target(url: &str) -> Result<(bool, String, u16), String> {
    http::target(url)
}

/// The URL as errors show it.
#[must_use]
pub fn shown(url: &str) -> String {
    http::shown(url)
}

/// Where a redirect leads.
///
/// # Errors
/// It must not be followed.
pub fn redirected(url: &str, location: &str) -> Result<String, String> {
    http::redirected(url, location)
}
