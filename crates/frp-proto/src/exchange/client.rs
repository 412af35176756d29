//! The client's side of a login.

use thiserror::Error;

use super::{Channel, payload_framing};
use crate::crypto::transcript::Direction;
use crate::crypto::{Transcript, key};
use crate::hello::{self, Agreed, ClientHello, HelloError, ServerHello};
use crate::msg::{Login, LoginResp, Message, MessageKind};
use crate::sniff::V2_MAGIC;
use crate::v1::{self, EncodeError};
use crate::v2;
use crate::wire::{DecodeError, Framing, MessageCollector};

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
    token: Token,
    /// The server's hello is due first.
    hello: Option<Box<Greeting>>,
    answer: MessageCollector,
    /// Of version 2, with what the hellos agreed on.
    agreed: Option<(Transcript, Agreed)>,
}

/// The raw bytes that the channel's keys are made of.
struct Token(Vec<u8>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

/// Our hello, and the server's as far as it has come.
#[derive(Debug)]
struct Greeting {
    ours: ClientHello,
    payload: Vec<u8>,
    answer: v2::FrameReader,
}

/// A login that the server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The server's answer; its `error` is empty.
    pub response: LoginResp,
    /// How to go on, from the very next byte of either direction.
    pub channel: Channel,
    /// How messages look in the payload of work connections of this session.
    pub payload_framing: Framing,
}

/// Why a login failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The server says no; the text is the server's.
    #[error("{0}")]
    Refused(String),
    /// The server's hello agrees on nothing.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The server sent something that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The server sent another message than the answer.
    #[error("unexpected message {name}, want LoginResp", name = .0.name())]
    Unexpected(MessageKind),
}

impl From<v1::DecodeError> for LoginError {
    fn from(error: v1::DecodeError) -> Self {
        Self::Decode(error.into())
    }
}

impl From<v2::DecodeError> for LoginError {
    fn from(error: v2::DecodeError) -> Self {
        Self::Decode(error.into())
    }
}

impl ClientLogin {
    /// Begins a login in wire version 1. `token` is the raw text that the channel's key is derived from. Returns the
    /// bytes to send, in clear.
    ///
    /// # Errors
    /// If the login does not fit one message.
    pub fn start(login: Login, token: &[u8]) -> Result<(Self, Vec<u8>), EncodeError> {
        let bytes = v1::encode(&login.into())?;
        let answer = MessageCollector::new(Framing::V1);
        Ok((Self { token: Token(token.to_vec()), hello: None, answer, agreed: None }, bytes))
    }

    /// Begins a login in wire version 2 with this hello.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_v2(login: Login, token: &[u8], hello: ClientHello) -> Result<(Self, Vec<u8>), EncodeError> {
        let mut bytes = V2_MAGIC.to_vec();
        let payload = hello.encode();
        hello::append_frame(v2::CLIENT_HELLO, &payload, &mut bytes);
        v2::encode_into(&login.into(), &mut bytes)?;
        let hello = Greeting { ours: hello, payload, answer: v2::FrameReader::new() };
        let machine = Self {
            token: Token(token.to_vec()),
            hello: Some(Box::new(hello)),
            answer: MessageCollector::new(Framing::V2),
            agreed: None,
        };
        Ok((machine, bytes))
    }

    /// How many bytes may be read now without reading beyond the answer: at least 1.
    ///
    /// # Errors
    /// If what has come is no answer.
    pub fn wanted(&self) -> Result<usize, LoginError> {
        match &self.hello {
            Some(hello) => Ok(hello.answer.wanted()?),
            None => Ok(self.answer.wanted()?),
        }
    }

    /// Takes bytes from the front of `input`; says how many, and the outcome once the answer is complete. What
    /// is left of `input` then belongs to the [`Channel`].
    ///
    /// # Errors
    /// If the server refuses, or sends something else than an answer. The stream is then of no more use.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<LoggedIn>), LoginError> {
        let greeted = self.receive_hello(input)?;
        if self.hello.is_some() {
            return Ok((greeted, None));
        }
        let (taken, message) = self.answer.push(input.get(greeted..).unwrap_or_default())?;
        let outcome = match message {
            None => None,
            Some(Message::LoginResp(response)) if response.error.is_empty() => Some(self.done(response)),
            Some(Message::LoginResp(response)) => return Err(LoginError::Refused(response.error)),
            Some(other) => return Err(LoginError::Unexpected(other.kind())),
        };
        Ok((greeted + taken, outcome))
    }

    /// Takes what belongs to the server's hello.
    fn receive_hello(&mut self, input: &[u8]) -> Result<usize, LoginError> {
        let Some(hello) = &mut self.hello else { return Ok(0) };
        let (taken, frame) = hello.answer.push(input)?;
        if let Some(frame) = frame {
            let payload = frame.of_type(v2::SERVER_HELLO)?;
            let agreed = ServerHello::decode(payload)?.agree(&hello.ours)?;
            self.agreed = Some((Transcript::new(&hello.payload, payload), agreed));
            self.hello = None;
        }
        Ok(taken)
    }

    fn done(&self, response: LoginResp) -> LoggedIn {
        let Token(token) = &self.token;
        let channel = match &self.agreed {
            None => Channel::V1 { key: key::derive(token) },
            Some((transcript, agreed)) => Channel::v2(token, transcript, *agreed, Direction::ClientToServer),
        };
        let payload_framing =
            payload_framing(self.agreed.as_ref().map(|(_, agreed)| *agreed), &response.version);
        LoggedIn { response, channel, payload_framing }
    }
}
