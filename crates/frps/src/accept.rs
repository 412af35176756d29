//! Connections on `bindPort`, from accept to their first message.
//!
//! The accept loop only starts a task per connection and waits for no byte of any peer. That task finds out what the
//! connection is (TLS, websocket or plain), unwraps that, and hands it to [`crate::mux`] or straight to
//! [`crate::first_message`]. All of it, to the proof of who the client is, shares one deadline, counted from accept;
//! only the streams that a mux session brings after its first message have one each. Where a port for users is that of
//! the clients as well, the first bytes also tell users from clients, and users have the deadlines of their own ports.

use std::net::SocketAddr;
use std::sync::Arc;

use frp_net::address::canonical;
use frp_net::listen::accept;
use frp_net::websocket::{self, HandshakeError};
use frp_proto::sniff::ConnectionStart;
use frp_stream::Stream;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{trace, warn};

use crate::core::Core;
use crate::pending::Slot;
use crate::sniff::{SniffError, Start, sniff};
use crate::stranger::{Connection, FIRST_MESSAGE_TIMEOUT, Stranger};
use crate::vhost::https::Routed;
use crate::{first_message, mux, vhost};

/// A stream from a client, and between which addresses it runs. Streams of one mux session share those of the
/// session.
pub(crate) struct Inbound {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

/// Why a connection never got to its first message.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error("non-TLS connection received on a TlsOnly server")]
    NotTls,
    #[error(transparent)]
    Sniff(#[from] SniffError),
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
        Some(error @ PrepareError::Sniff(SniffError::Nothing)) => {
            trace!("failed to accept frp connection: {error}")
        }
        Some(error) => core.refusals.refused(peer, error),
        None => core.refusals.refused(peer, "i/o timeout"),
    }
}

/// A client's connection, up to its streams.
async fn serve_client(core: Arc<Core>, inbound: Inbound, slot: Slot, deadline: Instant) {
    match core.settings.mux.clone() {
        Some(config) => mux::serve(core, inbound, slot, config, deadline).await,
        None => {
            let stranger = Stranger { connection: Connection::new(slot, None), deadline };
            Box::pin(first_message::serve(core, inbound, stranger)).await;
        }
    }
}

/// The task of a connection on a port for clients alone, which may begin with TLS and is no websocket.
pub(crate) async fn client_connection(core: Arc<Core>, inbound: Inbound, slot: Slot) {
    let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
    let Inbound { stream, peer, local } = inbound;
    let prepared = async {
        let (start, stream) = sniff(stream, None).await?;
        secure(&core, stream, start).await
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
    let own = core.settings.websocket_path.as_deref();
    let (start, stream) = sniff(tcp.into(), own).await?;
    match start {
        Start::Is(ConnectionStart::Tls) if core.settings.shares_https => Ok(Prepared::Https(stream)),
        Start::Is(ConnectionStart::Http) if core.settings.shares_http => Ok(Prepared::Http(stream)),
        Start::WebSocket => {
            let (start, stream) = sniff(upgrade(core, stream).await?, None).await?;
            let (stream, _) = secure(core, stream, start).await?;
            Ok(Prepared::Frp(stream))
        }
        start => {
            let (stream, is_tls) = secure(core, stream, start).await?;
            if !is_tls {
                return Ok(Prepared::Frp(stream));
            }
            let (start, stream) = sniff(stream, own).await?;
            Ok(Prepared::Frp(if start == Start::WebSocket { upgrade(core, stream).await? } else { stream }))
        }
    }
}

/// A websocket within TLS on a port where anything else within TLS is for https proxies.
async fn within_tls(core: &Core, stream: Stream) -> Result<Prepared, PrepareError> {
    let stream = core.tls.accept(stream).await?;
    let (start, stream) = sniff(stream, core.settings.websocket_path.as_deref()).await?;
    if start != Start::WebSocket {
        return Err(HandshakeError::NotWebSocket.into());
    }
    Ok(Prepared::Frp(upgrade(core, stream).await?))
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
