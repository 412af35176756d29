//! What a connection is, by its first bytes. They stay part of it.

use bytes::Bytes;
use frp_proto::limits::SNIFF_LEN;
use frp_proto::sniff::{ConnectionStart, connection_start};
use frp_stream::Stream;
use tokio::io::AsyncReadExt;

/// A first message of a work connection is shorter.
const READ_AHEAD: usize = 256;
const METHOD: &[u8] = b"GET ";

/// What a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// A request for a path on which a websocket may be opened.
    WebSocket,
    /// Anything else.
    Is(ConnectionStart),
}

/// Why it is not known what a connection is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SniffError {
    /// Closed without a byte, as port checks do.
    #[error("EOF")]
    Nothing,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads until the first bytes tell what the connection is, and gives it with these. Ten always tell, but where another
/// path than the usual one has to be looked for: `own`.
pub(crate) async fn sniff(mut stream: Stream, own: Option<&str>) -> Result<(Start, Stream), SniffError> {
    let (start, bytes) = read_start(&mut stream, own).await?;
    Ok((start, stream.with_prefix(bytes)))
}

async fn read_start(stream: &mut Stream, own: Option<&str>) -> Result<(Start, Bytes), SniffError> {
    let wanted = own.map_or(SNIFF_LEN, |own| SNIFF_LEN.max(METHOD.len() + own.len() + 1));
    // What comes behind is read in the same turn, and given back with the rest.
    let mut bytes = Vec::with_capacity(READ_AHEAD.max(wanted));
    loop {
        let room = bytes.capacity().saturating_sub(bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(if bytes.is_empty() {
                SniffError::Nothing
            } else {
                std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "EOF").into()
            });
        }
        match own.map_or(Some(false), |own| asks_for(&bytes, own)) {
            Some(true) => return Ok((Start::WebSocket, bytes.into())),
            Some(false) => match connection_start(&bytes) {
                Some(ConnectionStart::WebSocket) => return Ok((Start::WebSocket, bytes.into())),
                Some(start) => return Ok((Start::Is(start), bytes.into())),
                None => {}
            },
            None => {}
        }
    }
}

/// Whether a request is for this path, as far as its bytes tell.
fn asks_for(bytes: &[u8], path: &str) -> Option<bool> {
    let mut bytes = bytes.iter();
    for expected in METHOD.iter().chain(path.as_bytes()) {
        if bytes.next()? != expected {
            return Some(false);
        }
    }
    Some(matches!(bytes.next()?, b' ' | b'?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_our_own_is_told_as_early_as_possible() {
        for (bytes, expected) in [
            ("", None),
            ("G", None),
            ("P", Some(false)),
            ("GET /", None),
            ("GET /own", None),
            ("GET /own ", Some(true)),
            ("GET /own?a", Some(true)),
            ("GET /owner", Some(false)),
            ("GET /x", Some(false)),
        ] {
            assert_eq!(asks_for(bytes.as_bytes(), "/own"), expected, "{bytes}");
        }
    }
}
