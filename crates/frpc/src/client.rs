//! The client as a whole: log in, serve the session, log in again (upstream `client/service.go`).
//!
//! Who owns what: [`Client::run`] is the process's one future for one configuration. It owns the session (see
//! [`crate::control`]) and, in [`Shared::work_connections`], every work connection; both end when `shutdown` is
//! cancelled, and `run` returns only after the work connections have.

use std::sync::Arc;
use std::time::Duration;

use frp_auth::ClientAuth;
use frp_net::resolve::Resolver;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::backoff::{FIRST_LOGIN_CAP, LoginBackoff, RECONNECT_CAP, SessionBackoff};
use crate::connector::Connector;
use crate::control::{self, Control};
use crate::login::{self, LoginError};
use crate::proxy::{Proxies, ProxySpec};
use crate::visitor::{self, VisitorSpec};

/// Work connections of one process that wait to be started by the server. The server asks for one per user, so
/// this bounds what a server gone mad can cost.
const MAX_PENDING_WORK_CONNECTIONS: usize = 16_384;

/// How long open relays may take to end once the process has been told to stop.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// What the client as a whole is set to, apart from the way to the server.
#[derive(Debug, Clone)]
pub(crate) struct ClientOptions {
    /// `user`: the prefix of all names on the wire.
    pub(crate) user: String,
    /// `clientID`.
    pub(crate) client_id: String,
    /// `metadatas`.
    pub(crate) metadatas: std::collections::BTreeMap<String, String>,
    /// `transport.poolCount`.
    pub(crate) pool_count: i64,
    /// `loginFailExit`.
    pub(crate) login_fail_exit: bool,
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
    /// Cancelled when the client is to stop.
    pub(crate) shutdown: CancellationToken,
}

/// One configured client.
pub(crate) struct Client {
    shared: Arc<Shared>,
    connector: Arc<Connector>,
    specs: Vec<Arc<ProxySpec>>,
    visitors: Vec<VisitorSpec>,
}

impl Client {
    pub(crate) fn new(
        options: ClientOptions,
        auth: ClientAuth,
        connector: Connector,
        resolver: Arc<Resolver>,
        specs: Vec<ProxySpec>,
        visitors: Vec<VisitorSpec>,
        shutdown: CancellationToken,
    ) -> Self {
        let shared = Arc::new(Shared {
            options,
            auth,
            resolver,
            pending_work_connections: Arc::new(Semaphore::new(MAX_PENDING_WORK_CONNECTIONS)),
            work_connections: TaskTracker::new(),
            shutdown,
        });
        let specs = specs.into_iter().map(Arc::new).collect();
        Self { shared, connector: Arc::new(connector), specs, visitors }
    }

    /// Runs until `shutdown` is cancelled.
    ///
    /// # Errors
    /// The first login's failure, where `loginFailExit` makes that final.
    pub(crate) async fn run(self) -> Result<(), LoginError> {
        let shutdown = self.shared.shutdown.clone();
        let result = tokio::select! {
            result = self.sessions() => result,
            () = shutdown.cancelled() => Ok(()),
        };
        shutdown.cancel();
        self.shared.work_connections.close();
        // What has not ended by now is dropped with the runtime.
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.shared.work_connections.wait()).await;
        result
    }

    async fn sessions(&self) -> Result<(), LoginError> {
        let mut run_id = String::new();
        let mut losses = SessionBackoff::default();
        let mut session_span = tracing::Span::none();
        loop {
            let control = self.log_in(&run_id).instrument(session_span).await?;
            run_id.clone_from(&control.run_id);
            session_span = info_span!("session", run_id = %run_id);
            let began = Instant::now();
            let session = async {
                control::log_success(&control.run_id);
                visitor::start(&self.visitors);
                control.run(Arc::clone(&self.shared), &self.shared.shutdown).await;
            };
            session.instrument(session_span.clone()).await;
            sleep(losses.after(began.elapsed())).await;
        }
    }

    /// Tries until a login succeeds. `run_id` is that of the session before, empty for the first one.
    async fn log_in(&self, run_id: &str) -> Result<Control, LoginError> {
        let first = run_id.is_empty();
        let mut backoff = LoginBackoff::new(if first { FIRST_LOGIN_CAP } else { RECONNECT_CAP });
        loop {
            info!("try to connect to server...");
            let began = Instant::now();
            match login::log_in(&self.shared, &self.connector, run_id).await {
                Ok(logged_in) => {
                    let proxies = Arc::new(Proxies::new(&self.shared.options.user, &self.specs));
                    return Ok(Control {
                        run_id: logged_in.run_id,
                        connection: Arc::new(logged_in.connection),
                        reader: logged_in.reader,
                        writer: logged_in.writer,
                        proxies,
                    });
                }
                Err(error) => {
                    warn!("connect to server error: {error}");
                    if first && self.shared.options.login_fail_exit {
                        return Err(error);
                    }
                    sleep(backoff.after(error.failure(), began.elapsed())).await;
                }
            }
        }
    }
}
