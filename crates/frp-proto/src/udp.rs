//! Datagrams as messages, for the data path of udp and sudp proxies: frames are written straight from the datagram and
//! read straight into a buffer of datagrams, without a [`UdpPacket`] in between.
//!
//! Every program writes these messages in the same shape, `{"c":"…","r":{…}}`, and mostly for the user of the message
//! before. [`UserText`] and [`Decoder`] make use of that; what has another shape is read as any message. The other
//! form, in binary, is told in [`BinaryError`]'s module.

mod binary;

use std::net::SocketAddr;

pub use self::binary::{BinaryError, decode_binary, encode_binary};

use crate::json::{JsonError, Reader, base64, read_body, read_object, write_body};
use crate::limits::{MAX_MESSAGE, MAX_V2_PAYLOAD};
use crate::msg::{MessageKind, UdpAddr, UdpPacket};
use crate::wire::{EncodeError, Framing};
use crate::{v1, v2};

/// In front of a datagram's base64.
const CONTENT: &[u8] = b"{\"c\":\"";
/// Between the base64's closing quote and the user's address, and in front of it where there is no content.
const USER: &[u8] = b"\"r\":";

/// A user's address as it stands in the messages of one framing: written once for many datagrams.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserText {
    framing: Framing,
    /// The end of a message in JSON; in binary its beginning, which is empty if it cannot be expressed.
    text: Vec<u8>,
}

impl UserText {
    /// The text of an address in version 1. Answers repeat it as it came.
    #[must_use]
    pub fn new(user: &UdpAddr) -> Self {
        Self::framed(user, Framing::V1)
    }

    /// The text of an address in messages of this framing.
    #[must_use]
    pub fn framed(user: &UdpAddr, framing: Framing) -> Self {
        let text = match framing {
            Framing::V2BinaryUdp => binary::prefix(user),
            Framing::V1 | Framing::V2 => {
                let mut text = USER.to_vec();
                write_body(user, &mut text);
                text.push(b'}');
                text
            }
        };
        Self { framing, text }
    }
}

/// Appends the v1 frame of one datagram from or for the user at `remote`.
///
/// # Errors
/// If the datagram is too long for one message (above some 7,600 bytes). `out` is then as it was.
pub fn encode_v1(content: &[u8], remote: SocketAddr, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    encode_for(content, &UserText::new(&UdpAddr::from(remote)), out)
}

/// Appends the frame of one datagram for a user whose address was written before, in the framing of that.
///
/// # Errors
/// If the datagram is too long for one message ([`Framing::longest_datagram`] and somewhat less), or if the address
/// has no binary form. `out` is then as it was.
pub fn encode_for(content: &[u8], user: &UserText, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let UserText { framing, text } = user;
    let length = match content.len() {
        0 => 1 + text.len(),
        bytes => CONTENT.len() + base64::encoded_len(bytes) + 2 + text.len(),
    };
    let kind = MessageKind::UdpPacket;
    match framing {
        Framing::V2BinaryUdp => return binary::encode(content, text, out),
        Framing::V1 => {
            if length > MAX_MESSAGE {
                return Err(EncodeError::TooLong { kind, length, limit: MAX_MESSAGE });
            }
            out.reserve(v1::HEADER_LEN + length);
            out.push(kind.v1_byte());
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
        Framing::V2 => {
            let payload = v2::ID_LEN + length;
            let Some(field) = u32::try_from(payload).ok().filter(|_| payload <= MAX_V2_PAYLOAD) else {
                return Err(EncodeError::TooLong { kind, length, limit: MAX_V2_PAYLOAD - v2::ID_LEN });
            };
            out.reserve(v2::HEADER_LEN + payload);
            out.extend_from_slice(&v2::MESSAGE.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            out.extend_from_slice(&field.to_be_bytes());
            out.extend_from_slice(&kind.v2_id().to_be_bytes());
        }
    }
    if content.is_empty() {
        out.push(b'{');
    } else {
        out.extend_from_slice(CONTENT);
        base64::encode_append(content, out);
        out.extend_from_slice(b"\",");
    }
    out.extend_from_slice(text);
    Ok(())
}

/// Whose a datagram is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// That of the message before.
    Same,
    /// Another, or perhaps the same again.
    Of(UdpAddr),
    /// Nobody's: the message names no user, and means nothing.
    Nobody,
}

/// Reads the bodies of `UDPPacket` messages that come one after the other.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// The last address in the usual shape, with what follows it. Empty: none.
    last: Vec<u8>,
}

