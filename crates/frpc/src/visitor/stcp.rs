//! `stcp` visitors: each user has a stream of its own to the proxy (upstream `client/visitor/stcp.go`).

use std::sync::Arc;

use frp_net::keepalive::Keepalive;
use frp_net::listen::accept;
use frp_stream::Stream;
use frp_stream::relay::{RelayOptions, relay};
use tokio::net::TcpListener;
use tracing::{Instrument, Span, debug, trace, warn};

use super::Session;
use super::dial::dial;
use super::spec::Target;

/// A running visitor, and what its users need of it. They outlive it.
pub(super) struct StcpVisitor {
    session: Arc<Session>,
    target: Target,
    relay: RelayOptions,
    /// Gives lines the name of the visitor.
    span: Span,
}

impl StcpVisitor {
    pub(super) fn new(session: Arc<Session>, target: Target, relay: RelayOptions, span: Span) -> Self {
        Self { session, target, relay, span }
    }

    /// Serves the users of the port until the session ends; without a port it only waits for that.
    pub(super) async fn run(self: Arc<Self>, listener: Option<TcpListener>) {
        let stop = &self.session.stop;
        let Some(listener) = listener else { return stop.cancelled().await };
        while let Some((user, _)) = stop.run_until_cancelled(accept(&listener, Keepalive::default())).await {
            self.serve(user.into());
        }
        drop(listener);
        warn!("stcp local listener closed");
    }

    /// Serves a user, wherever it comes from, in a task of the client's.
    fn serve(self: &Arc<Self>, user: Stream) {
        let visitor = Arc::clone(self);
        let shared = &self.session.shared;
        let shutdown = shared.shutdown.clone();
        let task = async move {
            shutdown.run_until_cancelled(visitor.join(user)).await;
        };
        shared.work_connections.spawn(task.instrument(self.span.clone()));
    }

    /// A user for whom there is no way is closed without a byte.
    async fn join(self: Arc<Self>, user: Stream) {
        debug!("get a new stcp user connection");
        // Boxed: what ends before the relay begins shall not cost every user its room.
        let service = match Box::pin(dial(&self.session, &self.target)).await {
            Ok(service) => service,
            Err(error) => return warn!("dialRawVisitorConn error: {error}"),
        };
        let options = self.relay;
        // The session may be over long before the user is.
        drop(self);
        let report = relay(user, service, options).await;
        trace!(
            "{} bytes to the service, {} to the user: {:?}",
            report.to_service, report.to_user, report.end
        );
    }
}
