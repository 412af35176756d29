//! What client and server of wire version 2 tell each other before the login.
//!
//! The client offers, the server picks; both keep the bytes of both frames, because the keys of the control channel
//! depend on them. Only control streams have a hello. Upstream `pkg/proto/wire/wire.go` and `crypto.go`; the form of
//! datagrams since v0.71.0.

use thiserror::Error;

use crate::crypto::Algorithm;
use crate::json::{StructField, read_body, write_body};
use crate::limits::HELLO_RANDOM_LEN;
use crate::msg::define::wire_struct;
use crate::v2::{self, DecodeError};

/// The one form of messages in general.
const JSON: &str = "json";
/// Datagrams in binary.
const BINARY_V1: &str = "binary-v1";

wire_struct! {
    /// The client's hello.
    pub struct ClientHello {
        /// How the client came. Nobody acts on it.
        bootstrap: Bootstrap = "bootstrap",
        /// What the client can do.
        capabilities: Capabilities = "capabilities",
    }
}

wire_struct! {
    /// Of the client's connection, for whoever looks.
    pub struct Bootstrap {
        /// `transport.protocol`.
        transport: String = "transport",
        /// Whether TLS is below.
        tls: bool = "tls",
        /// Whether the stream is one of a multiplexed connection.
        tcp_mux: bool = "tcpMux",
    }
}

wire_struct! {
    /// What a client can do.
    pub struct Capabilities {
        /// Forms of messages.
        message: MessageCapabilities = "message",
        /// Ciphers of the control channel.
        crypto: CryptoCapabilities = "crypto",
    }
}

wire_struct! {
    /// Forms of messages that a client knows.
    pub struct MessageCapabilities {
        /// Of all of them; `json` must be there.
        codecs: Vec<String> = "codecs",
        /// Of datagrams, other than JSON.
        udp_packet_codecs: Vec<String> = "udpPacketCodecs",
    }
}

wire_struct! {
    /// Ciphers that a client knows.
    pub struct CryptoCapabilities {
        /// The best first.
        algorithms: Vec<String> = "algorithms",
        /// 32 bytes.
        client_random: Vec<u8> = "clientRandom" [length],
    }
}

wire_struct! {
    /// The server's hello.
    pub struct ServerHello {
        /// What holds from now on.
        selected: Selected = "selected",
        /// Why there will be no session; empty if there may be one.
        error: String = "error",
    }
}

wire_struct! {
    /// What the server has picked.
    pub struct Selected {
        /// Forms of messages.
        message: SelectedMessage = "message",
        /// Cipher of the control channel.
        crypto: SelectedCrypto = "crypto",
    }
}

wire_struct! {
    /// The forms of messages that the server has picked.
    pub struct SelectedMessage {
        /// Of all of them.
        codec: String = "codec",
        /// Of datagrams; empty for that of all.
        udp_packet_codec: String = "udpPacketCodec",
    }
}

wire_struct! {
    /// The cipher that the server has picked.
    pub struct SelectedCrypto {
        /// [`Algorithm::name`].
        algorithm: String = "algorithm",
        /// 32 bytes.
        server_random: Vec<u8> = "serverRandom" [length],
    }
}

impl StructField for Bootstrap {}
impl StructField for Capabilities {}
impl StructField for MessageCapabilities {}
impl StructField for CryptoCapabilities {}
impl StructField for Selected {}
impl StructField for SelectedMessage {}
impl StructField for SelectedCrypto {}

/// What both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// The cipher of the control channel.
    pub algorithm: Algorithm,
    /// Whether datagrams are in binary.
    pub binary_udp: bool,
}

/// A hello that agrees on nothing. The texts are upstream's and reach the other side's log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The client does not speak JSON.
    #[error("unsupported message codec")]
    Codec,
    /// The client's random value has another length.
    #[error("invalid crypto client random length {0}, want {HELLO_RANDOM_LEN}")]
    ClientRandom(usize),
    /// No cipher that both know.
    #[error("no supported crypto algorithm")]
    NoAlgorithm,
    /// The server says no; the text is its own.
    #[error("{0}")]
    Refused(String),
    /// The server has picked a form of messages that we did not offer.
    #[error("unsupported selected message codec: {0}")]
    SelectedCodec(String),
    /// The server has picked a form of datagrams that we did not offer.
    #[error("unsupported selected UDP packet codec: {0}")]
    SelectedUdpCodec(String),
    /// The server has picked a cipher that nobody knows.
    #[error("unknown selected crypto algorithm: {0}")]
    UnknownAlgorithm(String),
    /// The server has picked a cipher that we did not offer.
    #[error("selected crypto algorithm was not advertised by client: {0}")]
    NotOffered(String),
    /// The server's random value has another length.
    #[error("invalid crypto server random length {0}, want {HELLO_RANDOM_LEN}")]
    ServerRandom(usize),
}

