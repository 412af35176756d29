//! A connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quinn::{Connection, VarInt};
use tokio_util::sync::CancellationToken;

use super::transport::{CONNECTION_WINDOW, streams};
use super::{ConnectionError, QuicOptions, QuicStream};
use crate::address::canonical;

/// A connection that carries many streams. Clones share it; when the last clone and the last stream are gone, it
/// closes.
#[derive(Clone)]
pub struct Session {
    connection: Connection,
    shared: Arc<Shared>,
}

struct Shared {
    local: SocketAddr,
    /// Streams of which we hold a handle.
    streams: Arc<AtomicUsize>,
    /// What the peer may have open once it is known.
    max_incoming_streams: VarInt,
    /// Of the tasks of a socket that is this connection's alone.
    closing: Option<CancellationToken>,
}

impl Session {
    pub(super) fn accepted(connection: Connection, socket: SocketAddr, options: &QuicOptions) -> Self {
        Self::new(connection, socket, streams(options), None)
    }

    /// The only connection of its socket.
    pub(super) fn dialled(connection: Connection, socket: SocketAddr, closing: CancellationToken) -> Self {
        Self::new(connection, socket, VarInt::from_u32(0), Some(closing))
    }

    fn new(
        connection: Connection,
        socket: SocketAddr,
        max_incoming_streams: VarInt,
        closing: Option<CancellationToken>,
    ) -> Self {
        let ip = connection.local_ip().unwrap_or_else(|| socket.ip());
        let local = canonical(SocketAddr::new(ip, socket.port()));
        let shared = Shared { local, streams: Arc::default(), max_incoming_streams, closing };
        Self { connection, shared: Arc::new(shared) }
    }

    /// Opens a stream, of which the peer learns with the first bytes that are written. Waits while the peer allows no
    /// more. Safe to cancel.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn open(&self) -> Result<QuicStream, ConnectionError> {
        let (send, receive) = self.connection.open_bi().await.map_err(ConnectionError)?;
        Ok(self.stream(send, receive))
    }

    /// The next stream on which the peer has written; `None` once the connection is over. Safe to cancel.
    pub async fn accept(&self) -> Option<QuicStream> {
        let (send, receive) = self.connection.accept_bi().await.ok()?;
        Some(self.stream(send, receive))
    }

    fn stream(&self, send: quinn::SendStream, receive: quinn::RecvStream) -> QuicStream {
        QuicStream::new(send, receive, self.connection.clone(), Arc::clone(&self.shared.streams))
    }

    /// Ends the connection with all its streams. What was written and has not arrived is lost.
    pub fn close(&self) {
        self.connection.close(VarInt::from_u32(0), b"");
        if let Some(closing) = &self.shared.closing {
            closing.cancel();
        }
    }

    /// Waits for the end. Safe to cancel.
    pub async fn closed(&self) -> ConnectionError {
        ConnectionError(self.connection.closed().await)
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// Streams that are held on this side.
    #[must_use]
    pub fn num_streams(&self) -> usize {
        self.shared.streams.load(Ordering::Relaxed)
    }

    /// The peer has said who it is: what bounds strangers no longer applies.
    pub fn identified(&self) {
        self.connection.set_max_concurrent_bi_streams(self.shared.max_incoming_streams);
        self.connection.set_receive_window(VarInt::from_u32(CONNECTION_WINDOW));
    }

    /// Our address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.local
    }

    /// The peer's address.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("local", &self.shared.local).finish_non_exhaustive()
    }
}
