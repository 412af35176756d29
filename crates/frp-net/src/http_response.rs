//! The head of a response to a handshake of ours, from a stream that goes on behind it.

use bytes::{Bytes, BytesMut};
use frp_http::head::{HeadError, ResponseHead, find_end};
use frp_http::read::ReadError;
use frp_stream::Stream;
use tokio::io::AsyncReadExt;

/// Bytes that are read at once at most.
const PIECE: usize = 1024;

/// A response up to the end of its head.
pub(crate) struct Response {
    text: Vec<u8>,
    head: ResponseHead,
    rest: Bytes,
}

impl Response {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    /// The first value of a field; its name in lower case.
    pub(crate) fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.head.fields().get_by_name(&self.text, name)
    }

    /// All values of a field; its name in lower case.
    pub(crate) fn fields<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.head.fields().iter();
        let named = fields.filter(move |field| field.name.of(&self.text).eq_ignore_ascii_case(name));
        named.map(|field| field.value.of(&self.text))
    }

    /// What was received behind the head.
    pub(crate) fn into_rest(self) -> Bytes {
        self.rest
    }
}

/// Reads a head of at most `limit` bytes. Has no deadline of its own. Bytes are lost when it is dropped midway.
pub(crate) async fn read_response(stream: &mut Stream, limit: usize) -> Result<Response, ReadError> {
    let mut received = BytesMut::new();
    loop {
        let looked_at = received.len();
        received.reserve(PIECE);
        let room = limit.saturating_sub(looked_at).clamp(1, PIECE) as u64;
        if (&mut *stream).take(room).read_buf(&mut received).await? == 0 {
            return Err(ReadError::Eof);
        }
        if let Some(end) = find_end(&received, looked_at) {
            let mut text = received.split_to(end).to_vec();
            let mut head = ResponseHead::default();
            head.parse(&mut text)?;
            return Ok(Response { text, head, rest: received.freeze() });
        }
        if received.len() >= limit {
            return Err(HeadError::TooLarge.into());
        }
    }
}
