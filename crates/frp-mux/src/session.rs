//! The handle of a session.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Config, Driver, MuxStream, OpenError, SessionEnd};

/// A session: many streams over one transport. Clones share it.
#[derive(Clone, Debug)]
pub struct Session {}

impl Session {
    /// A session whose streams get odd ids: frpc's side.
    pub fn client<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        io: T,
        config: Config,
    ) -> (Self, Driver<T>) {
        drop(config);
        (Self {}, Driver { io })
    }

    /// A session whose streams get even ids: frps's side.
    pub fn server<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        io: T,
        config: Config,
    ) -> (Self, Driver<T>) {
        Self::client(io, config)
    }

    /// Opens a stream. Waits only while 256 of ours are unacknowledged.
    ///
    /// # Errors
    /// The session is over, the peer takes no more streams, or the ids are used up.
    pub async fn open(&self) -> Result<MuxStream, OpenError> {
        Err(OpenError::RemoteGoAway)
    }

    /// The next stream the peer opened; `None` once the session is over.
    pub async fn accept(&self) -> Option<MuxStream> {
        None
    }

    /// Ends the session: what is queued goes out as far as it can at once, then the transport is closed.
    pub fn close(&self) {}

    /// Waits for the end of the session.
    pub async fn closed(&self) -> SessionEnd {
        SessionEnd::Closed
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        false
    }

    /// Streams that live, ours and the peer's.
    pub fn num_streams(&self) -> usize {
        0
    }

    /// Sets how many inbound streams may live at one time; one beyond it is reset. Those that live stay.
    pub fn set_inbound_limit(&self, limit: usize) {
        let _ = limit;
    }
}
