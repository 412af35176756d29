//! The life of one user connection: take a work connection, announce the user on it, layer it, relay, account.
//!
//! Upstream `server/proxy/proxy.go`, `handleUserTCPConnection`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use frp_proto::wire::Framing;
use frp_stream::Stream;
use frp_stream::relay::{RelayEnd, RelayOptions, relay};
use tracing::{debug, trace};

use crate::proxy::Proxy;
use crate::sudp_bridge;
use crate::traffic::Traffic;

/// Of what a user has said before it has a work connection, so much goes with the announcement.
const FIRST_BYTES: usize = 2 * 1024;

/// A user, and the address of ours that it connected to.
pub(crate) struct UserConn {
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// How its datagrams look, if that is not how they look on the work connection.
    pub(crate) datagrams: Option<Framing>,
}

/// Serves a user until either side ends or the server stops. Outlives its proxy and, without multiplexing, the
/// control: closing a proxy does not cut its users. Safe to drop at any time; then both connections are closed.
pub(crate) async fn serve(proxy: Arc<Proxy>, user: UserConn) {
    // Boxed: what ends before the relay begins shall not cost every open connection its room.
    let datagrams = user.datagrams;
    let Some((user, service)) = Box::pin(join(&proxy, user)).await else { return };
    let options = RelayOptions { half_close_timeout: proxy.core.settings.half_close_timeout };
    let open = Traffic::count_connection(&proxy.traffic);
    if let Some(datagrams) = datagrams {
        let bridge = Box::pin(sudp_bridge::bridge(&proxy, (user, datagrams), (service, proxy.datagrams)));
        tokio::select! {
            biased;
            () = proxy.core.stop.cancelled() => {}
            () = bridge => debug!("join connections closed"),
        }
        return;
    }
    let report = tokio::select! {
        biased;
        () = proxy.core.stop.cancelled() => return,
        report = relay(user, service, options) => report,
    };
    drop(open);
    proxy.traffic.add_inbound(report.to_service);
    proxy.traffic.add_outbound(report.to_user);
    debug!("join connections closed");
    match report.end {
        RelayEnd::Closed { .. } => {}
        RelayEnd::HalfCloseTimeout => trace!("join connections: the user got nothing more after its own end"),
        RelayEnd::Failed(error) => trace!("join connections errors: [{error}]"),
    }
}

/// The user and what stands for the service: a work connection that knows of the user, with the layers of the proxy.
async fn join(proxy: &Proxy, mut user: UserConn) -> Option<(Stream, Stream)> {
    // What the user has said by now goes with the announcement: a write, a wake-up and a read less on the way.
    let limit = if proxy.has_no_layers() && user.datagrams.is_none() { FIRST_BYTES } else { 0 };
    let (mut first, mut failure) = (0, None);
    let mut begin = || {
        let taken = if limit > 0 { user.stream.take_arrived(limit) } else { Ok(Bytes::new()) };
        let bytes = taken.unwrap_or_else(|error| {
            failure = Some(error);
            Bytes::new()
        });
        first += bytes.len();
        bytes
    };
    let work = proxy.work_conn_for(Some(user.peer), Some(user.local), &mut begin).await.ok()?;
    if let Some(error) = failure {
        debug!("the user is gone before its service was there: {error}");
        return None;
    }
    proxy.traffic.add_inbound(first as u64);
    trace!(
        "handler user tcp connection, use_encryption: {}, use_compression: {}",
        proxy.payload.encryption, proxy.payload.compression
    );
    debug!(
        "join connections, workConn(l[{}] r[{}]) userConn(l[{}] r[{}])",
        work.local, work.peer, user.local, user.peer
    );
    Some((user.stream, proxy.layers().apply(work.stream)))
}
