//! Proxies: what a client asked for by `NewProxy`, and what serves it.
//!
//! - [`Proxy`]: what a user connection needs of it; lives as long as the last of them
//! - `start`: from the message to what is served, and the one list of types, which have a file each
//! - `running`: what is served, until it is closed
//! - `table`: the names of all proxies

mod http;
mod https;
mod running;
mod start;
mod stcp;
mod sudp;
mod table;
mod tcp;
mod tcpmux;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frp_config::ProxyBase;
use frp_proto::msg::StartWorkConn;
use frp_proto::wire::Framing;
use frp_stream::Stream;
use frp_stream::layer::{Layers, LimitSide};
use frp_stream::limit::RateLimiter;
use frp_stream::message::write_message_and;
use tokio::net::TcpStream;
use tracing::{Instrument, Span, debug, error, info, warn};

pub(crate) use self::running::Running;
pub(crate) use self::start::{Start, StartError};
pub(crate) use self::table::Table;
use crate::control::{TakeError, WorkConn, WorkPool};
use crate::core::Core;
use crate::ids::ProxyName;
use crate::traffic::Traffic;
use crate::user_conn::{self, UserConn};

/// How long a work connection may take to take its first message.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// What a user connection needs of its proxy. Outlives the proxy in the connections that are still open.
pub(crate) struct Proxy {
    pub(crate) core: Arc<Core>,
    pub(crate) name: ProxyName,
    pub(crate) payload: Payload,
    /// How datagrams look on its work connections.
    pub(crate) datagrams: Framing,
    /// Whether its users bring datagrams as messages, too.
    is_sudp: bool,
    pub(crate) traffic: Arc<Traffic>,
    pool: Arc<WorkPool>,
    /// Work connections that are tried before a user is sent away.
    attempts: usize,
    /// Gives lines the run id and the name of the proxy.
    span: Span,
}

/// How the payload of work connections travels.
pub(crate) struct Payload {
    pub(crate) encryption: bool,
    pub(crate) compression: bool,
    /// Set when the limit is ours to enforce; shared by all connections and both directions.
    limiter: Option<Arc<RateLimiter>>,
}

impl Proxy {
    /// A work connection that has been told which proxy and which user it is for. Tries as many as may be dead in
    /// the pool.
    pub(crate) async fn work_conn(
        &self,
        source: Option<SocketAddr>,
        destination: Option<SocketAddr>,
    ) -> Result<WorkConn, TakeError> {
        self.work_conn_for(source, destination, Bytes::new).await
    }

    /// The same for a user whose first bytes, as they are given once there is a connection, go on it in the same write.
    /// Only without layers.
    pub(crate) async fn work_conn_for(
        &self,
        source: Option<SocketAddr>,
        destination: Option<SocketAddr>,
        mut first: impl FnMut() -> Bytes,
    ) -> Result<WorkConn, TakeError> {
        let mut begun = Bytes::new();
        let start = self.start_message(source, destination).into();
        for times in 0..self.attempts {
            let mut work = self
                .pool
                .take()
                .await
                .inspect_err(|error| warn!("failed to get work connection: {error}"))?;
            debug!("get a new work connection: [{}]", work.peer);
            if begun.is_empty() {
                begun = first();
            }
            let written = write_message_and(&mut work.stream, work.wire.into(), &start, &begun);
            match tokio::time::timeout(START_TIMEOUT, written).await {
                Ok(Ok(())) => return Ok(work),
                Ok(Err(error)) => {
                    warn!("failed to send message to work connection from pool: {error}, times: {times}");
                }
                Err(_) => {
                    warn!("failed to send message to work connection from pool: i/o timeout, times: {times}");
                }
            }
        }
        error!("try to get work connection failed in the end");
        Err(TakeError::Dead)
    }

    /// The layers over a work connection, as both programs agree on them.
    pub(crate) fn layers(&self) -> Layers {
        Layers {
            encryption: self.payload.encryption.then(|| self.core.key.clone()),
            compression: self.payload.compression,
            limiter: self.payload.limiter.clone().map(|limiter| (limiter, LimitSide::Plain)),
        }
    }

    /// Whether bytes go on a work connection as they are, and at any rate.
    pub(crate) fn has_no_layers(&self) -> bool {
        !self.payload.encryption && !self.payload.compression && self.payload.limiter.is_none()
    }

    /// Serves a user who came to a port of the proxy's own.
    pub(crate) fn accept_user(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        self.serve_user(stream.into(), peer, frp_net::address::canonical(local));
    }

    /// Serves a user in a task of the server. `stream` gives what was read to find out whose user this is once more.
    pub(crate) fn serve_user(self: &Arc<Self>, stream: Stream, peer: SocketAddr, local: SocketAddr) {
        self.core.tasks.spawn(Arc::clone(self).serve(stream, peer, local));
    }

    /// The same in the caller's task.
    pub(crate) fn serve(
        self: Arc<Self>,
        stream: Stream,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> impl Future<Output = ()> + Send + use<> {
        let span = self.span.clone();
        info!(parent: &span, "get a user connection [{peer}]");
        user_conn::serve(self, UserConn { stream, peer, local, datagrams: None }).instrument(span)
    }

    /// Serves a visitor, whose datagrams, if it brings any, look like this, in a task of the server.
    pub(crate) fn serve_visitor(
        self: &Arc<Self>,
        stream: Stream,
        peer: SocketAddr,
        local: SocketAddr,
        datagrams: Framing,
    ) {
        let span = self.span.clone();
        info!(parent: &span, "get a user connection [{peer}]");
        let datagrams = (self.is_sudp && datagrams != self.datagrams).then_some(datagrams);
        let user = UserConn { stream, peer, local, datagrams };
        self.core.tasks.spawn(user_conn::serve(Arc::clone(self), user).instrument(span));
    }

    /// Gives lines the run id and the name of the proxy.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    fn start_message(&self, source: Option<SocketAddr>, destination: Option<SocketAddr>) -> StartWorkConn {
        let text =
            |address: Option<SocketAddr>| address.map(|address| address.ip().to_string()).unwrap_or_default();
        let port = |address: Option<SocketAddr>| address.map(|address| address.port()).unwrap_or_default();
        StartWorkConn {
            proxy_name: self.name.to_string(),
            src_addr: text(source),
            src_port: port(source),
            dst_addr: text(destination),
            dst_port: port(destination),
            error: String::new(),
        }
    }
}

impl Payload {
    fn new(base: &ProxyBase) -> Self {
        let transport = &base.transport;
        let ours = transport.bandwidth_limit_mode == "server";
        let limit = transport.bandwidth_limit.bytes_per_second().filter(|_| ours);
        Self {
            encryption: transport.use_encryption,
            compression: transport.use_compression,
            limiter: limit.map(|bytes| Arc::new(RateLimiter::new(bytes))),
        }
    }
}
