//! WebSocket (RFC 6455), as much as it takes to send frames of every kind and see them again.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::http::Connection;
use crate::within;

/// A continuation of the message before.
pub const CONTINUATION: u8 = 0;
/// Text.
pub const TEXT: u8 = 1;
/// Bytes.
pub const BINARY: u8 = 2;
/// The end, with a code and a reason.
pub const CLOSE: u8 = 8;
/// A question for a sign of life.
pub const PING: u8 = 9;
/// The answer to it.
pub const PONG: u8 = 10;

/// The longest frame that the tests send.
const MAX_FRAME: u64 = 32 << 20;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Whether its message ends with it.
    pub last: bool,
    /// [`TEXT`] and so on.
    pub opcode: u8,
    /// Its payload, unmasked.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A message of one frame.
    #[must_use]
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { last: true, opcode, payload: payload.into() }
    }

    /// Its bytes; those of a client are masked.
    #[must_use]
    pub fn encode(&self, mask: Option<[u8; 4]>) -> Vec<u8> {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![if self.last { 0x80 } else { 0 } | self.opcode];
        let length = self.payload.len();
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..=125), _) => bytes.push(masked | short),
            (_, Ok(middle)) => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&middle.to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let Some(mask) = mask else {
            bytes.extend_from_slice(&self.payload);
            return bytes;
        };
        bytes.extend_from_slice(&mask);
        bytes.extend(self.payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Reads one; `None` at an end of stream in front of it.
    ///
    /// # Errors
    /// The stream ends within it, or it is none.
    pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>> {
        let mut start = [0; 2];
        if stream.read(start.get_mut(..1).unwrap_or_default()).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(start.get_mut(1..).unwrap_or_default()).await?;
        let [first, second] = start;
        ensure!(first & 0x70 == 0, "reserved bits");
        let length = match second & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            length => u64::from(length),
        };
        ensure!(length <= MAX_FRAME, "a frame of {length} bytes");
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            stream.read_exact(&mut mask).await?;
        }
        let mut payload = vec![0; usize::try_from(length)?];
        stream.read_exact(&mut payload).await?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Ok(Some(Self { last: first & 0x80 != 0, opcode: first & 0x0f, payload }))
    }
}

/// What the server answers to a client's key.
fn accept_word(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

/// The request of a client for `host`.
#[must_use]
pub fn request(host: &str) -> String {
    format!(
        "GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The client's handshake. `early` is sent in the same breath as the request. Gives the stream, and what the server
/// sent in the same breath as its answer.
///
/// # Errors
/// The server does not agree.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    host: &str,
    early: &[u8],
) -> Result<(S, Vec<u8>)> {
    let mut connection = Connection::new(stream);
    connection.send(&[request(host).as_bytes(), early].concat()).await?;
    let head = connection.head().await?.context("no answer to the handshake")?;
    ensure!(head.status() == 101, "{head:?}");
    ensure!(head.header("upgrade").is_some_and(|word| word.eq_ignore_ascii_case("websocket")), "{head:?}");
    ensure!(head.header("sec-websocket-accept") == Some(accept_word(KEY)), "{head:?}");
    Ok(connection.into_parts())
}

/// A server's side: greets with a ping in the same breath as its handshake, sends back every frame of data, answers
/// pings, and closes when it is asked to.
///
/// # Errors
/// The peer does not keep to the protocol.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Result<()> {
    let mut connection = Connection::new(stream);
    let head = within("a handshake", connection.head()).await??.context("no handshake")?;
    let key = head.header("sec-websocket-key").context("no key")?;
    ensure!(head.header("upgrade").is_some_and(|word| word.eq_ignore_ascii_case("websocket")), "{head:?}");
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_word(&key)
    );
    connection.send(&[answer.into_bytes(), Frame::new(PING, "greeting").encode(None)].concat()).await?;
    let (stream, early) = connection.into_parts();
    let (read, mut write) = tokio::io::split(stream);
    let mut read = early.as_slice().chain(read);
    while let Some(frame) = Frame::read(&mut read).await? {
        let answer = match frame.opcode {
            PING => Frame { opcode: PONG, ..frame.clone() },
            PONG => continue,
            CONTINUATION | TEXT | BINARY | CLOSE => frame.clone(),
            opcode => bail!("opcode {opcode}"),
        };
        write.write_all(&answer.encode(None)).await?;
        write.flush().await?;
        if frame.opcode == CLOSE {
            write.shutdown().await?;
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "this is a test")]

    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        for (length, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            for mask in [None, Some([1, 2, 3, 4])] {
                let frame = Frame { last: false, opcode: BINARY, payload: vec![7; length] };
                let bytes = frame.encode(mask);
                assert_eq!(bytes.len(), head + mask.map_or(0, |mask| mask.len()) + length);
                assert_eq!(Frame::read(&mut bytes.as_slice()).await.unwrap().unwrap(), frame);
            }
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept_word(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
