//! Connections on `bindPort`, from accept to their first message.
//!
//! The accept loop only starts a task per connection and waits for no byte of any peer. That task finds out what the
//! connection is (TLS or plain), unwraps TLS, and hands it to [`crate::mux`] or straight to
//! [`crate::first_message`]. All of it shares one deadline, counted from accept. Where a port for users is that of the
//! clients as well, the first bytes also tell users from clients.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use frp_net::address::canonical;
use frp_net::listen::accept;
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
    session: Option<frp_mux::Session>,
}

impl Connection {
    pub(crate) fn new(slot: Slot, session: Option<frp_mux::Session>) -> Arc<Self> {
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
            session.set_inbound_limit(usize::MAX);
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

/// Why a connection never got to its first message.
#[derive(Debug, thiserror::Error)]
enum PrepareError {
    #[error("non-TLS connection received on a TlsOnly server")]
    NotTls,
    /// Closed without a byte, as port checks do.
    #[error("EOF")]
    Nothing,
    #[error("websocket is not supported by this server yet")]
    WebSocket,
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
    let prepared = tokio::select! {
        biased;
        () = core.stop.cancelled() => return,
        () = slot.evicted() => return,
        // Boxed: a mux session lives on in this task and needs no room for its handshake.
        prepared = timeout_at(deadline, Box::pin(prepare(&core, tcp))) => prepared,
    };
    let local = canonical(local);
    let stream = match prepared {
        Ok(Ok(Prepared::Frp(stream))) => stream,
        Ok(Ok(Prepared::Http(stream))) => {
            drop(slot);
            return Box::pin(vhost::http::user(core, stream, peer)).await;
        }
        Ok(Ok(Prepared::Https(stream))) => {
            let routed = tokio::select! {
                biased;
                () = core.stop.cancelled() => None,
                () = slot.evicted() => None,
                routed = Box::pin(vhost::https::route(&core, stream)) => routed,
            };
            if let Some((proxy, stream)) = routed {
                proxy.serve_user(stream, peer, local);
            }
            return;
        }
        Ok(Err(error @ PrepareError::NotTls)) => {
            return warn!("checkAndEnableTLSServerConnWithTimeout error: {error}");
        }
        Ok(Err(error @ PrepareError::Nothing)) => return trace!("failed to accept frp connection: {error}"),
        Ok(Err(error)) => return core.refusals.refused(peer, error),
        Err(_) => return core.refusals.refused(peer, "i/o timeout"),
    };
    let inbound = Inbound { stream, peer, local };
    match core.settings.mux.clone() {
        Some(config) => mux::serve(core, inbound, slot, config, deadline).await,
        None => {
            let connection = Connection::new(slot, None);
            Box::pin(first_message::serve(core, inbound, connection, deadline)).await;
        }
    }
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

/// Unwraps what the first bytes announce.
async fn prepare(core: &Core, tcp: TcpStream) -> Result<Prepared, PrepareError> {
    let mut stream = Stream::from(tcp);
    let (start, bytes) = sniff(&mut stream).await?;
    if start == ConnectionStart::Tls && core.settings.shares_https {
        return Ok(Prepared::Https(stream.with_prefix(bytes)));
    }
    if start == ConnectionStart::Http && core.settings.shares_http {
        return Ok(Prepared::Http(stream.with_prefix(bytes)));
    }
    trace!("start check TLS connection...");
    let custom = start == ConnectionStart::TlsMarked;
    let is_tls = custom || start == ConnectionStart::Tls;
    let stream = match start {
        ConnectionStart::TlsMarked => core.tls.accept(stream.with_prefix(bytes.slice(1..))).await?,
        ConnectionStart::Tls => core.tls.accept(stream.with_prefix(bytes)).await?,
        ConnectionStart::WebSocket => return Err(PrepareError::WebSocket),
        ConnectionStart::Http | ConnectionStart::V2 | ConnectionStart::Plain if core.settings.force_tls => {
            return Err(PrepareError::NotTls);
        }
        ConnectionStart::Http | ConnectionStart::V2 | ConnectionStart::Plain => stream.with_prefix(bytes),
    };
    trace!("check TLS connection success, isTLS: {is_tls} custom: {custom} internal: false");
    Ok(Prepared::Frp(stream))
}

/// Reads until the first bytes tell what the connection is; ten always do.
async fn sniff(stream: &mut Stream) -> Result<(ConnectionStart, Bytes), PrepareError> {
    let mut bytes = Vec::with_capacity(SNIFF_LEN);
    loop {
        let room = SNIFF_LEN.saturating_sub(bytes.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut bytes).await? == 0 {
            return Err(if bytes.is_empty() {
                PrepareError::Nothing
            } else {
                std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "EOF").into()
            });
        }
        if let Some(start) = connection_start(&bytes) {
            return Ok((start, bytes.into()));
        }
    }
}
