//! Connections that carry many streams: yamux and QUIC.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frp_net::session::Session;
use tokio::time::timeout;

use super::dialer::Dialer;
use super::{ConnectError, ServerStream};

/// How long a stream of a multiplexed connection may take to open: the server acknowledges too few of those that
/// were opened before.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// The multiplexed connections of one login: the first carries the control, the others work connections only
/// (`transport.tcpMuxConnections`). A server takes work connections of a run id from wherever they come.
pub(crate) struct MuxConnection {
    pub(super) dialer: Dialer,
    sessions: Mutex<Vec<MuxSession>>,
}

impl MuxConnection {
    /// Those of a login whose first one, dialled by `dialer`, is `first`.
    pub(super) fn new(dialer: Dialer, first: MuxSession) -> Self {
        Self { dialer, sessions: Mutex::new(vec![first]) }
    }

    /// A connection made of a session that a test has, with nobody to dial another one.
    #[cfg(test)]
    pub(crate) fn of(session: frp_mux::Session, local: SocketAddr) -> Self {
        use std::sync::Arc;

        let options = super::ConnectorOptions {
            host: String::new(),
            port: 0,
            dial_timeout: OPEN_TIMEOUT,
            keepalive: frp_net::keepalive::Keepalive::default(),
            local_ip: None,
            proxy: None,
            kcp: None,
            websocket: None,
            tls: None,
            custom_tls_first_byte: false,
            quic: None,
            mux: None,
        };
        let resolver = Arc::new(frp_net::resolve::Resolver::system());
        let connector = Arc::new(super::Connector::new(options, resolver));
        let first = MuxSession { session: Session::Mux(session), local, remote: local };
        Self::new(Dialer { connector, tls: None }, first)
    }

    /// Dials another connection, which takes its share of streams from now on. The server closes it if nothing is
    /// said on it for ten seconds: open a work connection on it at once.
    pub(crate) async fn add(&self) -> Result<MuxSession, ConnectError> {
        let session = self.dialer.session().await?;
        let mut sessions = self.lock();
        // The first stays, whatever its state: it stands for the login.
        let mut first = true;
        sessions.retain(|session| std::mem::take(&mut first) || !session.is_closed());
        sessions.push(session.clone());
        Ok(session)
    }

    /// The session with the fewest streams.
    pub(super) fn least_loaded(&self) -> Result<MuxSession, ConnectError> {
        let sessions = self.lock();
        let open = sessions.iter().filter(|session| !session.is_closed());
        let found = open.min_by_key(|session| session.session.num_streams()).or_else(|| sessions.first());
        found.cloned().ok_or_else(|| ConnectError::Tls(io::ErrorKind::NotConnected.into()))
    }

    /// Ends all of them with all their streams.
    pub(super) fn close(&self) {
        self.lock().iter().for_each(|session| session.session.close());
    }

    /// Whether the one that carries the control is gone. Not said of QUIC, whose streams themselves say what became of
    /// their connection.
    pub(super) fn is_first_gone(&self) -> bool {
        let is_gone = |first: &MuxSession| matches!(first.session, Session::Mux(_)) && first.is_closed();
        self.lock().first().is_none_or(is_gone)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MuxSession>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One multiplexed connection. When its streams and handles are gone, so is the connection.
#[derive(Clone)]
pub(crate) struct MuxSession {
    pub(super) session: Session,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
}

impl MuxSession {
    /// A new stream of this connection.
    pub(crate) async fn open(&self) -> Result<ServerStream, ConnectError> {
        let opened = timeout(OPEN_TIMEOUT, self.session.open()).await;
        let stream = opened.map_err(|_| ConnectError::MuxTimeout)??;
        Ok(ServerStream { stream, local: self.local, remote: self.remote })
    }

    /// Ready when the connection has ended.
    pub(crate) async fn closed(&self) {
        self.session.closed().await;
    }

    fn is_closed(&self) -> bool {
        self.session.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::duplex;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;
    use crate::connector::Connection;

    #[tokio::test(start_paused = true)]
    async fn a_server_that_acknowledges_no_stream_is_waited_for_so_long() {
        // The far end takes everything and says nothing.
        let (near, _far) = duplex(1 << 20);
        let (session, driver) = frp_mux::Session::client(near, frp_mux::Config::default());
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        let connection = Connection::Mux(MuxConnection::of(session, (Ipv4Addr::LOCALHOST, 1).into()));
        let mut streams = Vec::new();
        for _ in 0..frp_mux::Config::default().accept_backlog {
            streams.push(connection.open().await.unwrap());
        }
        let began = Instant::now();
        assert!(matches!(connection.open().await, Err(ConnectError::MuxTimeout)));
        assert_eq!(began.elapsed(), OPEN_TIMEOUT);
    }
}
