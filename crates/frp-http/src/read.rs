//! One request head from a stream, kept whole: for who looks at the first request of a connection and then passes on
//! bytes.

use std::fmt;

use bytes::{Bytes, BytesMut};
use frp_stream::Stream;
use tokio::io::AsyncReadExt;

use crate::head::{Fields, HeadError, RequestHead, Version, find_end};
use crate::name::Name;

/// Bytes that are read at once at most; heads are seldom longer.
const PIECE: usize = 4096;

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What came is no head, or is longer than it may be.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The connection ended first.
    #[error("EOF")]
    Eof,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The head of the first request of a connection, with everything that came with it.
pub struct FirstRequest {
    /// As received: the head, then what followed it in the same read.
    received: Bytes,
    /// The head again, unfolded: what `head` points into.
    text: Vec<u8>,
    head: RequestHead,
}

impl FirstRequest {
    /// The method, in its own case.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.head.method(&self.text)
    }

    /// The target as it was written: of a CONNECT, the authority.
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.head.target(&self.text)
    }

    /// The version of the client.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// All fields; ask them with [`FirstRequest::text`].
    #[must_use]
    pub fn fields(&self) -> &Fields {
        self.head.fields()
    }

    /// The bytes that spans of the fields point into.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The first value of a field.
    #[must_use]
    pub fn field(&self, name: Name) -> Option<&[u8]> {
        self.head.fields().get(&self.text, name)
    }

    /// Everything that was received, head first.
    #[must_use]
    pub fn into_received(self) -> Bytes {
        self.received
    }

    /// What was received behind the head.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.received.slice(self.text.len().min(self.received.len())..)
    }
}

impl fmt::Debug for FirstRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields may hold credentials.
        f.debug_struct("FirstRequest").field("received", &self.received.len()).finish_non_exhaustive()
    }
}

/// Reads a request head of at most `limit` bytes; more than that is read only by a piece. Has no deadline of its own.
/// Bytes are lost when it is dropped midway.
///
/// # Errors
/// When the connection ends or fails first, or brings something else.
pub async fn read_head(stream: &mut Stream, limit: usize) -> Result<FirstRequest, ReadError> {
    let mut received = BytesMut::new();
    loop {
        let looked_at = received.len();
        received.reserve(PIECE.min(limit.saturating_sub(looked_at).max(1)));
        if stream.read_buf(&mut received).await? == 0 {
            return Err(ReadError::Eof);
        }
        match find_end(&received, looked_at) {
            Some(end) if end <= limit => {
                let mut text = received.get(..end).unwrap_or_default().to_vec();
                let mut head = RequestHead::default();
                head.parse(&mut text)?;
                return Ok(FirstRequest { received: received.freeze(), text, head });
            }
            Some(_) => return Err(HeadError::TooLarge.into()),
            None if received.len() >= limit => return Err(HeadError::TooLarge.into()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn read(parts: &[&[u8]], limit: usize) -> Result<FirstRequest, ReadError> {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let mut near = Stream::boxed(near);
        let write = async {
            for part in parts {
                far.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            far.shutdown().await.unwrap();
        };
        tokio::join!(read_head(&mut near, limit), write).0
    }

    #[tokio::test]
    async fn a_head_in_any_two_pieces_and_what_follows_it() {
        let text: &[u8] = b"CONNECT a.test:80 HTTP/1.1\r\nHost: b\r\nX-F: a\r\n b\r\n\r\nearly";
        for cut in 1..text.len() {
            let request = read(&[&text[..cut], &text[cut..]], 4096).await.unwrap();
            assert_eq!((request.method(), request.target()), (&b"CONNECT"[..], &b"a.test:80"[..]));
            assert_eq!(request.field(Name::Host), Some(&b"b"[..]));
            assert_eq!(request.fields().get_by_name(request.text(), b"x-f"), Some(&b"a b"[..]));
            let received = request.into_received();
            assert!(text.starts_with(&received) && received.len() + 5 >= text.len());
        }
        let request = read(&[text], 4096).await.unwrap();
        assert_eq!(request.into_rest(), "early");
    }

    #[tokio::test]
    async fn what_is_no_head_or_too_long() {
        assert!(matches!(read(&[b"GET"], 100).await.unwrap_err(), ReadError::Eof));
        let long = [b'a'; 200];
        let error = read(&[b"GET / HTTP/1.1\r\nA: ", &long], 100).await.unwrap_err();
        assert!(matches!(error, ReadError::Head(HeadError::TooLarge)));
        let error = read(&[b"\r\nCONNECT a HTTP/1.1\r\n\r\n"], 100).await.unwrap_err();
        assert!(matches!(error, ReadError::Head(HeadError::Malformed)));
    }
}
