//! Connections on `bindPort`, from accept to their first message.
//!
//! The accept loop only starts a task per connection and waits for no byte of any peer. That task finds out what the
//! connection is (TLS, websocket or plain), unwraps that, and hands it to [`crate::mux`] or straight to
//! [`crate::first_message`]. Up to the connection's first message all of it shares one deadline, counted from accept;
//! each stream of a mux session then has one of its own. Where a port for users is that of the clients as well, the first
//! bytes also tell users from clients, and users have the deadlines of their own ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use frp_net::address::canonical;
use frp_net::listen::accept;
use frp_net::session::Session;
use frp_net::websocket::{self, HandshakeError};
use frp_proto::limits::SNIFF_LEN;
use frp_proto::sniff::{ConnectionStart, connection_start};
use frp_stream::Stream;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{trace, warn};

use crate::core::Core;
use crate::pending::Slot;
use crate::vhost::https::Routed;
use crate::{first_message, mux, vhost};

/// From accept to the end of the first message, with TLS and mux in between. Upstream `server/service.go`,
/// `connReadTimeout`, which counts each of them anew.
pub(crate) const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// A stream from a client, and between which addresses it runs. Streams of one mux session share those of the
/// session.
pub(crate) struct Inbound {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

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

    /// The client has logged in or named a run id that is here: what bounds strangers no longer applies.
    pub(crate) fn identified(&self) {
        self.known.store(true, Ordering::Relaxed);
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

    /// Waits for what a client brings as proof to be checked, which may mean asking somebody else. No longer than until
    /// the deadline of its first message, nor when it has to make room.
    pub(crate) async fn proved<T, E: Into<ProofError>>(
        &self,
        deadline: Instant,
        checked: impl Future<Output = Result<T, E>>,
    ) -> Result<T, ProofError> {
        tokio::select! {
            biased;
            checked = timeout_at(deadline, checked) => match checked {
                Ok(checked) => checked.map_err(Into::into),
                Err(_) => Err(ProofError::Timeout),
            },
            () = self.evicted() => Err(ProofError::Evicted),
        }
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

/// Why a connection never got to its first message.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error("non-TLS connection received on a TlsOnly server")]
    NotTls,
    /// Closed without a byte, as port checks do.
    #[error("EOF")]
    Nothing,
    #[error(transparent)]
    WebSocket(#[from] HandshakeError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Accepts until `stop` is cancelled.
pub(crate) async fn serve(core: Arc<Core>, listener: TcpListener, stop: CancellationToken) {
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = accept(&listener, core.settings.keepalive) => accepted,
        };
        let slot = core.pending.admit(peer.ip());
        core.tasks.spawn(connection(Arc::clone(&core), stream, peer, slot));
    }
}

/// The task of one connection.
async fn connection(core: Arc<Core>, tcp: TcpStream, peer: SocketAddr, slot: Slot) {
    let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
    let Ok(local) = tcp.local_addr() else { return };
    if core.settings.mux.is_some() {
        frp_net::mux::prepare(&tcp);
    }
    let local = canonical(local);
    let prepared = tokio::select! {
        biased;
        () = core.stop.cancelled() => return,
        () = slot.evicted() => return,
        // Boxed: a mux session lives on in this task and needs no room for its handshake.
        prepared = timeout_at(deadline, Box::pin(prepare(&core, tcp))) => prepared,
    };
    let prepared = match prepared {
        Ok(Ok(Prepared::Https(stream))) => {
            let routed = tokio::select! {
                biased;
                () = core.stop.cancelled() => return,
                () = slot.evicted() => return,
                routed = Box::pin(vhost::https::route(&core, stream)) => routed,
            };
            let stream = match routed {
                None => return,
                Some(Routed::User(proxy, stream)) => return proxy.serve_user(stream, peer, local),
                // A websocket within TLS, perhaps.
                Some(Routed::Unknown(stream)) => stream,
            };
            tokio::select! {
                biased;
                () = core.stop.cancelled() => return,
                () = slot.evicted() => return,
                prepared = timeout_at(deadline, Box::pin(within_tls(&core, stream))) => prepared,
            }
        }
        prepared => prepared,
    };
    let stream = match prepared {
        Ok(Ok(Prepared::Frp(stream) | Prepared::Https(stream))) => stream,
        Ok(Ok(Prepared::Http(stream))) => {
            drop(slot);
            return Box::pin(vhost::http::user(core, stream, peer)).await;
        }
        Ok(Err(error)) => return refuse(&core, peer, Some(error)),
        Err(_) => return refuse(&core, peer, None),
    };
    serve_client(core, Inbound { stream, peer, local }, slot, deadline).await;
}

/// Says why nothing became of a connection; no error is no time.
fn refuse(core: &Core, peer: SocketAddr, error: Option<PrepareError>) {
    match error {
        Some(error @ PrepareError::NotTls) => {
            warn!("checkAndEnableTLSServerConnWithTimeout error: {error}");
        }
        Some(error @ PrepareError::Nothing) => trace!("failed to accept frp connection: {error}"),
        Some(error) => core.refusals.refused(peer, error),
        None => core.refusals.refused(peer, "i/o timeout"),
    }
}

/// A client's connection, up to its streams.
async fn serve_client(core: Arc<Core>, inbound: Inbound, slot: Slot, deadline: Instant) {
    match core.settings.mux.clone() {
        Some(config) => mux::serve(core, inbound, slot, config, deadline).await,
        None => {
            let connection = Connection::new(slot, None);
            Box::pin(first_message::serve(core, inbound, connection, deadline)).await;
        }
    }
}

/// The task of a connection on a port for clients alone, which may begin with TLS and is no websocket.
pub(crate) async fn client_connection(core: Arc<Core>, inbound: Inbound, slot: Slot) {
    let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
    let Inbound { mut stream, peer, local } = inbound;
    let prepared = async {
        let (start, bytes) = sniff(&mut stream, &core).await?;
        secure(&core, stream.with_prefix(bytes), start).await
    };
    let prepared = tokio::select! {
        biased;
        () = core.stop.cancelled() => return,
        () = slot.evicted() => return,
        prepared = timeout_at(deadline, Box::pin(prepared)) => prepared,
    };
    let refused = match prepared {
        Ok(Ok((stream, _))) => {
            return serve_client(core, Inbound { stream, peer, local }, slot, deadline).await;
        }
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    refuse(&core, peer, refused);
}

/// A connection of which it is known whose it is.
enum Prepared {
    /// A client of ours, up to its streams.
    Frp(Stream),
    /// A user of an http proxy, whose port this is, too.
    Http(Stream),
    /// A user of an https proxy, whose port this is, too.
    Https(Stream),
}

/// Unwraps what the first bytes announce: TLS, a websocket, or one within the other, either way round.
async fn prepare(core: &Core, tcp: TcpStream) -> Result<Prepared, PrepareError> {
    let mut stream = Stream::from(tcp);
    let (start, bytes) = sniff(&mut stream, core).await?;
    let stream = stream.with_prefix(bytes);
    match start {
        Start::Is(ConnectionStart::Tls) if core.settings.shares_https => Ok(Prepared::Https(stream)),
        Start::Is(ConnectionStart::Http) if core.settings.shares_http => Ok(Prepared::Http(stream)),
        Start::WebSocket => {
            let mut stream = upgrade(core, stream).await?;
            let (start, bytes) = sniff(&mut stream, core).await?;
            let (stream, _) = secure(core, stream.with_prefix(bytes), start).await?;
            Ok(Prepared::Frp(stream))
        }
        start => {
            let (mut stream, is_tls) = secure(core, stream, start).await?;
            if !is_tls {
                return Ok(Prepared::Frp(stream));
            }
            let (start, bytes) = sniff(&mut stream, core).await?;
            let stream = stream.with_prefix(bytes);
            Ok(Prepared::Frp(if start == Start::WebSocket { upgrade(core, stream).await? } else { stream }))
        }
    }
}

/// A websocket within TLS on a port where anything else within TLS is for https proxies.
async fn within_tls(core: &Core, stream: Stream) -> Result<Prepared, PrepareError> {
    let mut stream = core.tls.accept(stream).await?;
    let (start, bytes) = sniff(&mut stream, core).await?;
    if start != Start::WebSocket {
        return Err(HandshakeError::NotWebSocket.into());
    }
    Ok(Prepared::Frp(upgrade(core, stream.with_prefix(bytes)).await?))
}

/// The handshake of a websocket. Below a session, that keeps the connection alive.
async fn upgrade(core: &Core, stream: Stream) -> Result<Stream, PrepareError> {
    let ping = core.settings.mux.is_none().then_some(websocket::PING_INTERVAL);
    let own = core.settings.websocket_path.as_deref().unwrap_or(websocket::PATH);
    Ok(websocket::accept(stream, &[websocket::PATH, own], ping).await?)
}

/// Unwraps TLS, if the first bytes announce it, and says whether they did.
async fn secure(core: &Core, stream: Stream, start: Start) -> Result<(Stream, bool), PrepareError> {
    trace!("start check TLS connection...");
    let custom = start == Start::Is(ConnectionStart::TlsMarked);
    let is_tls = custom || start == Start::Is(ConnectionStart::Tls);
    if !is_tls && core.settings.force_tls {
        return Err(PrepareError::NotTls);
    }
    let stream = match is_tls {
        true => core.tls.accept(if custom { without_marker(stream).await? } else { stream }).await?,
        false => stream,
    };
    trace!("check TLS connection success, isTLS: {is_tls} custom: {custom} internal: false");
    Ok((stream, is_tls))
}

async fn without_marker(mut stream: Stream) -> Result<Stream, PrepareError> {
    stream.read_u8().await?;
    Ok(stream)
}

/// What a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// A request for a path on which a websocket may be opened.
    WebSocket,
    /// Anything else.
    Is(ConnectionStart),
}

/// Reads until the first bytes tell what the connection is; ten always do, but where another path has to be looked
/// for.
async fn sniff(stream: &mut Stream, core: &Core) -> Result<(Start, Bytes), PrepareError> {
    let own = core.settings.websocket_path.as_deref();
    let wanted = own.map_or(SNIFF_LEN, |own| SNIFF_LEN.max(METHOD.len() + own.len() + 1));
    // What comes behind is read in the same turn, and given back with the rest.
    let mut bytes = Vec::with_capacity(READ_AHEAD.max(wanted));
    loop {
        let room = bytes.capacity().saturating_sub(bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(if bytes.is_empty() {
                PrepareError::Nothing
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

/// A first message of a work connection is shorter.
const READ_AHEAD: usize = 256;
const METHOD: &[u8] = b"GET ";

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
