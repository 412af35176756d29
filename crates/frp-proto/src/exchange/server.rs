//! The server's side: what a new stream is, and the answer to a login.

use thiserror::Error;

use super::{Channel, WireVersion, payload_framing};
use crate::crypto::transcript::Direction;
use crate::crypto::{Transcript, key};
use crate::hello::{self, Agreed, ClientHello, HelloError, ServerHello};
use crate::limits::HELLO_RANDOM_LEN;
use crate::msg::{Login, LoginResp, Message, MessageKind, NewVisitorConn, NewWorkConn};
use crate::sniff::{self, StreamStart};
use crate::wire::{DecodeError, EncodeError, Framing, MessageCollector};
use crate::{v1, v2};

/// Reads the first message of a new stream and decides what the stream is.
#[derive(Debug)]
pub struct ServerAccept {
    state: State,
    /// The random value of our hello.
    random: [u8; HELLO_RANDOM_LEN],
    /// To be sent now.
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// First bytes, as long as they could still be the magic of wire version 2.
    Magic(Vec<u8>),
    V1(MessageCollector),
    V2 {
        frame: v2::FrameReader,
        negotiated: Option<Negotiated>,
    },
}

/// What the hellos of a stream agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Negotiated {
    transcript: Transcript,
    agreed: Agreed,
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

/// Why a new stream is of no use; it is closed, after what [`ServerAccept::take_output`] still gives.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer sent something that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The peer sent a message that opens no stream.
    #[error("unexpected first message {name}", name = .0.name())]
    Unexpected(MessageKind),
    /// The peer's hello agrees on nothing.
    #[error(transparent)]
    Hello(#[from] HelloError),
}

impl From<v1::DecodeError> for AcceptError {
    fn from(error: v1::DecodeError) -> Self {
        Self::Decode(error.into())
    }
}

impl From<v2::DecodeError> for AcceptError {
    fn from(error: v2::DecodeError) -> Self {
        Self::Decode(error.into())
    }
}

impl ServerAccept {
    /// At the start of a stream. `random` goes into our hello, should the client speak version 2: it must be new and
    /// unpredictable.
    #[must_use]
    pub const fn new(random: [u8; HELLO_RANDOM_LEN]) -> Self {
        Self { state: State::Magic(Vec::new()), random, output: Vec::new() }
    }

    /// How many bytes may be read now without reading beyond the first message: at least 1.
    ///
    /// # Errors
    /// If what has come is no message.
    pub fn wanted(&self) -> Result<usize, AcceptError> {
        match &self.state {
            // The magic is shorter than any v1 message.
            State::Magic(held) => Ok(sniff::V2_MAGIC.len().saturating_sub(held.len()).max(1)),
            State::V1(first) => Ok(first.wanted()?),
            State::V2 { frame, .. } => Ok(frame.wanted()?),
        }
    }

