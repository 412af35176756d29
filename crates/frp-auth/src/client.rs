//! The client's side: filling in proof.

use std::process::Command;
use std::sync::Arc;

use frp_oidc::{ClientCredentials, TokenError};
use frp_proto::Secret;
use frp_proto::msg::{Login, NewWorkConn, Ping};

use crate::token_source::{self, TokenSource, TokenSourceError};
use crate::{Scopes, Token, token};

/// Proves who we are. Made once at start; shared by all connections.
#[derive(Clone, Debug)]
pub struct ClientAuth {
    method: Method,
    scopes: Scopes,
    token: Token,
}

#[derive(Clone, Debug)]
enum Method {
    /// The digest of `ClientAuth::token`.
    Token,
    /// A token that the issuer's endpoint gives.
    Credentials(Arc<ClientCredentials>),
    /// A token from elsewhere, fetched for each message.
    Source(Arc<TokenSource>, Prepare),
}

/// Sees a token source's command before it starts; see [`token_source::resolve`].
pub type Prepare = fn(&mut Command);

/// Proof that could not be obtained. The method `token` never fails. The texts are upstream's (`pkg/auth/oidc.go`), the
/// same for every message, and show no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The endpoint gives no token.
    #[error("couldn't generate OIDC token for login: {0}")]
    Credentials(#[from] TokenError),
    /// `auth.oidc.tokenSource` gives no token.
    #[error("couldn't acquire OIDC token for login: {0}")]
    Source(TokenSourceError),
    /// What it gives is no text, and cannot stand in a message.
    #[error("couldn't acquire OIDC token for login: the token is no text")]
    NoText,
}

impl ClientAuth {
    /// Method `token`.
    #[must_use]
    pub fn token(token: Token, scopes: Scopes) -> Self {
        Self { method: Method::Token, scopes, token }
    }

    /// Method `oidc`, with a token of the endpoint. `token` is what encryption keys are derived from.
    #[must_use]
    pub fn oidc(credentials: ClientCredentials, token: Token, scopes: Scopes) -> Self {
        Self { method: Method::Credentials(Arc::new(credentials)), scopes, token }
    }

    /// Method `oidc`, with a token of `source`, read for each message. `token` is what encryption keys are derived from.
    #[must_use]
    pub fn oidc_source(source: TokenSource, prepare: Prepare, token: Token, scopes: Scopes) -> Self {
        Self { method: Method::Source(Arc::new(source), prepare), scopes, token }
    }

    /// The secret that encryption keys are derived from, whatever the method.
    #[must_use]
    pub fn encryption_secret(&self) -> &Token {
        &self.token
    }

    /// Fills in `privilege_key`, for the message's own `timestamp`, which the caller has set.
    ///
    /// # Errors
    /// When the method has to ask somebody and fails.
    pub async fn set_login(&self, login: &mut Login) -> Result<(), SetError> {
        login.privilege_key = match &self.method {
            Method::Token => token::key(&self.token, login.timestamp),
            method => method.issued().await?,
        };
        Ok(())
    }

    /// Fills in `privilege_key`, and with method `token` the `timestamp`, with the scope `HeartBeats`; leaves both alone
    /// without.
    ///
    /// # Errors
    /// As [`Self::set_login`].
    pub async fn set_ping(&self, ping: &mut Ping) -> Result<(), SetError> {
        if self.scopes.heart_beats {
            self.set(&mut ping.privilege_key, &mut ping.timestamp).await?;
        }
        Ok(())
    }

    /// As [`Self::set_ping`], with the scope `NewWorkConns`.
    ///
    /// # Errors
    /// As [`Self::set_login`].
    pub async fn set_new_work_conn(&self, message: &mut NewWorkConn) -> Result<(), SetError> {
        if self.scopes.new_work_conns {
            self.set(&mut message.privilege_key, &mut message.timestamp).await?;
        }
        Ok(())
    }

    async fn set(&self, key: &mut Secret, timestamp: &mut i64) -> Result<(), SetError> {
        match &self.method {
            Method::Token => {
                *timestamp = token::now();
                *key = token::key(&self.token, *timestamp);
            }
            method => *key = method.issued().await?,
        }
        Ok(())
    }
}

