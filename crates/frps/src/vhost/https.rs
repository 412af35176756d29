//! https: users told apart by the server name of their TLS hello. Upstream `pkg/util/vhost/https.go`.
//!
//! The hello is read, not answered: it goes on to the service with everything behind it. The accept loop waits for no
//! byte of a user.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use frp_proto::client_hello::{ClientHello, HelloError, HelloReader};
use frp_proto::limits::MAX_PEEK;
use frp_stream::Stream;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{PEEK_TIMEOUT, Query, accept_users, lead};
use crate::core::Core;
use crate::farewell;
use crate::proxy::Proxy;

/// Room for a hello; those with a post-quantum key share take 1,500 to 1,900 bytes.
const USUAL_HELLO: usize = 2048;
/// Fatal alert `unrecognized_name`, in a record of TLS 1.2.
const UNRECOGNIZED_NAME: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 112];
/// Fatal alert `protocol_version`, in a record of TLS 1.0: the answer of a server that has nothing below TLS 1.2.
const PROTOCOL_VERSION: [u8; 7] = [0x15, 3, 1, 0, 2, 2, 70];

/// Why no hello came.
#[derive(Debug, thiserror::Error)]
enum PeekError {
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("a ClientHello in more than {MAX_PEEK} bytes")]
    TooLong,
    #[error("EOF")]
    Eof,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Accepts until `stop` is cancelled.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener, stop: CancellationToken) {
    accept_users(core, listener, stop, |core, tcp, peer| {
        lead(core, tcp, peer, |core, stream| {
            Box::pin(async move {
                match route(&core, stream).await? {
                    Routed::User(proxy, stream) => Some((proxy, stream)),
                    Routed::Unknown(_) => None,
                }
            })
        })
    })
    .await;
}

/// Whose a connection is, which goes on as it came.
pub(crate) enum Routed {
    /// A user of this proxy.
    User(Arc<Proxy>, Stream),
    /// Nobody has the name that it asks for; as the port is the clients', too, it may be one of them.
    Unknown(Stream),
}

/// Finds the proxy that a user wants. Who wants none is refused, unless it may be a client.
pub(crate) async fn route(core: &Core, mut stream: Stream) -> Option<Routed> {
    let (hello, bytes) = match timeout(PEEK_TIMEOUT, peek(&mut stream)).await {
        Ok(Ok(peeked)) => peeked,
        Ok(Err(error)) => {
            debug!("get hostname from http/https request error: {error}");
            return None;
        }
        Err(_) => {
            debug!("get hostname from http/https request error: i/o timeout");
            return None;
        }
    };
    let name = hello.server_name.escape_ascii();
    let Some(host) = core.https.find(Query { host: &hello.server_name, ..Query::default() }) else {
        debug!("http request for host [{name}] path [] httpUser [] not found");
        if core.settings.shares_https && hello.is_modern && !hello.names_protocols {
            return Some(Routed::Unknown(stream.with_prefix(bytes)));
        }
        let alert = if hello.is_modern { &UNRECOGNIZED_NAME } else { &PROTOCOL_VERSION };
        Box::pin(farewell::say(stream, alert)).await;
        return None;
    };
    let proxy = host.next()?;
    debug!(parent: proxy.span(), "new request host [{name}] path [] httpUser []");
    Some(Routed::User(proxy, stream.with_prefix(bytes)))
}

/// Reads until the hello is whole, and gives back every byte of it and behind it.
async fn peek(stream: &mut Stream) -> Result<(ClientHello, Bytes), PeekError> {
    let mut reader = HelloReader::default();
    let mut bytes = BytesMut::with_capacity(USUAL_HELLO);
    loop {
        let looked_at = bytes.len();
        if looked_at >= MAX_PEEK {
            return Err(PeekError::TooLong);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(PeekError::Eof);
        }
        if let Some(hello) = reader.receive(bytes.get(looked_at..).unwrap_or_default())? {
            return Ok((hello, bytes.freeze()));
        }
    }
}

#[cfg(test)]
mod tests {
    use frp_proto::limits::MAX_CLIENT_HELLO;

    use super::*;
    use crate::vhost::turned_away;

    #[tokio::test(start_paused = true)]
    async fn who_says_too_little_is_closed_in_silence_after_the_deadline() {
        for start in [&b""[..], &[0x16, 3], &[0x16, 3, 1, 0, 9, 1, 0, 0]] {
            assert_eq!(turned_away(route, start).await, (Vec::new(), PEEK_TIMEOUT));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hello_that_would_take_too_much_room_is_closed_in_silence() {
        let [_, high, middle, low] = u32::try_from(MAX_CLIENT_HELLO).unwrap().to_be_bytes();
        let in_records_of_one: Vec<u8> = [1, high, middle, low]
            .into_iter()
            .chain(std::iter::repeat_n(0, MAX_CLIENT_HELLO / 2))
            .flat_map(|byte| [0x16, 3, 1, 0, 1, byte])
            .collect();
        let (answer, lasted) = turned_away(route, &in_records_of_one).await;
        assert!(answer.is_empty() && lasted.is_zero());
    }
}
