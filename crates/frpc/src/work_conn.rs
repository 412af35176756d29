//! One work connection: opened when the server asks, announced, pooled by the server until a user comes, then
//! handed to its proxy (upstream `client/control.go`, `client/proxy/proxy_manager.go`).

use std::sync::Arc;
use std::time::Duration;

use frp_proto::msg::{Message, NewWorkConn, StartWorkConn};
use frp_proto::wire::Framing;
use frp_stream::message::{read_message_ahead, write_first_message};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, info_span, trace, warn};

use crate::client::Shared;
use crate::connector::{Connection, MuxSession, ServerStream};
use crate::proxy::{Proxies, Proxy, Started};

/// How long the announcement may take to leave; the wait for StartWorkConn that follows has no deadline.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a work connection needs to know of the session that opens it.
pub(crate) struct Request {
    pub(crate) shared: Arc<Shared>,
    pub(crate) connection: Arc<Connection>,
    /// The multiplexed connection to open it on; none takes the one with the fewest streams.
    pub(crate) on: Option<MuxSession>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) run_id: String,
    /// How messages look in its payload.
    pub(crate) payload_framing: Framing,
    /// Cancelled with the session; a connection that has been started by then lives on.
    pub(crate) session: CancellationToken,
}

/// The whole life of one work connection. Cancelling it closes both its ends.
pub(crate) async fn serve(request: Request, permit: OwnedSemaphorePermit) {
    let shutdown = request.shared.shutdown.clone();
    // Boxed, so that what ends before the relay begins costs an open connection no room.
    let Some((span, proxy, started)) = Box::pin(started(request, permit)).await else { return };
    tokio::select! {
        () = proxy.serve(started).instrument(span) => {}
        () = shutdown.cancelled() => {}
    }
}

/// From the server's request to the proxy that the server has started the connection for.
async fn started(request: Request, permit: OwnedSemaphorePermit) -> Option<(Span, Arc<Proxy>, Box<Started>)> {
    let (work, message) = tokio::select! {
        started = start(&request) => started?,
        () = request.session.cancelled() => return None,
    };
    drop(permit);
    let name = frp_proto::names::strip_user_prefix(&request.shared.options.user, &message.proxy_name);
    let Some(proxy) = request.proxies.running(name).await else {
        debug!("work connection for proxy [{name}], which is not running here; closed");
        return None;
    };
    let span = info_span!("proxy", proxy = %name);
    span.in_scope(|| {
        debug!("start a new work connection, localAddr: {} remoteAddr: {}", work.local, work.remote);
    });
    let started = Started { work, message, payload_framing: request.payload_framing };
    Some((span, proxy, Box::new(started)))
}

/// Opens and announces the connection, then waits for as long as the session lives for the server to start it.
async fn start(request: &Request) -> Option<(ServerStream, StartWorkConn)> {
    let mut work = Box::pin(announce(request)).await?;
    let message = match read_message_ahead(&mut work.stream, request.shared.options.wire.into()).await {
        Ok(Message::StartWorkConn(message)) => message,
        Ok(other) => {
            warn!("expected StartWorkConn on a work connection, got {}", other.kind().name());
            return None;
        }
        // The server drops pooled connections when a control goes; that is no error.
        Err(error) => {
            trace!("work connection closed before response StartWorkConn message: {error}");
            return None;
        }
    };
    if !message.error.is_empty() {
        if request.on.is_some() {
            // Nobody asked for this one, so a full pool is no fault; the connection that it opened stays.
            debug!("StartWorkConn contains error: {}", message.error);
        } else {
            error!("StartWorkConn contains error: {}", message.error);
        }
        return None;
    }
    Some((work, message))
}

/// Opens a connection and says whose it is. Every step has a deadline. The proof comes first: to have it may take longer
/// than the server waits for the first message of a connection that is open.
async fn announce(request: &Request) -> Option<ServerStream> {
    let mut message = NewWorkConn { run_id: request.run_id.clone(), ..NewWorkConn::default() };
    if let Err(error) = request.shared.auth.set_new_work_conn(&mut message).await {
        warn!("error during NewWorkConn authentication: {error}");
        return None;
    }
    let opened = match &request.on {
        Some(session) => session.open().await,
        None => request.connection.open().await,
    };
    let mut work = opened.inspect_err(|error| warn!("start new connection to server error: {error}")).ok()?;
    let message = message.into();
    let written = write_first_message(&mut work.stream, request.shared.options.wire, &message);
    match timeout(ANNOUNCE_TIMEOUT, written).await {
        Ok(Ok(())) => return Some(work),
        Ok(Err(error)) => warn!("work connection write to server error: {error}"),
        Err(_) => warn!("work connection write to server error: i/o timeout"),
    }
    None
}
