//! The server's side: what a new stream is, and the answer to a login.

use thiserror::Error;

use super::{Channel, WireVersion};
use crate::crypto::key;
use crate::msg::{Login, LoginResp, Message, MessageKind, NewVisitorConn, NewWorkConn};
use crate::sniff::{self, StreamStart};
use crate::v1::{self, DecodeError, EncodeError, FrameReader};

/// Reads the first message of a new stream and decides what the stream is.
#[derive(Debug, Default)]
pub struct ServerAccept {
    /// First bytes, as long as they could still be the magic of wire version 2.
    magic: Vec<u8>,
    first: FrameReader,
}

/// What a new stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FirstMessage {
    /// A control stream, whose login is to be answered with `reply`.
    Login {
        /// The client's login, not verified.
        login: Box<Login>,
        /// How to answer.
        reply: LoginReply,
    },
    /// A work stream.
    WorkConn {
        /// The client's message, not verified.
        message: NewWorkConn,
        /// The framing of `StartWorkConn`, which answers it.
        wire: WireVersion,
    },
    /// A visitor stream.
    VisitorConn {
        /// The client's message, not verified.
        message: NewVisitorConn,
        /// The framing of `NewVisitorConnResp`, which answers it.
        wire: WireVersion,
    },
}

/// Why a new stream is of no use; it is closed without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer sent something that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The peer sent a message that opens no stream.
    #[error("unexpected first message {name}", name = .0.name())]
    Unexpected(MessageKind),
    /// The peer speaks wire version 2, which is not built yet.
    #[error("wire protocol v2 is not supported")]
    WireV2,
}

impl ServerAccept {
    /// At the start of a stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { magic: Vec::new(), first: FrameReader::new() }
    }

    /// How many bytes may be read now without reading beyond the first message: at least 1.
    ///
    /// # Errors
    /// If what has come is no message.
    pub fn wanted(&self) -> Result<usize, AcceptError> {
        if self.first.is_at_start() {
            // The magic is shorter than any v1 message.
            return Ok(sniff::V2_MAGIC.len().saturating_sub(self.magic.len()).max(1));
        }
        Ok(self.first.wanted()?)
    }

    /// Takes bytes from the front of `input`; says how many, and what the stream is once its first message
    /// is complete.
    ///
    /// # Errors
    /// If the stream is to be closed.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<FirstMessage>), AcceptError> {
        if input.is_empty() {
            return Ok((0, None));
        }
        let at_start = self.first.is_at_start();
        if at_start {
            let held = self.magic.len();
            let room = sniff::V2_MAGIC.len().saturating_sub(held).min(input.len());
            self.magic.extend_from_slice(input.get(..room).unwrap_or_default());
            match sniff::stream_start(&self.magic) {
                None => return Ok((room, None)),
                Some(StreamStart::V2) => return Err(AcceptError::WireV2),
                Some(StreamStart::V1) => {}
            }
            // No v1 message begins with the magic's first byte: nothing but the input is to be decoded, or
            // what was held back already fails.
            let held_back = std::mem::take(&mut self.magic);
            self.first.push(held_back.get(..held).unwrap_or_default())?;
        }
        let (taken, message) = self.first.push(input)?;
        let first = match message {
            None => None,
            Some(Message::Login(login)) => {
                Some(FirstMessage::Login { login, reply: LoginReply { wire: WireVersion::V1 } })
            }
            Some(Message::NewWorkConn(message)) => {
                Some(FirstMessage::WorkConn { message, wire: WireVersion::V1 })
            }
            Some(Message::NewVisitorConn(message)) => {
                Some(FirstMessage::VisitorConn { message, wire: WireVersion::V1 })
            }
            Some(other) => return Err(AcceptError::Unexpected(other.kind())),
        };
        Ok((taken, first))
    }
}

/// The answer to a login, to be given once.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct LoginReply {
    wire: WireVersion,
}

impl LoginReply {
    /// The framing of the session.
    #[must_use]
    pub const fn wire(&self) -> WireVersion {
        self.wire
    }

    /// Accepts the login: the bytes to send in clear, and how to go on behind them. `token` is the raw text
    /// that the channel's key is derived from.
    ///
    /// # Errors
    /// If the answer does not fit one message, as with a run id of a client's making.
    pub fn accept(
        self,
        version: &str,
        run_id: &str,
        token: &[u8],
    ) -> Result<(Vec<u8>, Channel), EncodeError> {
        let response =
            LoginResp { version: version.to_owned(), run_id: run_id.to_owned(), error: String::new() };
        Ok((v1::encode(&response.into())?, Channel::V1 { key: key::derive(token) }))
    }

    /// Refuses the login: the bytes to send in clear before the stream is closed.
    ///
    /// # Errors
    /// If the answer does not fit one message.
    pub fn refuse(self, version: &str, error: &str) -> Result<Vec<u8>, EncodeError> {
        let response =
            LoginResp { version: version.to_owned(), run_id: String::new(), error: error.to_owned() };
        v1::encode(&response.into())
    }
}