impl Decoder {
    /// A decoder before its first message.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: Vec::new() }
    }

    /// Appends the datagram of one message to `content` and says whose it is.
    ///
    /// # Errors
    /// As [`v1::decode_body`]; `content` is then as it was.
    pub fn decode(&mut self, body: &[u8], content: &mut Vec<u8>) -> Result<User, JsonError> {
        let before = content.len();
        if let Some(user) = self.usual(body, content) {
            return Ok(user);
        }
        content.truncate(before);
        self.last.clear();
        let packet: UdpPacket = read_body(body)?;
        content.extend_from_slice(&packet.content);
        Ok(packet.remote_addr.map_or(User::Nobody, User::Of))
    }

    /// As [`Self::decode`], for the body of a datagram in binary.
    ///
    /// # Errors
    /// As [`decode_binary`].
    pub fn decode_binary(&mut self, body: &[u8], content: &mut Vec<u8>) -> Result<User, BinaryError> {
        if !self.last.is_empty()
            && let Some(rest) = body.strip_prefix(&self.last[..])
        {
            content.extend_from_slice(binary::content(rest)?);
            return Ok(User::Same);
        }
        let parts = binary::parts(body)?;
        self.last.clear();
        self.last.extend_from_slice(parts.prefix);
        content.extend_from_slice(parts.content);
        Ok(User::Of(parts.remote))
    }

    /// As [`Self::decode`], for the shape that all programs write. None, with rubbish in `content`, for any other.
    fn usual(&mut self, body: &[u8], content: &mut Vec<u8>) -> Option<User> {
        let user = match body.strip_prefix(CONTENT) {
            Some(rest) => {
                let quote = memchr::memchr(b'"', rest)?;
                // Base64 holds no backslash: if this was not the string's end, it was not base64 before it.
                if !base64::decode_append(rest.get(..quote)?, content) {
                    return None;
                }
                rest.get(quote + 1..)?.strip_prefix(b",")?
            }
            None => body.strip_prefix(b"{")?,
        };
        if !user.is_empty() && user == self.last {
            return Some(User::Same);
        }
        let mut reader = Reader::new(user.strip_prefix(USER)?.strip_suffix(b"}")?);
        let mut address = UdpAddr::default();
        read_object(&mut address, &mut reader).ok()?;
        reader.finish().ok()?;
        self.last.clear();
        self.last.extend_from_slice(user);
        Some(User::Of(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, body: &str) -> Result<(Vec<u8>, User), JsonError> {
        let mut content = b"before".to_vec();
        let user = decoder.decode(body.as_bytes(), &mut content).inspect_err(|_| {
            assert!(decoder.last.is_empty());
        })?;
        assert!(content.starts_with(b"before"));
        Ok((content.split_off(6), user))
    }

    fn user(address: &str) -> User {
        User::Of(address.parse::<SocketAddr>().unwrap().into())
    }

    #[test]
    fn the_usual_shape_and_a_user_that_stays() {
        let mut decoder = Decoder::new();
        let one = r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":50000,"Zone":""}}"#;
        assert_eq!(decode(&mut decoder, one), Ok((b"hello".to_vec(), user("10.0.0.1:50000"))));
        assert_eq!(decode(&mut decoder, one), Ok((b"hello".to_vec(), User::Same)));
        let empty = r#"{"r":{"IP":"10.0.0.1","Port":50000,"Zone":""}}"#;
        assert_eq!(decode(&mut decoder, empty), Ok((Vec::new(), User::Same)));
        let other = r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":50001,"Zone":""}}"#;
        assert_eq!(decode(&mut decoder, other), Ok((b"hello".to_vec(), user("10.0.0.1:50001"))));
    }

    /// Without a user before, there is none who could be the same.
    #[test]
    fn a_body_cut_before_its_user_is_an_error() {
        for body in ["{", r#"{"c":"","#, r#"{"c":"aGVsbG8=","#] {
            assert!(decode(&mut Decoder::new(), body).is_err(), "{body}");
        }
    }

    #[test]
    fn every_other_shape_is_read_as_any_message() {
        let bodies = [
            r#"{"c":"aB==","r":{"IP":"10.0.0.1","Port":1,"Zone":""}}"#,
            r#"{"c":"aGVsbG8=","l":null,"r":{"IP":"10.0.0.1","Port":1,"Zone":""}}"#,
            r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":1,"Zone":""},"c":"aA=="}"#,
            r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":1},"r":{"Port":2}}"#,
            r#"{"c":"aGVs\nbG8=","r":{"IP":"10.0.0.1","Port":1,"Zone":""}}"#,
            r#"{"c":"aGVsbG8=","r":null}"#,
            r#"{"c":"aGVsbG8="}"#,
            r#" { "r" : {"IP":"::1"} , "c" : [1,2] } "#,
            "{}",
            // Errors.
            r#"{"c":"aGVsbG8","r":{"IP":"10.0.0.1","Port":1,"Zone":""}}"#,
            r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":1,"Zone":""}}x"#,
            r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":1,"Zone":""}"#,
            r#"{"c":"aGVsbG8=","r":{"IP":"nowhere","Port":1,"Zone":""}}"#,
            r#"{"c":"aGVsbG8=","r":{"IP":"10.0.0.1","Port":1.5,"Zone":""}}"#,
            r#"{"c":"aGVsbG8=","r":[]}"#,
            r#"{"c":"\"#,
            "",
        ];
        for body in bodies {
            // Whatever came before.
            for before in ["", r#"{"c":"AA==","r":{"IP":"10.0.0.1","Port":1,"Zone":""}}"#] {
                let mut decoder = Decoder::new();
                let _ = decode(&mut decoder, before);
                let expected = read_body::<UdpPacket>(body.as_bytes())
                    .map(|packet| (packet.content, packet.remote_addr.map_or(User::Nobody, User::Of)));
                assert_eq!(decode(&mut decoder, body), expected, "{body}");
            }
        }
    }

    #[test]
    fn a_frame_is_that_of_the_message() {
        let address = "[fe80::1%3]:65535".parse::<SocketAddr>().unwrap();
        for len in [0, 1, 2, 3, 100, 7000, 7600, 7700, 70_000] {
            let content = vec![7; len];
            let packet = UdpPacket {
                content: content.clone(),
                remote_addr: Some(address.into()),
                ..UdpPacket::default()
            };
            let mut frame = b"before".to_vec();
            match (encode_v1(&content, address, &mut frame), v1::encode(&packet.into())) {
                (Ok(()), Ok(expected)) => assert!(frame[6..] == expected),
                (Err(error), Err(expected)) => assert!(error == expected && frame == b"before"),
                different => panic!("{len}: {different:?}"),
            }
        }
    }
}
