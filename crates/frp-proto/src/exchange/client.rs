//! The client's side of a login.

use thiserror::Error;

use super::Channel;
use crate::crypto::{Key, key};
use crate::msg::{Login, LoginResp, Message, MessageKind};
use crate::v1::{self, DecodeError, EncodeError, FrameReader};

/// A login under way: [`start`](Self::start) gives the bytes to send, [`receive`](Self::receive) takes the
/// answer.
///
/// ```
/// use frp_proto::exchange::client::ClientLogin;
/// use frp_proto::msg::{Login, LoginResp};
/// use frp_proto::v1;
///
/// let (mut login, _bytes_to_send) = ClientLogin::start(Login::default(), b"token")?;
/// let answer = LoginResp { run_id: "0123456789abcdef".to_owned(), ..LoginResp::default() };
/// let (_, done) = login.receive(&v1::encode(&answer.into())?)?;
/// assert_eq!(done.map(|done| done.response.run_id), Some("0123456789abcdef".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ClientLogin {
    answer: FrameReader,
    key: Key,
}

/// A login that the server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The server's answer; its `error` is empty.
    pub response: LoginResp,
    /// How to go on, from the very next byte of either direction.
    pub channel: Channel,
}

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The server says no; the text is the server's.
    #[error("{0}")]
    Refused(String),
    /// The server sent something that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The server sent another message than the answer.
    #[error("unexpected message {name}, want LoginResp", name = .0.name())]
    Unexpected(MessageKind),
}

impl ClientLogin {
    /// Begins a login. `token` is the raw text that the channel's key is derived from. Returns the bytes to
    /// send, in clear.
    ///
    /// # Errors
    /// If the login does not fit one message.
    pub fn start(login: Login, token: &[u8]) -> Result<(Self, Vec<u8>), EncodeError> {
        let bytes = v1::encode(&login.into())?;
        Ok((Self { answer: FrameReader::new(), key: key::derive(token) }, bytes))
    }

    /// How many bytes may be read now without reading beyond the answer: at least 1.
    ///
    /// # Errors
    /// If what has come is no answer.
    pub fn wanted(&self) -> Result<usize, LoginError> {
        Ok(self.answer.wanted()?)
    }

    /// Takes bytes from the front of `input`; says how many, and the outcome once the answer is complete. What
    /// is left of `input` then belongs to the [`Channel`].
    ///
    /// # Errors
    /// If the server refuses, or sends something else than an answer. The stream is then of no more use.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<LoggedIn>), LoginError> {
        let (taken, message) = self.answer.push(input)?;
        let outcome = match message {
            None => None,
            Some(Message::LoginResp(response)) if response.error.is_empty() => {
                Some(LoggedIn { response, channel: Channel::V1 { key: self.key.clone() } })
            }
            Some(Message::LoginResp(response)) => return Err(LoginError::Refused(response.error)),
            Some(other) => return Err(LoginError::Unexpected(other.kind())),
        };
        Ok((taken, outcome))
    }
}