impl ClientHello {
    /// What we offer: all that we can, with the ciphers in this order of preference. `random` must be new and
    /// unpredictable.
    #[must_use]
    pub fn new(bootstrap: Bootstrap, preference: [Algorithm; 2], random: [u8; HELLO_RANDOM_LEN]) -> Self {
        let algorithms = preference.iter().map(|algorithm| algorithm.name().to_owned()).collect();
        Self {
            bootstrap,
            capabilities: Capabilities {
                message: MessageCapabilities {
                    codecs: vec![JSON.to_owned()],
                    udp_packet_codecs: vec![BINARY_V1.to_owned()],
                },
                crypto: CryptoCapabilities { algorithms, client_random: random.to_vec() },
            },
        }
    }

    /// The server's choice: the client's first cipher that we know, and datagrams in binary if the client can.
    ///
    /// # Errors
    /// In upstream's order of checks.
    pub fn agree(&self) -> Result<Agreed, HelloError> {
        let Capabilities { message, crypto } = &self.capabilities;
        if !message.codecs.iter().any(|codec| codec == JSON) {
            return Err(HelloError::Codec);
        }
        if crypto.client_random.len() != HELLO_RANDOM_LEN {
            return Err(HelloError::ClientRandom(crypto.client_random.len()));
        }
        let algorithm = crypto.algorithms.iter().find_map(|name| Algorithm::from_name(name));
        Ok(Agreed {
            algorithm: algorithm.ok_or(HelloError::NoAlgorithm)?,
            binary_udp: message.udp_packet_codecs.iter().any(|codec| codec == BINARY_V1),
        })
    }

    /// Reads the payload of the client's frame.
    ///
    /// # Errors
    /// If it is not JSON that fits.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        read_body(payload).map_err(DecodeError::Hello)
    }

    /// The payload of the client's frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        write_body(self, &mut payload);
        payload
    }
}

impl ServerHello {
    /// The answer to a good hello.
    #[must_use]
    pub fn new(agreed: Agreed, random: [u8; HELLO_RANDOM_LEN]) -> Self {
        let udp_packet_codec = if agreed.binary_udp { BINARY_V1.to_owned() } else { String::new() };
        Self {
            selected: Selected {
                message: SelectedMessage { codec: JSON.to_owned(), udp_packet_codec },
                crypto: SelectedCrypto {
                    algorithm: agreed.algorithm.name().to_owned(),
                    server_random: random.to_vec(),
                },
            },
            error: String::new(),
        }
    }

    /// The answer to a hello that agrees on nothing.
    #[must_use]
    pub fn refusal(error: &HelloError) -> Self {
        let message = SelectedMessage { codec: JSON.to_owned(), udp_packet_codec: String::new() };
        let selected = Selected { message, crypto: SelectedCrypto::default() };
        Self { selected, error: error.to_string() }
    }

    /// What the server has picked of what the client `offered`.
    ///
    /// # Errors
    /// If the server refuses or has picked something else. In upstream's order of checks.
    pub fn agree(&self, offered: &ClientHello) -> Result<Agreed, HelloError> {
        if !self.error.is_empty() {
            return Err(HelloError::Refused(self.error.clone()));
        }
        let Selected { message, crypto } = &self.selected;
        if message.codec != JSON {
            return Err(HelloError::SelectedCodec(message.codec.clone()));
        }
        let offers = &offered.capabilities.message.udp_packet_codecs;
        let binary_udp = match message.udp_packet_codec.as_str() {
            "" => false,
            BINARY_V1 if offers.iter().any(|codec| codec == BINARY_V1) => true,
            other => return Err(HelloError::SelectedUdpCodec(other.to_owned())),
        };
        let Some(algorithm) = Algorithm::from_name(&crypto.algorithm) else {
            return Err(HelloError::UnknownAlgorithm(crypto.algorithm.clone()));
        };
        if !offered.capabilities.crypto.algorithms.contains(&crypto.algorithm) {
            return Err(HelloError::NotOffered(crypto.algorithm.clone()));
        }
        if crypto.server_random.len() != HELLO_RANDOM_LEN {
            return Err(HelloError::ServerRandom(crypto.server_random.len()));
        }
        Ok(Agreed { algorithm, binary_udp })
    }

    /// Reads the payload of the server's frame.
    ///
    /// # Errors
    /// If it is not JSON that fits.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        read_body(payload).map_err(DecodeError::Hello)
    }

    /// The payload of the server's frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        write_body(self, &mut payload);
        payload
    }
}

/// Appends the frame of a hello that we have made ourselves, which is always short enough.
pub(crate) fn append_frame(frame_type: u16, payload: &[u8], out: &mut Vec<u8>) {
    let appended = v2::frame_with(frame_type, out, |out| out.extend_from_slice(payload));
    debug_assert!(appended.is_ok(), "our own hello is short");
}
