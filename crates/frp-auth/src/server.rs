//! The server's side: checking proof.

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
}

/// Proof that does not hold: the peer's fault. The texts are upstream's and go to the peer when
/// `detailedErrorsToClient` is set (upstream `pkg/auth/token.go`).
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
}

impl ServerAuth {
    /// Method `token`.
    #[must_use]
    pub fn token(token: Token, scopes: Scopes) -> Self {
        Self { method: Method::Token, scopes, token }
    }

    /// The secret that encryption keys are derived from, whatever the method.
    #[must_use]
    pub fn encryption_secret(&self) -> &Token {
        &self.token
    }

    /// Checks a login. Always in scope.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub async fn verify_login(&self, login: &Login) -> Result<(), VerifyError> {
        match self.method {
            Method::Token => self.check(login.timestamp, &login.privilege_key, VerifyError::LoginToken),
        }
    }

    /// Checks a ping, with the scope `HeartBeats`.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub async fn verify_ping(&self, ping: &Ping) -> Result<(), VerifyError> {
        if !self.scopes.heart_beats {
            return Ok(());
        }
        match self.method {
            Method::Token => self.check(ping.timestamp, &ping.privilege_key, VerifyError::PingToken),
        }
    }

    /// Checks a work connection, with the scope `NewWorkConns`.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub async fn verify_new_work_conn(&self, message: &NewWorkConn) -> Result<(), VerifyError> {
        if !self.scopes.new_work_conns {
            return Ok(());
        }
        match self.method {
            Method::Token => {
                self.check(message.timestamp, &message.privilege_key, VerifyError::NewWorkConnToken)
            }
        }
    }

    fn check(&self, timestamp: i64, presented: &Secret, refusal: VerifyError) -> Result<(), VerifyError> {
        if token::matches(&self.token, timestamp, presented) { Ok(()) } else { Err(refusal) }
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
            assert_eq!(server.verify_login(&login).await, Ok(()));
            assert_eq!(server.verify_ping(&ping).await, Ok(()));
            assert_eq!(server.verify_new_work_conn(&work).await, Ok(()));
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
            text(server.verify_login(&login).await),
            "token in login doesn't match token from configuration"
        );
        assert_eq!(
            text(server.verify_ping(&Ping::default()).await),
            "token in heartbeat doesn't match token from configuration"
        );
        assert_eq!(
            text(server.verify_new_work_conn(&NewWorkConn::default()).await),
            "token in NewWorkConn doesn't match token from configuration"
        );
    }

    #[tokio::test]
    async fn a_key_belongs_to_one_timestamp() {
        let server = ServerAuth::token("123".into(), Scopes::default());
        let key = "8c89053b65639170f09e7b2bef70ed0c";
        let login = |timestamp, key: &str| Login { timestamp, privilege_key: key.into(), ..Login::default() };
        assert_eq!(server.verify_login(&login(1_700_000_000, key)).await, Ok(()));
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
