//! Connections on `kcpBindPort`, up to their streams: as on `bindPort`, but for what only TCP connections may be.
//!
//! The accept loop awaits no byte of any peer. What strangers may cost is bounded: conversations whose peers have
//! acknowledged nothing by [`frp_net::kcp::Listener`], all together, and those of a source whose peers have by a table like
//! that of [`crate::pending`]; all of them by the deadline of the first message, as on `bindPort`. So whoever forges
//! addresses displaces nobody who has proved to be at his.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use frp_net::address::{canonical, join_host_port};
use frp_net::kcp::{self, Accepted, Listener, ListenerDriver, Proof};
use frp_stream::Stream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::accept::{self, Inbound};
use crate::core::Core;
use crate::pending::{Arrival, Pending, Slot};
use crate::server::BindError;
use crate::settings::Settings;

/// How long the last bytes of conversations may take when the server ends.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A port with nobody serving it yet.
pub(crate) struct Bound {
    listener: Listener,
    driver: ListenerDriver,
}

impl Bound {
    pub(crate) fn local_addr(&self) -> std::net::SocketAddr {
        self.driver.local_addr()
    }
}

/// Binds `kcpBindPort`.
pub(crate) fn bind(settings: &Settings, port: u16) -> Result<Bound, BindError> {
    let address = join_host_port(&settings.bind_addr, port);
    let bound = kcp::bind(&settings.bind_addr, port, kcp::config(settings.mux.is_some()));
    let (listener, driver) = bound.map_err(|error| BindError::Kcp { address: address.clone(), error })?;
    info!("frps kcp listen on udp {address}");
    Ok(Bound { listener, driver })
}

/// Accepts until `stop` is cancelled. The conversations live on until the server ends.
pub(crate) async fn serve(core: Arc<Core>, bound: Bound, stop: CancellationToken) {
    let Bound { mut listener, driver } = bound;
    let local = canonical(driver.local_addr());
    let end = core.stop.clone();
    core.tasks.spawn(async move {
        let mut driving = JoinSet::new();
        driving.spawn(driver.run(end.clone().cancelled_owned()));
        end.cancelled().await;
        let _ = timeout(CLOSE_TIMEOUT, driving.join_next()).await;
    });
    // A table of its own: what comes here must not make connections of other ports go.
    let pending = Pending::new(core.settings.max_pending_per_address);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Some(Accepted { stream, peer, proof }) = accepted else {
            return warn!("kcp listener for incoming connections from client closed");
        };
        let peer = canonical(peer);
        let (slot, arrival) = pending.expect(peer.ip());
        let inbound = Inbound { stream: Stream::boxed(stream), peer, local };
        core.tasks.spawn(client(Arc::clone(&core), inbound, slot, proof, arrival));
    }
}

/// The task of a conversation.
async fn client(core: Arc<Core>, inbound: Inbound, slot: Slot, proof: Proof, arrival: Arrival) {
    let mut serving = pin!(accept::client_connection(core, inbound, slot));
    tokio::select! {
        biased;
        () = &mut serving => return,
        () = proof.arrived() => arrival.admit(),
    }
    serving.await;
}
