//! The client as a whole: log in, serve the session, log in again (upstream `client/service.go`).
//!
//! Who owns what: [`Client::run`] is the one future of one configuration. It owns the session (see
//! [`crate::control`]), every work connection ([`Shared::work_connections`]) and the drivers of multiplexed
//! connections (in the connector). All of them end when [`Shared::shutdown`] is cancelled, and `run` returns after
//! they have.

use std::sync::Arc;
use std::time::Duration;

use frp_auth::ClientAuth;
use frp_net::resolve::Resolver;
use frp_proto::hello::Bootstrap;
use frp_proto::wire::WireVersion;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, debug, info, info_span, warn};

use crate::backoff::{FIRST_LOGIN_CAP, LoginBackoff, RECONNECT_CAP, SessionBackoff};
use crate::connector::Connector;
use crate::control::Control;
use crate::login::{self, LoggedIn, LoginError};
use crate::proxy::{Proxies, ProxySpec};
use crate::visitor::VisitorSpec;

/// Work connections of one client that may wait for the server to start them, besides those that the server keeps
/// ready ([`ClientOptions::pool_count`]): what users that come at one moment need, and what a server gone mad can cost.
pub(crate) const PENDING_WORK_CONNECTIONS: usize = 1024;
/// The largest pool that room is made for.
const MAX_POOL: usize = 65_536;

/// How long relays and multiplexed connections may take to end once the client has been told to stop. A
/// multiplexed connection takes half a second at most, while the peer does not close its side.
const STOP_TIMEOUT: Duration = Duration::from_millis(700);

/// What the client as a whole is set to, apart from the way to the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientOptions {
    /// `user`: the prefix of all names on the wire.
    pub(crate) user: String,
    /// `clientID`.
    pub(crate) client_id: String,
    /// `metadatas`.
    pub(crate) metadatas: std::collections::BTreeMap<String, String>,
    /// `transport.wireProtocol`.
    pub(crate) wire: WireVersion,
    /// What the hello of version 2 says of the way to the server.
    pub(crate) bootstrap: Bootstrap,
    /// `transport.poolCount`.
    pub(crate) pool_count: i64,
    /// `loginFailExit`.
    pub(crate) login_fail_exit: bool,
    /// `transport.tcpMuxConnections`: 1 to 64; no more than the one without `tcpMux`.
    pub(crate) mux_connections: usize,
    /// `transport.heartbeatInterval`; none sends no ping.
    pub(crate) heartbeat_interval: Option<Duration>,
    /// `transport.heartbeatTimeout`; none never misses a pong.
    pub(crate) heartbeat_timeout: Option<Duration>,
}

/// What every part of one client shares.
pub(crate) struct Shared {
    pub(crate) options: ClientOptions,
    pub(crate) auth: ClientAuth,
    pub(crate) resolver: Arc<Resolver>,
    /// Bounds the work connections that wait for StartWorkConn.
    pub(crate) pending_work_connections: Arc<Semaphore>,
    /// Every work connection, waiting or relaying.
    pub(crate) work_connections: TaskTracker,
    /// Cancelled when this client is to stop, by its owner or because it has ended.
    pub(crate) shutdown: CancellationToken,
}

impl Shared {
    pub(crate) fn new(
        options: ClientOptions,
        auth: ClientAuth,
        resolver: Arc<Resolver>,
        shutdown: CancellationToken,
    ) -> Self {
        let pool = usize::try_from(options.pool_count).unwrap_or(0).min(MAX_POOL);
        Self {
            options,
            auth,
            resolver,
            pending_work_connections: Arc::new(Semaphore::new(PENDING_WORK_CONNECTIONS + pool)),
            work_connections: TaskTracker::new(),
            shutdown,
        }
    }
}

/// One configured client.
pub(crate) struct Client {
    shared: Arc<Shared>,
    connector: Arc<Connector>,
    specs: Vec<Arc<ProxySpec>>,
    visitors: Arc<[Arc<VisitorSpec>]>,
}

impl Client {
    pub(crate) fn new(
        shared: Shared,
        connector: Connector,
        specs: Vec<ProxySpec>,
        visitors: Vec<VisitorSpec>,
    ) -> Self {
        let specs = specs.into_iter().map(Arc::new).collect();
        let visitors = visitors.into_iter().map(Arc::new).collect();
        Self { shared: Arc::new(shared), connector: Arc::new(connector), specs, visitors }
    }

    /// Runs until its shutdown is asked for.
    ///
    /// # Errors
    /// The first login's failure, where `loginFailExit` makes that final.
    pub(crate) async fn run(self) -> Result<(), LoginError> {
        let result = self.sessions().await;
        self.shared.shutdown.cancel();
        self.shared.work_connections.close();
        let ended = async { tokio::join!(self.shared.work_connections.wait(), self.connector.ended()) };
        if timeout(STOP_TIMEOUT, ended).await.is_err() {
            debug!("some connections have not ended in time and are dropped");
        }
        result
    }

    /// One session after the other, each with the run id of the one before.
    async fn sessions(&self) -> Result<(), LoginError> {
        let shutdown = &self.shared.shutdown;
        let mut losses = SessionBackoff::default();
        let mut run_id = None;
        let mut session_span = Span::none();
        loop {
            let login = self.log_in(run_id.as_deref()).instrument(session_span);
            let Some(control) = shutdown.run_until_cancelled(login).await.transpose()? else { return Ok(()) };
            session_span = info_span!("session", run_id = %control.run_id);
            run_id = Some(control.run_id.clone());
            let began = Instant::now();
            let session = async {
                info!("login to server success, get run id [{}]", control.run_id);
                control.run(Arc::clone(&self.shared)).await;
            };
            session.instrument(session_span.clone()).await;
            let pause = losses.after(began.elapsed());
            if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Tries until a login succeeds. `run_id` is that of the session before, none for the first one.
    async fn log_in(&self, run_id: Option<&str>) -> Result<Control, LoginError> {
        let first = run_id.is_none();
        let mut backoff = LoginBackoff::new(if first { FIRST_LOGIN_CAP } else { RECONNECT_CAP });
        loop {
            info!("try to connect to server...");
            let began = Instant::now();
            let error = match login::log_in(&self.shared, &self.connector, run_id.unwrap_or_default()).await {
                Ok(logged_in) => return Ok(self.control(logged_in)),
                Err(error) => error,
            };
            warn!("connect to server error: {error}");
            if first && self.shared.options.login_fail_exit {
                return Err(error);
            }
            sleep(backoff.after(error.failure(), began.elapsed())).await;
        }
    }

    /// A session with proxies and visitors of its own, none of them begun yet.
    fn control(&self, logged_in: LoggedIn) -> Control {
        let LoggedIn { run_id, connection, reader, writer, payload_framing, wants_pings } = logged_in;
        let proxies = Arc::new(Proxies::new(&self.shared.options.user, &self.specs));
        let visitors = Arc::clone(&self.visitors);
        let connection = Arc::new(connection);
        Control { run_id, connection, reader, writer, payload_framing, wants_pings, proxies, visitors }
    }
}
