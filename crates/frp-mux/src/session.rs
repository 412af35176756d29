//! The handle of a session.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::engine::Role;
use crate::shared::Shared;
use crate::{Config, Driver, MuxStream, OpenError, SessionEnd};

/// A session: many streams over one transport. Clones share it.
///
/// When the last clone and the last stream are gone the session ends. While streams are left but no clone is, nobody
/// can accept any more, so new streams of the peer are reset.
pub struct Session {
    shared: Arc<Shared>,
}

impl Session {
    /// A session whose streams get odd ids: frpc's side.
    ///
    /// Nothing happens until the driver is polled. `io` should not delay small writes (`TCP_NODELAY`).
    pub fn client<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        io: T,
        config: Config,
    ) -> (Self, Driver<T>) {
        Self::new(Role::Client, io, config)
    }

    /// A session whose streams get even ids: frps's side. See [`Session::client`].
    pub fn server<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        io: T,
        config: Config,
    ) -> (Self, Driver<T>) {
        Self::new(Role::Server, io, config)
    }

    fn new<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
        role: Role,
        io: T,
        config: Config,
    ) -> (Self, Driver<T>) {
        let write_timeout = config.write_timeout;
        let shared = Arc::new(Shared::new(role, config));
        (Self { shared: Arc::clone(&shared) }, Driver::new(io, shared, write_timeout))
    }

    /// Opens a stream. It can be used at once; this waits only while 256 of ours (the backlog) are not acknowledged
    /// by the peer. Safe to cancel.
    ///
    /// # Errors
    /// The session is over, the peer takes no more streams, or the ids are used up.
    pub async fn open(&self) -> Result<MuxStream, OpenError> {
        let permit = self.shared.opens.acquire().await;
        let mut state = self.shared.lock();
        if let Some(end) = &state.end {
            return Err(OpenError::Ended(end.clone()));
        }
        let key = state.engine.open(self.shared.now())?;
        // It comes back when the stream is acknowledged.
        if let Ok(permit) = permit {
            permit.forget();
        }
        let id = state.engine.id(key).unwrap_or_default();
        state.streams += 1;
        self.shared.unlock(state, true);
        Ok(MuxStream::new(Arc::clone(&self.shared), key, id))
    }

    /// The next stream the peer opened, acknowledged now; `None` once the session is over. Safe to cancel.
    ///
    /// A peer that is upstream's ends the session when a stream is not acknowledged for 75 s: someone should
    /// always be waiting here.
    pub async fn accept(&self) -> Option<MuxStream> {
        loop {
            let arrived = self.shared.arrived.notified();
            tokio::pin!(arrived);
            // From here on an arrival is not missed.
            arrived.as_mut().enable();
            {
                let mut state = self.shared.lock();
                if state.end.is_some() {
                    return None;
                }
                if let Some(key) = state.engine.accept() {
                    let id = state.engine.id(key).unwrap_or_default();
                    state.streams += 1;
                    self.shared.unlock(state, false);
                    return Some(MuxStream::new(Arc::clone(&self.shared), key, id));
                }
            }
            arrived.await;
        }
    }

    /// Pings at once, unless the round trip is known or the session sends no pings of its own, so that streams begin with
    /// the window that a long path needs. Without it the session learns the round trip when its first stream is acknowledged, or carries bulk.
    pub fn measure_round_trip(&self) {
        let mut state = self.shared.lock();
        state.engine.measure_round_trip();
        self.shared.unlock(state, false);
    }

    /// Ends the session and all its streams. What was written before and fits the peer's windows still goes out, for
    /// half a second at most; then the transport is closed. No goaway is sent, as upstream sends none.
    pub fn close(&self) {
        self.shared.end(SessionEnd::Closed);
    }

    /// Waits for the end of the session. Safe to cancel.
    pub async fn closed(&self) -> SessionEnd {
        loop {
            let ended = self.shared.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if let Some(end) = &self.shared.lock().end {
                return end.clone();
            }
            ended.await;
        }
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().end.is_some()
    }

    /// Streams that live on the wire, ours and the peer's.
    pub fn num_streams(&self) -> usize {
        self.shared.lock().engine.num_streams()
    }

    /// Sets how many inbound streams may live at one time; one beyond it is reset. Those that live stay.
    pub fn set_inbound_limit(&self, limit: usize) {
        self.shared.lock().engine.set_inbound_limit(limit);
    }
}

impl Clone for Session {
    fn clone(&self) -> Self {
        self.shared.lock().sessions += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.sessions -= 1;
        if state.sessions == 0 {
            state.engine.refuse_inbound();
            self.shared.unlock(state, true);
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Session")
            .field("engine", &state.engine)
            .field("end", &state.end)
            .finish_non_exhaustive()
    }
}
