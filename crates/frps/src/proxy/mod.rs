//! Proxies: what a client asked for by `NewProxy`, and what serves it.
//!
//! One file per type. [`Start::start`] is the one list of them.

mod http;
mod https;
mod stcp;
mod sudp;
mod table;
mod tcp;
mod tcpmux;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use frp_config::{ProxyBase, ProxyConfig, ProxyType};
use frp_proto::msg::{NewProxy, StartWorkConn};
use frp_proto::wire::Framing;
use frp_stream::Stream;
use frp_stream::layer::{Layers, LimitSide};
use frp_stream::limit::RateLimiter;
use frp_stream::message::write_message_and;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, error_span, info, warn};

pub(crate) use self::table::Table;
use self::table::{Entry, NameTaken};
use crate::control::{Handle, TakeError, WorkConn, WorkPool};
use crate::core::Core;
use crate::group::{GroupError, Membership};
use crate::ids::ProxyName;
use crate::ports::PortError;
use crate::traffic::Traffic;
use crate::user_conn::{self, UserConn};
use crate::vhost::http::SitePlace;
use crate::vhost::{HostError, HostPlace};
use crate::visitor::{Door, Repeated, Terms};

/// How long a work connection may take to take its first message.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a proxy was not started. The texts reach clients.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The message is not acceptable; the text is that of the configuration's own checks.
    #[error("{0}")]
    Invalid(String),
    /// The words of [`frp_config::unbuilt`].
    #[error("proxy type [{0}] is not supported yet by this version")]
    NotBuilt(ProxyType),
    #[error("exceed the max_ports_per_client")]
    TooManyPorts,
    #[error(transparent)]
    NameTaken(#[from] NameTaken),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("acquire port {wanted} error: {error}")]
    UdpPort { wanted: i64, error: PortError },
    #[error(transparent)]
    Group(#[from] GroupError),
    #[error(transparent)]
    Visited(#[from] Repeated),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("unknown multiplexer [{0}]")]
    UnknownMultiplexer(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

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

/// A proxy that is served. Dropping it ends it; [`Running::close`] also waits until its port is free.
pub(crate) struct Running {
    proxy: Arc<Proxy>,
    /// Ends the tasks below. A child of the control's token.
    stop: CancellationToken,
    /// Accept loop, or the tasks of a udp proxy. Users are not among them.
    tasks: JoinSet<()>,
    /// Place in a group, which accepts for its members.
    membership: Option<Membership>,
    /// Where visitors come in.
    door: Option<Door>,
    /// Its domains on a shared port.
    hosts: Vec<HostPlace>,
    /// Its routes on the shared port of http.
    sites: Vec<SitePlace>,
    ports: i64,
    /// Frees the name after everything else is gone.
    _entry: Entry,
}

impl Running {
    /// Ports that count against `maxPortsPerClient`.
    pub(crate) fn ports(&self) -> i64 {
        self.ports
    }

    pub(crate) async fn close(mut self) {
        let span = self.proxy.span.clone();
        async {
            info!("proxy closing");
            self.stop.cancel();
            while self.tasks.join_next().await.is_some() {}
            self.sites.clear();
            for host in self.hosts.drain(..) {
                let closed = host.closed();
                drop(host);
                warn!("listener is closed: {closed}");
            }
            if let Some(membership) = self.membership.take() {
                membership.leave().await;
                warn!("listener is closed: group listener closed");
            }
            if self.door.take().is_some() {
                warn!("listener is closed: listener closed");
            }
        }
        .instrument(span)
        .await;
    }
}

/// What starting a proxy takes.
pub(crate) struct Start<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) control: &'a Arc<Handle>,
    /// Ports that the client's other proxies hold.
    pub(crate) held: i64,
}

impl Start<'_> {
    /// Starts what `message` asks for; `pool_count` is what the client keeps ready. Returns the public address, too.
    ///
    /// # Errors
    /// In upstream's order of checks: the message, the quota, the name, then what the type needs.
    pub(crate) fn start(
        self,
        message: &NewProxy,
        pool_count: usize,
    ) -> Result<(Running, String), StartError> {
        let config =
            ProxyConfig::from_message(message).map_err(|error| StartError::Invalid(error.to_string()))?;
        config
            .check_for_server(&self.core.settings.config)
            .map_err(|error| StartError::Invalid(error.to_string()))?;
        let ports = ports_needed(&config);
        if self.core.settings.max_ports_per_client.is_some_and(|limit| self.held + ports > limit) {
            return Err(StartError::TooManyPorts);
        }
        let name = ProxyName::from(config.name());
        let traffic = Arc::<Traffic>::default();
        let entry = self.core.proxies.enter(&name, &traffic)?;
        let proxy = Arc::new(Proxy {
            core: Arc::clone(self.core),
            payload: Payload::new(config.base()),
            datagrams: self.control.payload_framing,
            is_sudp: matches!(config, ProxyConfig::Sudp(_)),
            traffic,
            pool: Arc::clone(&self.control.pool),
            attempts: pool_count + 1,
            span: error_span!(parent: &self.control.span, "proxy", proxy = %name),
            name,
        });
        let mut running = Running {
            stop: self.control.stop.child_token(),
            tasks: JoinSet::new(),
            membership: None,
            door: None,
            hosts: Vec::new(),
            sites: Vec::new(),
            ports,
            proxy,
            _entry: entry,
        };
        let span = running.proxy.span.clone();
        let remote_addr = span.in_scope(|| running.listen(&config, &self.control.client.user))?;
        Ok((running, remote_addr))
    }
}

impl Running {
    /// Opens what the type needs. Dropping `self` undoes what was done. `owner` is the client's user.
    fn listen(&mut self, config: &ProxyConfig, owner: &str) -> Result<String, StartError> {
        match config {
            ProxyConfig::Tcp(tcp) => tcp::listen(self, tcp),
            ProxyConfig::Udp(udp) => udp::listen(self, udp),
            ProxyConfig::Http(http) => http::listen(self, http),
            ProxyConfig::Https(https) => https::listen(self, https),
            ProxyConfig::Tcpmux(tcpmux) => tcpmux::listen(self, tcpmux),
            ProxyConfig::Stcp(stcp) => stcp::listen(self, stcp, owner),
            ProxyConfig::Sudp(sudp) => sudp::listen(self, sudp, owner),
            ProxyConfig::Xtcp(_) => Err(StartError::NotBuilt(config.kind())),
        }
    }

    /// Lets visitors in until the proxy is closed.
    fn let_visitors_in(&mut self, terms: Terms) -> Result<(), Repeated> {
        self.door = Some(self.proxy.core.visitors.open(&self.proxy, terms)?);
        Ok(())
    }

    /// Runs a task of the proxy until it ends or the proxy is closed.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.instrument(self.proxy.span.clone()));
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

/// Also members of a group count, although they share one port.
fn ports_needed(config: &ProxyConfig) -> i64 {
    match config {
        ProxyConfig::Tcp(_) | ProxyConfig::Udp(_) => 1,
        ProxyConfig::Http(_)
        | ProxyConfig::Https(_)
        | ProxyConfig::Tcpmux(_)
        | ProxyConfig::Stcp(_)
        | ProxyConfig::Sudp(_)
        | ProxyConfig::Xtcp(_) => 0,
    }
}
