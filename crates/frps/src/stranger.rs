//! A client that has not said who it is, or not proved it: what bounds it, and what all streams of its connection know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use frp_net::session::Session;
use tokio::time::{Instant, timeout_at};

use crate::pending::Slot;

/// From accept to the proof of who the client is, with TLS, mux and the first message in between. Upstream
/// `server/service.go`, `connReadTimeout`, which counts each of them anew and has no bound for the last.
pub(crate) const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection as far as it is known: shared by its streams.
pub(crate) struct Connection {
    slot: Slot,
    /// Whether any stream has brought a whole first message.
    spoken: AtomicBool,
    /// Whether the client has said who it is.
    known: AtomicBool,
    session: Option<Session>,
}

impl Connection {
    pub(crate) fn new(slot: Slot, session: Option<Session>) -> Arc<Self> {
        Arc::new(Self { slot, spoken: AtomicBool::new(false), known: AtomicBool::new(false), session })
    }

    /// A whole message came: the deadline of the connection no longer applies.
    pub(crate) fn spoke(&self) {
        self.spoken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_spoken(&self) -> bool {
        self.spoken.load(Ordering::Relaxed)
    }

    /// The client has logged in or named a run id that is here: what bounds strangers no longer applies. Each stream of a
    /// session says so; once is enough.
    pub(crate) fn identified(&self) {
        if self.known.swap(true, Ordering::Relaxed) {
            return;
        }
        self.slot.identified();
        if let Some(session) = &self.session {
            session.identified();
        }
    }

    pub(crate) fn is_identified(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Resolves when the connection has to make room for a newer one of its address.
    pub(crate) async fn evicted(&self) {
        self.slot.evicted().await;
    }
}

/// One stream of a connection, or all of it, for as long as it belongs to nobody.
pub(crate) struct Stranger {
    pub(crate) connection: Arc<Connection>,
    /// By then it must have brought its first message, and with that a proof.
    pub(crate) deadline: Instant,
}

impl Stranger {
    /// Waits for what a client brings as proof to be checked, which may mean asking somebody else. No longer than until
    /// the deadline, nor when its connection has to make room. Who has given one is a stranger no more.
    pub(crate) async fn proves<T, E: Into<ProofError>>(
        &self,
        checked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ProofError> {
        let proved = tokio::select! {
            biased;
            checked = timeout_at(self.deadline, checked) => match checked {
                Ok(checked) => checked.map_err(Into::into),
                Err(_) => Err(ProofError::Timeout),
            },
            () = self.connection.evicted() => Err(ProofError::Evicted),
        };
        proved.inspect(|_| self.connection.identified())
    }
}

/// Why a client is not believed. The texts reach clients.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofError {
    #[error(transparent)]
    Auth(#[from] frp_auth::VerifyError),
    #[error("i/o timeout")]
    Timeout,
    #[error("too many connections that have not logged in")]
    Evicted,
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use frp_mux::Config;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::task::JoinSet;

    use super::*;
    use crate::pending::Pending;

    /// Each work connection identifies the session that it comes in.
    #[tokio::test]
    async fn a_session_is_identified_once() {
        let (ours, mut theirs) = duplex(1024);
        let (session, driver) = frp_mux::Session::server(ours, Config::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(driver);
        let slot = Pending::new(1).admit(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let connection = Connection::new(slot, Some(Session::Mux(session.clone())));
        connection.identified();
        assert!(connection.is_identified());
        let mut ping = [0; 12];
        theirs.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        connection.identified();
        // The answer, after which another ping could go.
        theirs.write_all(&[0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut more = Vec::new();
        theirs.read_to_end(&mut more).await.unwrap();
        assert_eq!(more, b"");
    }
}
