//! The server's side: checking proof.

use std::sync::Arc;

use frp_oidc::Verifier;
use frp_proto::Secret;
use frp_proto::msg::{Login, NewWorkConn, Ping};

use crate::{Scopes, Token, token};

/// Checks who a client is. Made once at start; shared by all connections.
#[derive(Clone, Debug)]
pub struct ServerAuth {
    method: Method,
    scopes: Scopes,
    token: Token,
}

#[derive(Clone, Debug)]
enum Method {
    /// The digest of `ServerAuth::token`.
    Token,
    /// A token that an issuer has signed.
    Oidc(Arc<Verifier>),
}

/// Proof that does not hold: the peer's fault. The texts are upstream's and go to the peer when
/// `detailedErrorsToClient` is set (upstream `pkg/auth/token.go`, `pkg/auth/oidc.go`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// In a `Login`.
    #[error("token in login doesn't match token from configuration")]
    LoginToken,
    /// In a `Ping`.
    #[error("token in heartbeat doesn't match token from configuration")]
    PingToken,
    /// In a `NewWorkConn`.
    #[error("token in NewWorkConn doesn't match token from configuration")]
    NewWorkConnToken,
    /// In a `Login`.
    #[error("invalid OIDC token in login: {0}")]
    LoginOidc(#[source] frp_oidc::VerifyError),
    /// In a `Ping` or `NewWorkConn`.
    #[error("invalid OIDC token in ping: {0}")]
    LaterOidc(#[source] frp_oidc::VerifyError),
    /// The token of a `Ping` or `NewWorkConn` is good, and somebody else's.
    #[error("received different OIDC subject in login and ping. new subject: {0}")]
    OtherSubject(String),
}

/// Who has logged in, as far as the method knows: what later messages of the session are compared with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity(Option<Arc<str>>);

impl ServerAuth {
    /// Method `token`.
    #[must_use]
    pub fn token(token: Token, scopes: Scopes) -> Self {
        Self { method: Method::Token, scopes, token }
    }

    /// Method `oidc`. `token` is what encryption keys are derived from.
    #[must_use]
    pub fn oidc(verifier: Verifier, token: Token, scopes: Scopes) -> Self {
        Self { method: Method::Oidc(Arc::new(verifier)), scopes, token }
    }

    /// The secret that encryption keys are derived from, whatever the method.
    #[must_use]
    pub fn encryption_secret(&self) -> &Token {
        &self.token
    }

    /// Checks a login. Always in scope. May have to ask an issuer, within a bounded time; who waits for a stranger has a
    /// deadline of its own.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub async fn verify_login(&self, login: &Login) -> Result<Identity, VerifyError> {
        match &self.method {
            Method::Token => {
                self.check(login.timestamp, &login.privilege_key, VerifyError::LoginToken)?;
                Ok(Identity::default())
            }
            // Boxed, because most of the time nobody is asked.
            Method::Oidc(verifier) => {
                let subject = Box::pin(verifier.verify(&login.privilege_key)).await;
                Ok(Identity(Some(subject.map_err(VerifyError::LoginOidc)?.into())))
            }
        }
    }

    /// Checks a ping of `identity`'s session, with the scope `HeartBeats`.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub async fn verify_ping(&self, ping: &Ping, identity: &Identity) -> Result<(), VerifyError> {
        if !self.scopes.heart_beats {
            return Ok(());
        }
        match &self.method {
            Method::Token => self.check(ping.timestamp, &ping.privilege_key, VerifyError::PingToken),
            Method::Oidc(verifier) => same_subject(verifier, &ping.privilege_key, identity).await,
        }
    }

    /// Checks a work connection of `identity`'s session, with the scope `NewWorkConns`.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub async fn verify_new_work_conn(
        &self,
        message: &NewWorkConn,
        identity: &Identity,
    ) -> Result<(), VerifyError> {
        if !self.scopes.new_work_conns {
            return Ok(());
        }
        match &self.method {
            Method::Token => {
                self.check(message.timestamp, &message.privilege_key, VerifyError::NewWorkConnToken)
            }
            Method::Oidc(verifier) => same_subject(verifier, &message.privilege_key, identity).await,
        }
    }

    fn check(&self, timestamp: i64, presented: &Secret, refusal: VerifyError) -> Result<(), VerifyError> {
        if token::matches(&self.token, timestamp, presented) { Ok(()) } else { Err(refusal) }
    }
}

/// Whether the token is good and that of who has logged in. Upstream takes the subject of any login of any client since
/// the server's start, and remembers them all.
async fn same_subject(verifier: &Verifier, token: &Secret, identity: &Identity) -> Result<(), VerifyError> {
    let subject = Box::pin(verifier.verify(token)).await.map_err(VerifyError::LaterOidc)?;
    if identity.0.as_deref() == Some(subject.as_str()) {
        Ok(())
    } else {
        Err(VerifyError::OtherSubject(subject.escape_debug().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientAuth;

    const BOTH: Scopes = Scopes { heart_beats: true, new_work_conns: true };

    #[tokio::test]
    async fn the_same_token_passes_with_every_scope() {
        for (client_scopes, server_scopes) in
            [(Scopes::default(), Scopes::default()), (BOTH, BOTH), (BOTH, Scopes::default())]
        {
            let client = ClientAuth::token("123".into(), client_scopes);
            let server = ServerAuth::token("123".into(), server_scopes);
            let mut login = Login { timestamp: -5, ..Login::default() };
            let (mut ping, mut work) = (Ping::default(), NewWorkConn::default());
            client.set_login(&mut login).await.unwrap();
            client.set_ping(&mut ping).await.unwrap();
            client.set_new_work_conn(&mut work).await.unwrap();
            assert_eq!(server.verify_login(&login).await, Ok(Identity::default()));
            assert_eq!(server.verify_ping(&ping, &Identity::default()).await, Ok(()));
            assert_eq!(server.verify_new_work_conn(&work, &Identity::default()).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn refusals_have_upstreams_texts() {
        let client = ClientAuth::token("124".into(), BOTH);
        let server = ServerAuth::token("123".into(), BOTH);
        let mut login = Login { timestamp: 1_700_000_000, ..Login::default() };
        client.set_login(&mut login).await.unwrap();
        let text = |result: Result<(), VerifyError>| result.unwrap_err().to_string();
        assert_eq!(
            text(server.verify_login(&login).await.map(drop)),
            "token in login doesn't match token from configuration"
        );
        assert_eq!(
            text(server.verify_ping(&Ping::default(), &Identity::default()).await),
            "token in heartbeat doesn't match token from configuration"
        );
        assert_eq!(
            text(server.verify_new_work_conn(&NewWorkConn::default(), &Identity::default()).await),
            "token in NewWorkConn doesn't match token from configuration"
        );
    }

    #[tokio::test]
    async fn a_key_belongs_to_one_timestamp() {
        let server = ServerAuth::token("123".into(), Scopes::default());
        let key = "8c89053b65639170f09e7b2bef70ed0c";
        let login = |timestamp, key: &str| Login { timestamp, privilege_key: key.into(), ..Login::default() };
        assert!(server.verify_login(&login(1_700_000_000, key)).await.is_ok());
        for (timestamp, key) in [
            (1_700_000_001, key),
            (1_700_000_000, ""),
            (1_700_000_000, &key[..31]),
            (1_700_000_000, &key.to_uppercase()),
        ] {
            assert_eq!(server.verify_login(&login(timestamp, key)).await, Err(VerifyError::LoginToken));
        }
    }
}