impl Method {
    /// A token that somebody else has made. Boxed, because most connections never wait for one.
    async fn issued(&self) -> Result<Secret, SetError> {
        match self {
            Self::Token => Ok(Secret::default()),
            Self::Credentials(credentials) => Ok(Box::pin(credentials.token()).await?),
            Self::Source(source, prepare) => {
                let token =
                    Box::pin(token_source::resolve(source, prepare)).await.map_err(SetError::Source)?;
                let text = std::str::from_utf8(token.as_bytes()).map_err(|_| SetError::NoText)?;
                Ok(text.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_login_is_signed_for_its_own_time() {
        let auth = ClientAuth::token("123".into(), Scopes::default());
        let mut login = Login { timestamp: 1_700_000_000, ..Login::default() };
        auth.set_login(&mut login).await.unwrap();
        assert_eq!(login.timestamp, 1_700_000_000);
        assert_eq!(login.privilege_key, "8c89053b65639170f09e7b2bef70ed0c");
    }

    #[tokio::test]
    async fn an_empty_token_still_signs() {
        let auth = ClientAuth::token(Token::default(), Scopes::default());
        let mut login = Login { timestamp: 1_700_000_000, ..Login::default() };
        auth.set_login(&mut login).await.unwrap();
        assert_eq!(login.privilege_key, "24920decf83f6960b80f737a28eeafc1");
    }

    #[tokio::test]
    async fn other_messages_are_signed_only_in_scope() {
        let (mut ping, mut work) = (Ping::default(), NewWorkConn::default());
        let auth = ClientAuth::token("123".into(), Scopes::default());
        auth.set_ping(&mut ping).await.unwrap();
        auth.set_new_work_conn(&mut work).await.unwrap();
        assert_eq!((ping.timestamp, ping.privilege_key.expose()), (0, ""));
        assert_eq!((work.timestamp, work.privilege_key.expose()), (0, ""));

        let (mut ping, mut work) = (Ping::default(), NewWorkConn::default());
        let auth = ClientAuth::token("123".into(), Scopes { heart_beats: true, new_work_conns: false });
        auth.set_ping(&mut ping).await.unwrap();
        auth.set_new_work_conn(&mut work).await.unwrap();
        assert!(ping.timestamp > 1_700_000_000);
        assert_eq!(ping.privilege_key, frp_proto::digest::auth_key(b"123", ping.timestamp));
        assert_eq!(work.privilege_key, "");

        let auth = ClientAuth::token("123".into(), Scopes { heart_beats: false, new_work_conns: true });
        auth.set_new_work_conn(&mut work).await.unwrap();
        assert_eq!(work.privilege_key, frp_proto::digest::auth_key(b"123", work.timestamp));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_source_is_read_for_each_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let both = Scopes { heart_beats: true, new_work_conns: true };
        let source = TokenSource::File { path: path.clone() };
        let auth = ClientAuth::oidc_source(source, |_| {}, Token::from("key"), both);
        let (mut login, mut ping, mut work) = (Login::default(), Ping::default(), NewWorkConn::default());
        login.timestamp = 5;
        auth.set_login(&mut login).await.unwrap();
        assert_eq!(login.privilege_key, "first");
        std::fs::write(&path, " second ").unwrap();
        auth.set_ping(&mut ping).await.unwrap();
        auth.set_new_work_conn(&mut work).await.unwrap();
        assert_eq!((ping.privilege_key.expose(), work.privilege_key.expose()), ("second", "second"));
        // Only a login says when it was made.
        assert_eq!((login.timestamp, ping.timestamp, work.timestamp), (5, 0, 0));
        assert_eq!(auth.encryption_secret().as_bytes(), b"key");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(
            auth.set_login(&mut login).await.unwrap_err().to_string(),
            "couldn't acquire OIDC token for login: the token is no text"
        );
        std::fs::remove_file(&path).unwrap();
        let text = auth.set_ping(&mut ping).await.unwrap_err().to_string();
        assert!(text.starts_with("couldn't acquire OIDC token for login: failed to read file "), "{text}");
    }
}
