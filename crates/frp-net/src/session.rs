//! A connection that carries many streams, whichever kind it is.

use std::fmt;

use frp_mux::OpenError;
use frp_stream::Stream;

use crate::{mux, quic};

/// A yamux session over any stream, or a QUIC connection. Clones share it.
#[derive(Clone, Debug)]
pub enum Session {
    /// yamux. Its driver is the owner's to run.
    Mux(frp_mux::Session),
    /// QUIC.
    Quic(quic::Session),
}

/// Why a session is over.
#[derive(Clone, Debug)]
pub enum SessionEnd {
    /// yamux.
    Mux(frp_mux::SessionEnd),
    /// QUIC.
    Quic(quic::ConnectionError),
}

/// Why a session gives no stream.
#[derive(Debug, thiserror::Error)]
pub enum SessionOpenError {
    /// yamux.
    #[error(transparent)]
    Mux(#[from] OpenError),
    /// QUIC.
    #[error(transparent)]
    Quic(#[from] quic::ConnectionError),
}

impl Session {
    /// Opens a stream. May wait for the peer to allow more of them, without a bound. Safe to cancel.
    ///
    /// # Errors
    /// The session is over, or the peer takes no more streams.
    pub async fn open(&self) -> Result<Stream, SessionOpenError> {
        Ok(match self {
            Self::Mux(session) => mux::stream(session.open().await?),
            Self::Quic(session) => session.open().await?.into_stream(),
        })
    }

    /// The next stream of the peer; `None` once the session is over. Safe to cancel.
    pub async fn accept(&self) -> Option<Stream> {
        match self {
            Self::Mux(session) => session.accept().await.map(mux::stream),
            Self::Quic(session) => session.accept().await.map(quic::QuicStream::into_stream),
        }
    }

    /// Ends the session with all its streams.
    pub fn close(&self) {
        match self {
            Self::Mux(session) => session.close(),
            Self::Quic(session) => session.close(),
        }
    }

    /// Waits for the end. Safe to cancel.
    pub async fn closed(&self) -> SessionEnd {
        match self {
            Self::Mux(session) => SessionEnd::Mux(session.closed().await),
            Self::Quic(session) => SessionEnd::Quic(session.closed().await),
        }
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Mux(session) => session.is_closed(),
            Self::Quic(session) => session.is_closed(),
        }
    }

    /// Streams that live.
    #[must_use]
    pub fn num_streams(&self) -> usize {
        match self {
            Self::Mux(session) => session.num_streams(),
            Self::Quic(session) => session.num_streams(),
        }
    }

    /// The peer has said who it is: what bounds strangers no longer applies, and its path may be measured.
    pub fn identified(&self) {
        match self {
            Self::Mux(session) => {
                session.set_inbound_limit(usize::MAX);
                session.measure_round_trip();
            }
            Self::Quic(session) => session.identified(),
        }
    }
}

impl SessionEnd {
    /// Whether the peer broke the protocol, or has another setting.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self {
            Self::Mux(end) => matches!(end, frp_mux::SessionEnd::Protocol(_)),
            Self::Quic(_) => false,
        }
    }
}

impl fmt::Display for SessionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mux(end) => end.fmt(f),
            Self::Quic(end) => end.fmt(f),
        }
    }
}
