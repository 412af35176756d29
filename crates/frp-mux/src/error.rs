//! Why a session ended, and what the users of its streams are told. Texts are upstream's
//! (`const.go` and `session.go` of its yamux).

use std::io;
use std::sync::Arc;

/// Rules of the protocol a peer can break; each ends the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The first byte of a header is not 0.
    #[error("invalid protocol version")]
    InvalidVersion,
    /// The second byte of a header is none of the four types.
    #[error("invalid msg type")]
    InvalidType,
    /// SYN for a stream that lives.
    #[error("duplicate stream initiated")]
    DuplicateStream,
    /// A second FIN on a stream that lives.
    #[error("unexpected flag")]
    UnexpectedFlag,
    /// More data than the stream's receive window, or a length that could never fit it.
    #[error("recv window exceeded")]
    WindowExceeded,
}

/// The reason of a goaway that ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoAwayReason {
    /// Code 1: the peer saw us break the protocol.
    ProtocolError,
    /// Code 2: the peer failed.
    InternalError,
    /// Any other code.
    Unknown(u32),
}

impl std::fmt::Display for GoAwayReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ProtocolError => f.write_str("yamux protocol error"),
            Self::InternalError => f.write_str("remote yamux internal error"),
            Self::Unknown(_) => f.write_str("unexpected go away received"),
        }
    }
}

/// Why a session is over.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SessionEnd {
    /// Our side closed it, or dropped every handle or the driver.
    #[error("session shutdown")]
    Closed,
    /// The peer closed the transport.
    #[error("EOF")]
    PeerClosed,
    /// The transport failed.
    #[error("{0}")]
    Transport(Arc<io::Error>),
    /// The peer broke the protocol.
    #[error("{0}")]
    Protocol(ProtocolError),
    /// The peer told us to go.
    #[error("{0}")]
    GoAway(GoAwayReason),
    /// The peer left a ping unanswered and sent nothing else either.
    #[error("keepalive timeout")]
    KeepaliveTimeout,
    /// The transport took no byte for the write timeout.
    #[error("connection write timeout")]
    WriteTimeout,
    /// The peer did not acknowledge a stream within the open timeout.
    #[error("aborted stream open: i/o deadline reached")]
    OpenTimeout,
}

impl SessionEnd {
    /// The error that a stream of this session gives from now on.
    pub(crate) fn to_io(&self) -> io::Error {
        match self {
            Self::Closed => io::Error::new(io::ErrorKind::ConnectionAborted, self.clone()),
            Self::PeerClosed => io::Error::new(io::ErrorKind::UnexpectedEof, self.clone()),
            Self::Transport(error) => io::Error::new(error.kind(), self.clone()),
            Self::Protocol(_) | Self::GoAway(_) => {
                io::Error::new(io::ErrorKind::ConnectionAborted, self.clone())
            }
            Self::KeepaliveTimeout | Self::WriteTimeout | Self::OpenTimeout => {
                io::Error::new(io::ErrorKind::TimedOut, self.clone())
            }
        }
    }
}

/// Why no stream could be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The session is over.
    #[error("{0}")]
    Ended(SessionEnd),
    /// The peer sent goaway 0: it takes no new streams.
    #[error("remote end is not accepting connections")]
    RemoteGoAway,
    /// All 2^31 stream ids of our side are used up.
    #[error("streams exhausted")]
    Exhausted,
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Ended(end) => end.to_io(),
            OpenError::RemoteGoAway | OpenError::Exhausted => Self::other(error),
        }
    }
}
