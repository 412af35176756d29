//! Connections on `kcpBindPort`, up to their streams: as on `bindPort`, but for what only TCP connections may be.
//!
//! The accept loop awaits no byte of any peer. What strangers may cost is bounded twice: conversations whose peers have
//! acknowledged nothing by [`frp_net::kcp::Listener`], all together, and all of an address by a table like that of
//! [`crate::pending`] and by the deadline of the first message, as on `bindPort`.

use std::sync::Arc;
use std::time::Duration;

use frp_net::address::{canonical, join_host_port};
use frp_net::kcp::{self, Accepted, Listener, ListenerDriver};
use frp_stream::Stream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::accept::{self, Inbound};
use crate::core::Core;
use crate::pending::Pending;
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
    // A table of its own: who forges addresses here must not make connections of other ports go.
    let pending = Pending::new(core.settings.max_pending_per_address);
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Some(Accepted { stream, peer }) = accepted else {
            return warn!("kcp listener for incoming connections from client closed");
        };
        let peer = canonical(peer);
        let slot = pending.admit(peer.ip());
        let inbound = Inbound { stream: Stream::boxed(stream), peer, local };
        core.tasks.spawn(accept::client_connection(Arc::clone(&core), inbound, slot));
    }
}
