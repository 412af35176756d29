//! The client's side: filling in proof.

use frp_proto::msg::{Login, NewWorkConn, Ping};

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
}

/// Proof that could not be obtained. The method `token` never fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {}

impl ClientAuth {
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

    /// Fills in `privilege_key` for the message's own `timestamp`, which the caller has set.
    ///
    /// # Errors
    /// When the method has to ask somebody and fails.
    pub async fn set_login(&self, login: &mut Login) -> Result<(), SetError> {
        match self.method {
            Method::Token => login.privilege_key = token::key(&self.token, login.timestamp),
        }
        Ok(())
    }

    /// Fills in `timestamp` and `privilege_key` with the scope `HeartBeats`; leaves both alone without.
    ///
    /// # Errors
    /// As [`Self::set_login`].
    pub async fn set_ping(&self, ping: &mut Ping) -> Result<(), SetError> {
        if self.scopes.heart_beats {
            match self.method {
                Method::Token => {
                    ping.timestamp = token::now();
                    ping.privilege_key = token::key(&self.token, ping.timestamp);
                }
            }
        }
        Ok(())
    }

    /// Fills in `timestamp` and `privilege_key` with the scope `NewWorkConns`; leaves both alone without.
    ///
    /// # Errors
    /// As [`Self::set_login`].
    pub async fn set_new_work_conn(&self, message: &mut NewWorkConn) -> Result<(), SetError> {
        if self.scopes.new_work_conns {
            match self.method {
                Method::Token => {
                    message.timestamp = token::now();
                    message.privilege_key = token::key(&self.token, message.timestamp);
                }
            }
        }
        Ok(())
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
}
