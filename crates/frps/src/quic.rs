//! Connections on `quicBindPort`, up to their streams.
//!
//! The accept loop awaits no byte of any peer: it starts a task per connection, in which the handshake runs, with one
//! deadline from the first datagram to the first message. The streams are treated like those of a mux session.
//!
//! Anybody can write any address on a datagram. So only few handshakes may be under way whose peers have proved nothing;
//! beyond them, clients are asked to come again with a token, which only reaches who is where it says. That costs us no
//! memory, and an honest client a round trip. Of those that have proved where they are, the oldest makes room at the
//! bounds of [`crate::pending`].

use std::net::SocketAddr;
use std::sync::Arc;

use frp_net::address::join_host_port;
use frp_net::quic::Incoming;
pub(crate) use frp_net::quic::Listener;
use frp_net::session::Session;
use frp_net::tls::ServerTls;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::core::Core;
use crate::mux;
use crate::pending::{Pending, Slot};
use crate::server::BindError;
use crate::settings::{STREAMS_BEFORE_LOGIN, Settings};
use crate::stranger::FIRST_MESSAGE_TIMEOUT;

/// Handshakes under way with clients that have not proved their address.
const UNPROVEN: usize = 128;

/// Handshakes under way with clients of any address.
const HANDSHAKES: usize = 8192;

/// Binds `quicBindPort`. The tasks that drive the connections are the server's.
pub(crate) fn bind(
    settings: &Settings,
    port: u16,
    tls: &ServerTls,
    tasks: &TaskTracker,
) -> Result<Listener, BindError> {
    let address = join_host_port(&settings.bind_addr, port);
    let streams = u32::try_from(STREAMS_BEFORE_LOGIN).unwrap_or(u32::MAX);
    let listener = Listener::bind(&settings.bind_addr, port, tls, &settings.quic, streams, tasks);
    let listener = listener.map_err(|error| BindError::Quic { address: address.clone(), error })?;
    info!("frps quic listen on {address}");
    Ok(listener)
}

/// Accepts until `stop` is cancelled. The sessions live on until the server ends.
pub(crate) async fn serve(core: Arc<Core>, listener: Listener, stop: CancellationToken) {
    let unproven = Arc::new(Semaphore::new(UNPROVEN));
    let everybody = Pending::new(HANDSHAKES);
    let mut is_asking = false;
    loop {
        let incoming = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            incoming = listener.accept() => incoming,
        };
        let Some(incoming) = incoming else {
            warn!("quic listener for incoming connections from client closed");
            break;
        };
        let permit = match incoming.is_validated() {
            true => None,
            false => match Arc::clone(&unproven).try_acquire_owned() {
                Ok(permit) => {
                    is_asking &= unproven.available_permits() < UNPROVEN / 2;
                    Some(permit)
                }
                Err(_) => {
                    if !std::mem::replace(&mut is_asking, true) {
                        warn!(
                            "{UNPROVEN} QUIC handshakes with clients of unproven addresses are under way, asking the next \
                             ones to prove theirs"
                        );
                    }
                    incoming.retry();
                    continue;
                }
            },
        };
        let peer = incoming.peer();
        let entry = match permit {
            Some(permit) => Entry::Unproven(permit),
            None => {
                Entry::Proven { slot: core.pending.admit(peer.ip()), of_all: everybody.admit_one_of_all() }
            }
        };
        core.tasks.spawn(connection(Arc::clone(&core), incoming, peer, entry));
    }
    listener.stop_accepting();
    let end = core.stop.clone();
    core.tasks.spawn(async move {
        end.cancelled().await;
        listener.close();
    });
}

/// What a connection may take up until its handshake is done.
enum Entry {
    /// One of few places.
    Unproven(OwnedSemaphorePermit),
    /// A place among those of its address, and among all.
    Proven { slot: Slot, of_all: Slot },
}

impl Entry {
    /// Resolves when the connection has to make room.
    async fn evicted(&self) {
        match self {
            Self::Unproven(_) => std::future::pending().await,
            Self::Proven { slot, of_all } => tokio::select! {
                () = slot.evicted() => {}
                () = of_all.evicted() => {}
            },
        }
    }
}

/// The task of one connection.
async fn connection(core: Arc<Core>, incoming: Incoming, peer: SocketAddr, entry: Entry) {
    let deadline = Instant::now() + FIRST_MESSAGE_TIMEOUT;
    let handshake = tokio::select! {
        biased;
        () = core.stop.cancelled() => return,
        () = entry.evicted() => return,
        handshake = timeout_at(deadline, Box::pin(incoming.accept())) => handshake,
    };
    let session = match handshake {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return core.refusals.refused(peer, error),
        Err(_) => return core.refusals.refused(peer, "timeout: handshake did not complete in time"),
    };
    let local = session.local_addr();
    let slot = match entry {
        Entry::Proven { slot, of_all } => {
            drop(of_all);
            slot
        }
        // The handshake has proved it. Not counted before: else others could fill up somebody's share in its name.
        Entry::Unproven(permit) => {
            drop(permit);
            core.pending.admit(peer.ip())
        }
    };
    mux::serve_session(core, Session::Quic(session), [peer, local], slot, deadline).await;
}