    /// What is to be sent to the client before anything else, and at once: our hello. Empty most of the time.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes bytes from the front of `input`; says how many, and what the stream is once its first message
    /// is complete. Look for [`take_output`](Self::take_output) afterwards, also after an error.
    ///
    /// # Errors
    /// If the stream is to be closed.
    pub fn receive(&mut self, input: &[u8]) -> Result<(usize, Option<FirstMessage>), AcceptError> {
        let mut taken = 0;
        loop {
            let rest = input.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                return Ok((taken, None));
            }
            let (more, first) = match &self.state {
                State::Magic(_) => (self.receive_magic(rest)?, None),
                State::V1(_) => self.receive_v1(rest)?,
                State::V2 { .. } => self.receive_v2(rest)?,
            };
            taken += more;
            if first.is_some() {
                return Ok((taken, first));
            }
        }
    }

    fn receive_magic(&mut self, input: &[u8]) -> Result<usize, AcceptError> {
        let State::Magic(held) = &mut self.state else { return Ok(0) };
        let before = held.len();
        let room = sniff::V2_MAGIC.len().saturating_sub(before).min(input.len());
        held.extend_from_slice(input.get(..room).unwrap_or_default());
        match sniff::stream_start(held) {
            None => Ok(room),
            Some(StreamStart::V2) => {
                self.state = State::V2 { frame: v2::FrameReader::new(), negotiated: None };
                Ok(room)
            }
            Some(StreamStart::V1) => {
                // No v1 message begins with the magic's first byte: nothing but the input is to be decoded, or
                // what was held back already fails.
                let mut first = MessageCollector::new(Framing::V1);
                first.push(held.get(..before).unwrap_or_default())?;
                self.state = State::V1(first);
                Ok(0)
            }
        }
    }

    fn receive_v1(&mut self, input: &[u8]) -> Result<(usize, Option<FirstMessage>), AcceptError> {
        let State::V1(first) = &mut self.state else { return Ok((0, None)) };
        let (taken, message) = first.push(input)?;
        let reply = LoginReply { wire: WireVersion::V1, negotiated: None };
        Ok((taken, message.map(|message| first_message(message, reply)).transpose()?))
    }

    fn receive_v2(&mut self, input: &[u8]) -> Result<(usize, Option<FirstMessage>), AcceptError> {
        let State::V2 { frame, negotiated } = &mut self.state else { return Ok((0, None)) };
        let (taken, frame) = frame.push(input)?;
        let Some(frame) = frame else { return Ok((taken, None)) };
        if frame.frame_type == v2::CLIENT_HELLO && negotiated.is_none() {
            let theirs = ClientHello::decode(frame.payload)?;
            let agreed = theirs.agree();
            let ours = match &agreed {
                Ok(agreed) => ServerHello::new(*agreed, self.random),
                Err(error) => ServerHello::refusal(error),
            };
            let payload = ours.encode();
            hello::append_frame(v2::SERVER_HELLO, &payload, &mut self.output);
            let transcript = Transcript::new(frame.payload, &payload);
            *negotiated = Some(Negotiated { transcript, agreed: agreed? });
            return Ok((taken, None));
        }
        let reply = LoginReply { wire: WireVersion::V2, negotiated: negotiated.clone() };
        Ok((taken, Some(first_message(frame.message()?, reply)?)))
    }
}

fn first_message(message: Message, reply: LoginReply) -> Result<FirstMessage, AcceptError> {
    let wire = reply.wire;
    match message {
        Message::Login(login) => Ok(FirstMessage::Login { login, reply }),
        Message::NewWorkConn(message) => Ok(FirstMessage::WorkConn { message, wire }),
        Message::NewVisitorConn(message) => Ok(FirstMessage::VisitorConn { message, wire }),
        other => Err(AcceptError::Unexpected(other.kind())),
    }
}

/// The answer to a login, to be given once.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct LoginReply {
    wire: WireVersion,
    negotiated: Option<Negotiated>,
}

/// A login of wire version 2 came without a hello. The text reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("missing v2 crypto negotiation")]
pub struct NotNegotiated;

impl LoginReply {
    /// The framing of the session.
    #[must_use]
    pub const fn wire(&self) -> WireVersion {
        self.wire
    }

    /// To be asked before anything else: whether the login can be accepted at all.
    ///
    /// # Errors
    /// If the hello is missing.
    pub const fn check(&self) -> Result<(), NotNegotiated> {
        match (self.wire, &self.negotiated) {
            (WireVersion::V2, None) => Err(NotNegotiated),
            _ => Ok(()),
        }
    }

    /// How messages look in the payload of work connections of the session with a client of this version.
    #[must_use]
    pub fn payload_framing(&self, client_version: &str) -> Framing {
        payload_framing(self.negotiated.as_ref().map(|negotiated| negotiated.agreed), client_version)
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
        let channel = match &self.negotiated {
            None => Channel::V1 { key: key::derive(token) },
            Some(Negotiated { transcript, agreed }) => {
                Channel::v2(token, transcript, *agreed, Direction::ServerToClient)
            }
        };
        Ok((self.encode(response)?, channel))
    }

    /// Refuses the login: the bytes to send in clear before the stream is closed.
    ///
    /// # Errors
    /// If the answer does not fit one message.
    pub fn refuse(self, version: &str, error: &str) -> Result<Vec<u8>, EncodeError> {
        let response =
            LoginResp { version: version.to_owned(), run_id: String::new(), error: error.to_owned() };
        self.encode(response)
    }

    fn encode(&self, response: LoginResp) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = Vec::new();
        Framing::from(self.wire).encode_into(&response.into(), &mut bytes)?;
        Ok(bytes)
    }
}
